//! The clocks, read at the edge only: the pure crates get their values as arguments.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch by the wall clock, which jumps when somebody sets it: for what is stored or shown.
pub fn now_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Milliseconds by a clock that never jumps, of this process alone: for pauses, lags and sessions, which must neither end nor
/// last because somebody set the clock.
pub fn steady_ms() -> i64 {
    static BEGINNING: LazyLock<(Instant, i64)> = LazyLock::new(|| (Instant::now(), now_ms()));
    let (start, start_ms) = *BEGINNING;
    start_ms.saturating_add(millis(start.elapsed()))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_begins_at_the_wall_clock_and_never_goes_back() {
        let (before, first) = (now_ms(), steady_ms());
        assert!((first - before).abs() < 60_000, "{before} {first}");
        let looks: Vec<i64> = (0..100).map(|_| steady_ms()).collect();
        assert!(looks.is_sorted() && looks[0] >= first, "{looks:?}");
    }
}
