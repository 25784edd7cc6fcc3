//! The clock that the clients under test read, too: CLOCK_MONOTONIC, in nanoseconds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        Self(time.tv_sec * 1_000_000_000 + time.tv_nsec)
    }

    /// From an earlier moment to this one; nothing if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// A moment of a number of nanoseconds, for histories made up by tests.
    #[cfg(test)]
    pub fn at(nanos: i64) -> Self {
        Self(nanos)
    }
}
