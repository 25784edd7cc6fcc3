//! The counters that openraft keeps of its batches.
//!
//! openraft records the size of every replicated batch in a histogram of the crate `base2histogram`, even when its
//! `runtime-stats` feature is off and nobody can read it. That crate builds lookup tables for sixteen resolutions at the
//! first use: 27 MB of resident memory, more than the rest of a broker. The workspace patches this crate in its place: the
//! same calls on one counter per power of two.

use std::fmt;
use std::marker::PhantomData;

/// Number of counters: one for zero and one per bit.
const BUCKETS: usize = 65;

/// Counts values by the position of their highest bit. `T` is there for the interface only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    counts: [u64; BUCKETS],
    data: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram without values.
    pub fn new() -> Self {
        Self { counts: [0; BUCKETS], data: PhantomData }
    }

    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts one value several times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        if let Some(count) = self.counts.get_mut(bits) {
            *count = count.saturating_add(times);
        }
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl<T> Histogram<T> {
    /// The values below which the usual shares of all values lie, to the next power of two.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total(),
            p0_1: self.quantile(0.001),
            p1: self.quantile(0.01),
            p5: self.quantile(0.05),
            p10: self.quantile(0.1),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p99_9: self.quantile(0.999),
        }
    }

    fn quantile(&self, share: f64) -> u64 {
        let rank = (self.total() as f64 * share).ceil() as u64;
        let mut seen = 0u64;
        for (bits, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank && *count > 0 {
                return u64::MAX.checked_shr(u64::BITS - bits as u32).unwrap_or(0);
            }
        }
        0
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Upper bounds of the usual shares of a histogram's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// Number of values.
    pub samples: u64,
    /// 0.1 %.
    pub p0_1: u64,
    /// 1 %.
    pub p1: u64,
    /// 5 %.
    pub p5: u64,
    /// 10 %.
    pub p10: u64,
    /// Half.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, p99_9, .. } = self;
        write!(f, "[samples: {samples}, P50: {p50}, P90: {p90}, P99: {p99}, P99.9: {p99_9}]")
    }
}

/// Several histograms, to be shown beside each other.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> AsciiChart<T> {
    /// A chart without histograms.
    pub fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// With one more histogram.
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_owned(), histogram));
        self
    }
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series
            .iter()
            .try_for_each(|(name, histogram)| writeln!(f, "{name}: {}", histogram.percentile_stats()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_to_the_next_power_of_two() {
        let mut histogram = Histogram::<()>::new();
        (0..100).for_each(|_| histogram.record(5));
        histogram.record(1000);
        let stats = histogram.percentile_stats();
        assert_eq!((stats.samples, stats.p50, stats.p99_9), (101, 7, 1023));
    }

    #[test]
    fn every_value_is_counted() {
        let mut histogram = Histogram::<()>::new();
        for value in [0, 1, 2, 1 << 40, u64::MAX] {
            histogram.record(value);
        }
        assert_eq!(histogram.total(), 5);
    }
}
