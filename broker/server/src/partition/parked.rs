//! Fetches that wait for data: one waiter is parked at many partitions and woken by the first that has news.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::Notify;

/// A waiting fetch. It wakes once; who goes on waiting parks anew.
#[derive(Debug, Default)]
pub struct Parked {
    is_over: AtomicBool,
    notify: Notify,
}

impl Parked {
    /// A waiter that no partition knows yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until a partition has news, at most for `timeout`; true when one has. Afterwards the partitions forget it.
    pub async fn wait(&self, timeout: Duration) -> bool {
        let woken = tokio::time::timeout(timeout, self.notify.notified()).await.is_ok();
        self.release();
        woken
    }

    /// Whether it was woken or released.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Ends it without waking, for a fetch that is answered at once.
    pub fn release(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn wake(&self) {
        if !self.is_over.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }
}

/// The waiters at one partition.
#[derive(Default)]
pub(super) struct Watchers {
    parked: SmallVec<[Arc<Parked>; 4]>,
    /// Length at which those that are over are swept out, so that an idle partition does not collect them.
    sweep_at: usize,
}

/// Waiters taken out, to be woken when no lock is held.
pub(super) type Taken = SmallVec<[Arc<Parked>; 4]>;

/// Shortest list that is swept.
const MIN_SWEEP: usize = 8;

impl Watchers {
    pub(super) fn park(&mut self, waiter: &Arc<Parked>) {
        if self.parked.len() >= self.sweep_at.max(MIN_SWEEP) {
            self.parked.retain(|parked| !parked.is_over());
            self.sweep_at = self.parked.len() * 2;
        }
        self.parked.push(Arc::clone(waiter));
    }

    pub(super) fn take_into(&mut self, taken: &mut Taken) {
        taken.extend(self.parked.drain(..));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_news_wake_a_waiter_parked_in_several_places() {
        let waiter = Parked::new();
        let mut places = [Watchers::default(), Watchers::default()];
        places.iter_mut().for_each(|place| place.park(&waiter));
        let mut taken = Taken::new();
        places[1].take_into(&mut taken);
        taken.iter().for_each(|parked| parked.wake());
        assert!(waiter.wait(Duration::from_secs(10)).await);
        assert!(waiter.is_over());
    }

    #[tokio::test]
    async fn a_waiter_without_news_times_out() {
        assert!(!Parked::new().wait(Duration::from_millis(1)).await);
    }

    #[test]
    fn an_idle_partition_does_not_collect_waiters_that_are_over() {
        let mut place = Watchers::default();
        for _ in 0..1_000 {
            let waiter = Parked::new();
            place.park(&waiter);
            waiter.release();
        }
        assert!(place.len() <= MIN_SWEEP, "{}", place.len());
    }
}
