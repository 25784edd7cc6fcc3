//! Producers and readers that go on through every fault, and a ledger of what they were told.
//!
//! A lane is a partition with one idempotent producer (acks=all, one batch in flight) and one reader. Record `n` of a lane
//! says `n` and nobody else writes there, so it must be acknowledged at offset `n` and read at offset `n`: a record that is
//! lost, doubled or moved is noticed by whoever meets it next, and [`Traffic::verify`] reads everything once more.

mod lane;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use klamm_harness::Client;

use crate::api::until;
use lane::{Lane, Progress};

/// A client gives a broker up after this long: pauses are to be those of the cluster, and not the patience of clients.
/// A batch that is sent again is stored once.
const REQUEST: Duration = Duration::from_millis(250);
/// How long readers may take to reach what is acknowledged.
const CATCH_UP: Duration = Duration::from_secs(30);

/// A client as it should be where a node can vanish.
pub fn client(bootstrap: &str) -> Client {
    Client::new(bootstrap).timeout(REQUEST)
}

/// Producers and readers in the background.
pub struct Traffic {
    bootstrap: String,
    topic: String,
    stopping: Arc<AtomicBool>,
    lanes: Vec<Arc<Progress>>,
    threads: Vec<JoinHandle<()>>,
}

/// A pause between two acknowledged sends of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// When it ended.
    pub ended: Instant,
    /// How long it was.
    pub length: Duration,
}

impl Traffic {
    /// Starts one lane a partition, on a topic that is there and empty.
    ///
    /// # Errors
    /// A producer gets no id.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut traffic = Self {
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            stopping: Arc::clone(&stopping),
            lanes: Vec::new(),
            threads: Vec::new(),
        };
        for partition in 0..partitions {
            let progress = Arc::new(Progress::default());
            let lane = |client| Lane {
                client,
                topic: topic.to_owned(),
                partition,
                stopping: Arc::clone(&stopping),
                progress: Arc::clone(&progress),
            };
            let mut producer = client(bootstrap);
            let identity = producer.producer_id()?;
            let (producer, reader) = (lane(producer), lane(client(bootstrap)));
            traffic.threads.push(std::thread::spawn(move || producer.produce(identity)));
            traffic.threads.push(std::thread::spawn(move || reader.read()));
            traffic.lanes.push(progress);
        }
        Ok(traffic)
    }

    /// Records acknowledged, and records read.
    pub fn counts(&self) -> (u64, u64) {
        self.lanes.iter().fold((0, 0), |(acknowledged, read), lane| {
            (acknowledged + lane.acknowledged(), read + lane.read())
        })
    }

    /// The longest pause between acknowledged sends that ended after a moment, for each lane; of a lane that pauses now,
    /// the pause until now.
    pub fn longest_gaps_since(&self, moment: Instant) -> Vec<Duration> {
        self.lanes.iter().map(|lane| lane.longest_gap_since(moment)).collect()
    }

    /// Asserts that no producer was refused and no reader saw a wrong record so far.
    ///
    /// # Errors
    /// The first complaint.
    pub fn unharmed(&self) -> Result<()> {
        for (partition, lane) in self.lanes.iter().enumerate() {
            if let Some(complaint) = lane.complaint() {
                bail!("{}-{partition}: {complaint}", self.topic);
            }
        }
        Ok(())
    }

    /// Waits until every lane has `count` more records acknowledged, and everything acknowledged until then is read.
    ///
    /// # Errors
    /// Not in time, or a complaint.
    pub fn flows(&self, count: u64) -> Result<()> {
        let goals: Vec<u64> = self.lanes.iter().map(|lane| lane.acknowledged() + count).collect();
        until(CATCH_UP, "every lane is acknowledged and read", || {
            let stopped = self.unharmed().is_err();
            let reached = self.lanes.iter().zip(&goals).all(|(lane, goal)| lane.read() >= *goal);
            Ok((stopped || reached).then_some(()))
        })
        .with_context(|| {
            format!("{:?} of {goals:?}", self.lanes.iter().map(|l| l.read()).collect::<Vec<_>>())
        })?;
        self.unharmed()
    }

    /// Stops, reads everything again from the start, and asserts that each acknowledged record is there, once, in order.
    /// Returns how many there are.
    ///
    /// # Errors
    /// The first thing that is lost, changed or doubled.
    pub fn verify(mut self) -> Result<u64> {
        self.stop()?;
        self.unharmed()?;
        let mut client = client(&self.bootstrap);
        for (partition, lane) in self.lanes.iter().enumerate() {
            let read = client.read_all(&self.topic, i32::try_from(partition)?)?;
            for (expected, record) in (0..).zip(&read) {
                lane::check(record, expected).with_context(|| format!("{}-{partition}", self.topic))?;
            }
            let (kept, acknowledged) = (read.len() as u64, lane.acknowledged());
            ensure!(
                kept >= acknowledged,
                "{}-{partition}: {acknowledged} records were acknowledged, {kept} are there",
                self.topic
            );
        }
        Ok(self.counts().0)
    }

    fn stop(&mut self) -> Result<()> {
        self.stopping.store(true, Ordering::Relaxed);
        self.threads.drain(..).try_for_each(|t| t.join().map_err(|_| anyhow!("a client thread panicked")))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // Whoever drops it without `verify` has failed already.
        drop(self.stop());
    }
}
