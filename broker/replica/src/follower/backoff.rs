//! Pauses after failed fetches.

/// First pause: a new leader usually learns of its role within milliseconds.
const FIRST_MS: i64 = 25;
/// Longest pause.
const LONGEST_MS: i64 = 1_000;

/// Pause after the `failures`-th failure in a row.
pub(super) fn backoff_ms(failures: u32) -> i64 {
    FIRST_MS.checked_shl(failures.saturating_sub(1).min(16)).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::backoff_ms;

    #[test]
    fn pauses_double_up_to_a_second() {
        assert_eq!([1, 2, 3].map(backoff_ms), [25, 50, 100]);
        assert_eq!([6, 7, 40, u32::MAX].map(backoff_ms), [800, 1_000, 1_000, 1_000]);
    }
}
