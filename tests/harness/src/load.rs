//! Producers in the background that keep a ledger, going on over every failure that may pass.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use klamm_wire::ErrorCode;

use crate::client::{Client, ProduceError, batch};
use crate::ledger::Ledger;

/// How long a batch may stay without an acknowledgement before the load gives up.
const DELIVERY: Duration = Duration::from_secs(60);
const RECORDS_PER_BATCH: usize = 5;

/// One idempotent producer a partition, acks=all, one batch in flight each.
#[derive(Debug)]
pub struct Load {
    stopping: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    gave_up: Arc<OnceLock<String>>,
    producers: Vec<JoinHandle<Result<Ledger>>>,
}

impl Load {
    /// Starts producing to partitions 0 to `partitions` of a topic.
    pub fn start(bootstrap: &str, topic: &str, partitions: i32) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let gave_up = Arc::new(OnceLock::new());
        let producers = (0..partitions).map(|partition| {
            let producer = Producer {
                client: Client::new(bootstrap),
                topic: topic.to_owned(),
                partition,
                stopping: Arc::clone(&stopping),
                acknowledged: Arc::clone(&acknowledged),
            };
            let gave_up = Arc::clone(&gave_up);
            std::thread::spawn(move || {
                producer.run().inspect_err(|error| {
                    let _another_was_first = gave_up.set(format!("{error:#}"));
                })
            })
        });
        Self { producers: producers.collect(), stopping, acknowledged, gave_up }
    }

    /// Number of records acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `count` more records than now are acknowledged.
    ///
    /// # Errors
    /// They are not within the time that a delivery may take, or a producer gave up.
    pub fn wait_for_more(&self, count: usize) -> Result<()> {
        let wanted = self.acknowledged() + count;
        let enough = crate::wait::until(DELIVERY, &format!("{wanted} records are acknowledged"), || {
            let enough = self.acknowledged() >= wanted;
            Ok((enough || self.gave_up.get().is_some()).then_some(enough))
        })?;
        ensure!(enough, "a producer gave up: {}", self.gave_up.get().map_or("", String::as_str));
        Ok(())
    }

    /// Stops and returns what was acknowledged.
    ///
    /// # Errors
    /// A producer was refused, or gave up.
    pub fn finish(self) -> Result<Ledger> {
        self.stopping.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for producer in self.producers {
            ledger.merge(producer.join().map_err(|_| anyhow!("a producer panicked"))??);
        }
        Ok(ledger)
    }
}

struct Producer {
    client: Client,
    topic: String,
    partition: i32,
    stopping: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Producer {
    fn run(mut self) -> Result<Ledger> {
        let (id, epoch) = self.client.producer_id()?;
        let mut ledger = Ledger::default();
        let mut sequence = 0;
        while !self.stopping.load(Ordering::Relaxed) {
            let values: Vec<String> = (0..RECORDS_PER_BATCH)
                .map(|n| format!("{}-{}-{}", self.partition, id, sequence as usize + n))
                .collect();
            let offset = self.deliver(&values, (id, epoch, sequence))?;
            ledger.acknowledge(&self.topic, self.partition, offset, &values);
            self.acknowledged.fetch_add(values.len(), Ordering::Relaxed);
            sequence += i32::try_from(values.len())?;
        }
        Ok(ledger)
    }

    /// Sends the same batch until it is acknowledged: its sequence numbers keep it from being stored twice.
    fn deliver(&mut self, values: &[String], producer: (i64, i16, i32)) -> Result<i64> {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let batch = batch(&values, Some(producer))?.freeze();
        let start = std::time::Instant::now();
        loop {
            let error = match self.client.produce_batch(&self.topic, self.partition, -1, batch.clone()) {
                Ok(offset) => return Ok(offset),
                Err(error) => error,
            };
            if let ProduceError::Refused(code) = &error
                && !code.is_retriable()
                && *code != ErrorCode::DuplicateSequenceNumber
            {
                bail!("{}-{}: refused with {}", self.topic, self.partition, code.name());
            }
            if start.elapsed() > DELIVERY {
                return Err(error)
                    .with_context(|| format!("{}-{} after {DELIVERY:?}", self.topic, self.partition));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
