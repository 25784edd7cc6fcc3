//! One direction between two machines: what happens to a packet.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// What happens to packets. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Share that is lost; 1 is a cut.
    pub loss: f64,
    /// Held back this long.
    pub delay: Duration,
    /// And up to this much longer or shorter, each on its own, so that packets overtake each other.
    pub jitter: Duration,
    /// Share that is sent twice.
    pub duplicates: f64,
}

impl Link {
    /// Nothing gets through, and nobody is told.
    pub const CUT: Self = Self { loss: 1.0, delay: Duration::ZERO, jitter: Duration::ZERO, duplicates: 0.0 };

    /// After how long each copy of a packet goes on; none if it is lost.
    pub fn copies(&self, random: &mut StdRng) -> Vec<Duration> {
        if self.loss > 0.0 && random.random_bool(self.loss.min(1.0)) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.duplicates > 0.0 && random.random_bool(self.duplicates.min(1.0)));
        (0..copies).map(|_| self.delay(random)).collect()
    }

    fn delay(&self, random: &mut StdRng) -> Duration {
        if self.jitter.is_zero() {
            return self.delay;
        }
        (self.delay + random.random_range(Duration::ZERO..=2 * self.jitter)).saturating_sub(self.jitter)
    }
}

/// What happened to packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lost.
    pub lost: usize,
    /// Held back.
    pub delayed: usize,
    /// Sent twice.
    pub doubled: usize,
}
