//! A token bucket: so many bytes a second, what passes beyond that is owed. Time is an argument.

/// Rates from here on are no limit: `Long.MAX_VALUE` is the default of both.
const UNLIMITED: u64 = i64::MAX as u64;

/// What may pass. Unused time is saved up for one second; a read that takes more than is there delays the next.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes a second.
    rate: u64,
    /// Thousandths of bytes that may pass; negative when owed.
    level: i128,
    at_ms: i64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { rate: UNLIMITED, level: 0, at_ms: 0 }
    }
}

impl Bucket {
    /// Another rate from now on. What is owed stays owed, and nothing is saved up yet.
    pub(super) fn set_rate(&mut self, rate: u64, steady_ms: i64) {
        if rate == self.rate {
            return;
        }
        self.refill(steady_ms);
        self.level = if self.is_unlimited() { 0 } else { self.level.min(0) };
        self.rate = rate;
    }

    /// When bytes may pass, in the unit of `steady_ms`; `None` at once.
    pub(super) fn held_until(&mut self, steady_ms: i64) -> Option<i64> {
        if self.is_unlimited() {
            return None;
        }
        self.refill(steady_ms);
        if self.level > 0 {
            return None;
        }
        let missing = 1 - self.level;
        let wait = missing.checked_add(i128::from(self.rate) - 1)?.checked_div(i128::from(self.rate));
        let wait = wait.and_then(|wait| i64::try_from(wait).ok()).unwrap_or(i64::MAX);
        Some(steady_ms.saturating_add(wait))
    }

    /// Bytes passed.
    pub(super) fn take(&mut self, bytes: usize, steady_ms: i64) {
        if !self.is_unlimited() {
            self.refill(steady_ms);
            self.level -= bytes as i128 * 1_000;
        }
    }

    fn is_unlimited(&self) -> bool {
        self.rate >= UNLIMITED
    }

    /// A thousandth of a byte for each byte of the rate and millisecond. Who read the clock before others came first brings
    /// nothing, and takes nothing from the time that counts already.
    fn refill(&mut self, steady_ms: i64) {
        let passed = steady_ms.saturating_sub(self.at_ms).max(0);
        let rate = i128::from(self.rate);
        self.at_ms = self.at_ms.max(steady_ms);
        self.level = (self.level + rate * i128::from(passed)).min(rate * 1_000);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(rate: u64) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.set_rate(rate, 0);
        bucket
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let mut bucket = Bucket::default();
        bucket.take(usize::MAX, 0);
        assert_eq!(bucket.held_until(0), None);
    }

    #[test]
    fn what_passes_beyond_the_rate_delays_the_next() {
        let mut bucket = bucket(1_000);
        assert_eq!(bucket.held_until(0), Some(1), "nothing is saved up at first");
        assert_eq!(bucket.held_until(1), None);
        bucket.take(5_001, 1);
        assert_eq!(bucket.held_until(1), Some(5_002));
        assert_eq!(bucket.held_until(5_001), Some(5_002));
        assert_eq!(bucket.held_until(5_002), None);
    }

    #[test]
    fn with_the_rate_zero_nothing_passes_until_another_is_set() {
        let mut bucket = bucket(0);
        assert_eq!(bucket.held_until(1_000_000), Some(i64::MAX));
        bucket.set_rate(UNLIMITED, 1_000_000);
        assert_eq!(bucket.held_until(1_000_000), None);
    }

    #[test]
    fn a_new_rate_is_paid_back_at_its_own_speed() {
        let mut bucket = bucket(1_000);
        bucket.take(10_000, 0);
        bucket.set_rate(10_000, 0);
        assert_eq!(bucket.held_until(0), Some(1_001));
    }

    #[test]
    fn who_comes_late_with_an_earlier_time_brings_nothing() {
        let mut bucket = bucket(1_000);
        bucket.take(1_001, 5);
        let until = bucket.held_until(5);
        for _ in 0..1_000 {
            assert!(bucket.held_until(0) > Some(0));
            assert_eq!(bucket.held_until(5), until, "the same milliseconds count once");
        }
    }

    proptest! {
        /// Whoever asks first and takes reads of up to `largest` gets the rate: never more than a second and a read above it,
        /// never less than a read below while there is always something to read.
        #[test]
        fn over_any_time_the_rate_is_kept(
            rate in 1u64..10_000_000,
            reads in prop::collection::vec((0i64..3_000, 1usize..1_000_000), 1..200),
        ) {
            let mut bucket = bucket(rate);
            let largest = reads.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0) as i128;
            let (mut now, mut passed) = (0, 0i128);
            for (pause, bytes) in &reads {
                now += pause;
                if let Some(until) = bucket.held_until(now) {
                    prop_assert!(until > now);
                    now = until;
                    prop_assert_eq!(bucket.held_until(now), None);
                }
                bucket.take(*bytes, now);
                passed += *bytes as i128;
                let allowed = i128::from(rate) * (i128::from(now) + 1_000) / 1_000;
                prop_assert!(passed <= allowed + largest, "{} of {} by {}", passed, allowed, now);
            }
        }

        #[test]
        fn who_always_waits_gets_the_whole_rate(rate in 1_000u64..10_000_000, bytes in 1usize..1_000_000) {
            let mut bucket = bucket(rate);
            let (mut now, mut passed) = (0, 0i128);
            while now < 60_000 {
                match bucket.held_until(now) {
                    Some(until) => now = until,
                    None => {
                        bucket.take(bytes, now);
                        passed += bytes as i128;
                    }
                }
            }
            prop_assert!(passed * 1_000 >= i128::from(rate) * 60_000 - i128::from(rate), "{}", passed);
        }
    }
}
