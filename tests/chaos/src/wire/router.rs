//! Takes packets from one cable to another, at once or later.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::link::{Counts, Link};

/// No packet is longer.
const PACKET: usize = 65_536;
/// Where IPv4 has the last byte of the source's address.
const SOURCE: usize = 15;
/// And the destination's.
const DESTINATION: usize = 19;

/// The router, told by host parts of addresses.
pub(super) struct Router {
    cables: BTreeMap<u8, File>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    links: BTreeMap<(u8, u8), Link>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    random: StdRng,
    counts: Counts,
    stopping: bool,
    sent: u64,
}

/// A packet that goes on later: by time, and in the order in which they came.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    when: Instant,
    number: u64,
    to: u8,
    packet: Vec<u8>,
}

impl Router {
    /// Starts a thread a cable, and one for what waits.
    pub(super) fn start(cables: BTreeMap<u8, File>) -> Arc<Self> {
        let state = State {
            links: BTreeMap::new(),
            waiting: BinaryHeap::new(),
            random: StdRng::seed_from_u64(0),
            counts: Counts::default(),
            stopping: false,
            sent: 0,
        };
        let hosts: Vec<u8> = cables.keys().copied().collect();
        let router = Arc::new(Self { cables, state: Mutex::new(state), changed: Condvar::new() });
        for host in hosts {
            let router = Arc::clone(&router);
            std::thread::spawn(move || router.read(host));
        }
        let late = Arc::clone(&router);
        std::thread::spawn(move || late.deliver_late());
        router
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this happens to packets.
    pub(super) fn set(&self, from: u8, to: u8, link: Link) {
        self.state().links.insert((from, to), link);
    }

    /// Nothing happens to packets any more.
    pub(super) fn heal(&self) {
        self.state().links.clear();
    }

    /// What happened so far.
    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Ends the threads, those of the cables once these are gone.
    pub(super) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
    }

    fn read(&self, from: u8) {
        let Some(mut cable) = self.cables.get(&from) else { return };
        let mut buffer = vec![0; PACKET];
        while let Ok(length) = cable.read(&mut buffer) {
            let packet = &buffer[..length];
            let is_ipv4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
            if let (true, Some(to)) = (is_ipv4, packet.get(DESTINATION))
                && packet.get(SOURCE) == Some(&from)
            {
                self.forward(from, *to, packet);
            }
        }
    }

    fn forward(&self, from: u8, to: u8, packet: &[u8]) {
        let at_once = self.state().forward(from, to, packet);
        if at_once {
            self.write(to, packet);
        } else {
            self.changed.notify_all();
        }
    }

    /// What an interface that is down or gone does not take is lost, as on any wire.
    fn write(&self, to: u8, packet: &[u8]) {
        if let Some(mut cable) = self.cables.get(&to) {
            drop(cable.write(packet));
        }
    }

    fn deliver_late(&self) {
        let mut state = self.state();
        while !state.stopping {
            let now = Instant::now();
            let next = state.waiting.peek().map(|Reverse(waiting)| waiting.when);
            if next.is_some_and(|when| when <= now) {
                if let Some(Reverse(waiting)) = state.waiting.pop() {
                    drop(state);
                    self.write(waiting.to, &waiting.packet);
                    state = self.state();
                }
                continue;
            }
            let pause = next.map_or(Duration::from_secs(1), |when| when - now);
            state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    /// Whether the packet goes on at once; otherwise it waits, or is lost.
    fn forward(&mut self, from: u8, to: u8, packet: &[u8]) -> bool {
        let Some(link) = self.links.get(&(from, to)).copied() else { return true };
        let copies = link.copies(&mut self.random);
        match copies.len() {
            0 => self.counts.lost += 1,
            1 => {}
            _ => self.counts.doubled += 1,
        }
        if copies == [Duration::ZERO] {
            return true;
        }
        for delay in copies {
            self.counts.delayed += 1;
            self.sent += 1;
            let when = Instant::now() + delay;
            self.waiting.push(Reverse(Waiting { when, number: self.sent, to, packet: packet.to_vec() }));
        }
        false
    }
}
