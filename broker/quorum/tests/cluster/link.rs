//! A slow link that loses packets, as TCP shows it to whoever sends over it.
//!
//! What is lost is sent again after a while, which doubles when that is lost, too, and all that is behind it on the same
//! connection waits. A call has a connection to itself, and one that is given up before its answer came takes its
//! connection with it; dialling another costs a round trip.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Until a lost packet is sent again: the round trip and Linux' shortest patience.
const RETRANSMIT: Duration = Duration::from_millis(300);

/// Connections from one voter to another for one kind of call.
type Route = (i32, i32, i16);

/// Every link of a network.
pub struct Link {
    /// Packets of a hundred that are lost.
    pub loss_percent: u64,
    /// The way in one direction, at least.
    pub delay: Duration,
    /// What it may take beyond that, in milliseconds.
    pub jitter_ms: u64,
    state: Mutex<State>,
}

struct State {
    random: u64,
    idle: BTreeMap<Route, usize>,
    calls: BTreeMap<Route, usize>,
}

impl Link {
    pub fn new(loss_percent: u64, delay: Duration, jitter_ms: u64, seed: u64) -> Arc<Link> {
        let state = State { random: seed, idle: BTreeMap::new(), calls: BTreeMap::new() };
        Arc::new(Link { loss_percent, delay, jitter_ms, state: Mutex::new(state) })
    }

    /// Takes a connection that nobody uses, or dials.
    pub async fn connect(&self, route: Route) {
        let found = {
            let mut state = self.state.lock();
            *state.calls.entry(route).or_default() += 1;
            // There is one from before the link became slow.
            let idle = state.idle.entry(route).or_insert(1);
            let found = *idle > 0;
            *idle = idle.saturating_sub(1);
            found
        };
        if !found {
            self.travel().await;
            self.travel().await;
        }
    }

    /// The way of one message.
    pub async fn travel(&self) {
        let time = {
            let mut state = self.state.lock();
            let mut time = self.delay + Duration::from_millis(state.below(self.jitter_ms + 1));
            let mut patience = RETRANSMIT;
            while state.below(100) < self.loss_percent {
                time += patience;
                patience *= 2;
            }
            time
        };
        tokio::time::sleep(time).await;
    }

    /// The answer came: the connection may carry another call.
    pub fn release(&self, route: Route) {
        *self.state.lock().idle.entry(route).or_default() += 1;
    }

    /// Calls of one kind from one voter to another.
    pub fn calls(&self, route: Route) -> usize {
        self.state.lock().calls.get(&route).copied().unwrap_or(0)
    }
}

impl State {
    /// The next number of a sequence that the seed alone determines (SplitMix64).
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
