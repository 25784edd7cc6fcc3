//! Waiting for a condition, with a bound.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// The first value that `look` finds. `Ok(None)` and errors mean "not yet".
///
/// # Errors
/// `limit` has passed; the error names `what` and the last complaint.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let complaint = match look() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        if Instant::now() >= deadline {
            bail!("waited {limit:?} until {what}{complaint}");
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_fails_names_the_condition_and_the_last_error() {
        let error = until::<()>(Duration::ZERO, "the moon is here", || bail!("too far")).unwrap_err();
        assert!(error.to_string().ends_with("until the moon is here: too far"), "{error}");
    }
}
