//! S9: nothing panics.

use super::Verdict;

/// Of what a node has logged.
pub fn check(log: &str) -> Verdict {
    match log.lines().find(|line| line.contains("panicked at")) {
        None => Ok(()),
        Some(line) => Err(line.to_owned()),
    }
}
