//! All parties of one run under one virtual clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use super::{Options, Report};
use crate::history::ServerEvent;
use crate::raft::book::Book;
use crate::raft::client::{CLIENTS, Client};
use crate::raft::controller::Controller;
use crate::raft::faults::Fault;
use crate::raft::network::Network;
use crate::random::Random;

/// Between two looks at the controllers.
const LOOK: Duration = Duration::from_millis(5);

/// One run.
pub(super) struct World {
    pub(super) random: Mutex<Random>,
    pub(super) book: Mutex<Book>,
    pub(super) network: Mutex<Network>,
    pub(super) controllers: Mutex<Vec<Controller>>,
    /// What was told of each controller last, by kind.
    pub(super) told: Mutex<BTreeMap<(usize, usize), ServerEvent>>,
    /// Controllers, of which the first ones found the quorum; the others observe it, and may become voters.
    pub(super) size: usize,
    pub(super) founders: usize,
    /// Whether observers ask to vote.
    pub(super) auto_join: bool,
    /// Voters have been changed on purpose, so no disk is replaced in this run.
    pub(super) is_changing: AtomicBool,
    pub(super) faults: Vec<Fault>,
    pub(super) duration: Duration,
    is_over: AtomicBool,
    start: OnceLock<Instant>,
    virtual_ms: OnceLock<u64>,
}

impl World {
    pub(super) fn new(seed: u64, options: &Options) -> Arc<World> {
        let mut random = Random::new(seed);
        let (founders, more) = if random.chance(150) { (5, 0) } else { (3, random.index(3)) };
        let size = founders + more;
        let network = Network::new(Random::new(random.next()));
        let controllers = (0..size).map(|_| Controller::new(random.next())).collect();
        Arc::new(World {
            auto_join: random.chance(300),
            random: Mutex::new(random),
            book: Mutex::new(Book::new(options.trace)),
            network: Mutex::new(network),
            controllers: Mutex::new(controllers),
            told: Mutex::default(),
            size,
            founders,
            is_changing: AtomicBool::new(false),
            faults: options.faults.clone(),
            duration: Duration::from_millis(options.duration_ms),
            is_over: AtomicBool::new(false),
            start: OnceLock::new(),
            virtual_ms: OnceLock::new(),
        })
    }

    /// Plays the run to its end, or to the first property that does not hold.
    pub(super) fn run(self: &Arc<Self>) {
        match Builder::new_current_thread().enable_time().start_paused(true).build() {
            Ok(runtime) => runtime.block_on(self.play()),
            Err(error) => self.book.lock().panicked(&error.to_string()),
        }
    }

    async fn play(self: &Arc<Self>) {
        self.start.get_or_init(Instant::now);
        (0..self.size).for_each(|controller| self.start(controller));
        for number in 0..CLIENTS {
            let random = Random::new(self.random.lock().next());
            tokio::spawn(Client { number, random, world: self.clone() }.run());
        }
        let looking = self.clone();
        tokio::spawn(async move {
            while looking.book.lock().violation.is_none() {
                looking.look();
                sleep(LOOK).await;
            }
            looking.is_over.store(true, Ordering::Relaxed);
        });
        self.strike_for_a_while().await;
        self.is_over.store(true, Ordering::Relaxed);
        if self.book.lock().violation.is_none() {
            self.end().await;
        }
        self.virtual_ms.get_or_init(|| self.now().unsigned_abs() / 1_000);
    }

    pub(super) fn report(&self, seed: u64) -> Report {
        let book = self.book.lock();
        let epochs = self.told.lock().values().map(epoch_of).max().unwrap_or(0);
        Report {
            seed,
            violation: book.violation.clone(),
            trace_hash: book.trace.hash(),
            events: book.trace.events(),
            virtual_ms: self.virtual_ms.get().copied().unwrap_or(0),
            committed: book.committed,
            epochs: u64::from(epochs.unsigned_abs()),
            installed: book.installed,
            noticed: book.noticed,
            strikes: book.strikes.clone(),
        }
    }

    /// Virtual microseconds since the start.
    pub(super) fn now(&self) -> i64 {
        let since = self.start.get().map_or(Duration::ZERO, Instant::elapsed);
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, controller: usize, event: &ServerEvent) {
        self.book.lock().server(self.now(), controller as u64, event);
    }

    pub(super) fn between(&self, low: i64, high: i64) -> u64 {
        self.random.lock().between(low, high).unsigned_abs()
    }

    pub(super) fn index_of(node_id: i32) -> usize {
        usize::try_from(node_id).map_or(usize::MAX, |id| id.wrapping_sub(1))
    }
}

fn epoch_of(event: &ServerEvent) -> i32 {
    match event {
        ServerEvent::ControllerLeads { epoch, .. } => *epoch,
        _ => 0,
    }
}
