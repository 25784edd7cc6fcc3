//! Which clusters have to be looked at, and when. A cluster is never looked at twice at the same time.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::key::Key;

/// A queue of clusters, each with the time at which it is due.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<Key, Instant>,
    working: BTreeSet<Key>,
}

impl State {
    /// A cluster that may be looked at now, else when the next one may.
    fn pick(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        let free = self.due.iter().filter(|(key, _)| !self.working.contains(*key));
        let Some((key, at)) = free.min_by_key(|(_, at)| **at) else { return Err(None) };
        if *at > now {
            return Err(Some(*at));
        }
        let key = key.clone();
        self.due.remove(&key);
        self.working.insert(key.clone());
        Ok(key)
    }
}

impl Queue {
    /// Asks for a look at `at`; an earlier request stands.
    pub fn add(&self, key: Key, at: Instant) {
        let mut state = self.state.lock();
        let due = state.due.entry(key).or_insert(at);
        *due = at.min(*due);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the next cluster that is due. Whoever takes it says [`Queue::done`] when the look is over.
    pub async fn next(&self) -> Key {
        loop {
            let woken = self.wake.notified();
            let until = match self.state.lock().pick(Instant::now()) {
                Ok(key) => {
                    // Another worker may find more.
                    self.wake.notify_one();
                    return key;
                }
                Err(until) => until,
            };
            match until {
                Some(until) => tokio::select! { () = woken => {}, () = sleep_until(until) => {} },
                None => woken.await,
            }
        }
    }

    /// The look is over.
    pub fn done(&self, key: &Key) {
        self.state.lock().working.remove(key);
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_free_cluster_is_next_and_nobody_is_taken_twice() {
        let (mut state, now) = (State::default(), Instant::now());
        let (a, b) = (Key::new("n", "a"), Key::new("n", "b"));
        let later = now + Duration::from_secs(1);
        state.due.insert(a.clone(), later);
        state.due.insert(b.clone(), now);
        assert_eq!(state.pick(now), Ok(b.clone()));
        state.due.insert(b.clone(), now);
        assert_eq!(state.pick(now), Err(Some(later)));
        assert_eq!(state.pick(later), Ok(a));
        assert_eq!(state.pick(later), Err(None));
        state.working.remove(&b);
        assert_eq!(state.pick(later), Ok(b));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_request_stands_and_wakes_the_waiter() {
        let queue = Queue::default();
        let (key, start) = (Key::new("n", "a"), Instant::now());
        queue.add(key.clone(), start + Duration::from_secs(60));
        queue.add(key.clone(), start + Duration::from_secs(1));
        queue.add(key.clone(), start + Duration::from_secs(30));
        assert_eq!(queue.next().await, key);
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
