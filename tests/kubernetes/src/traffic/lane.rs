//! One partition's producer and reader.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use klamm_harness::{Client, ProduceError};
use klamm_records::{BatchBuilder, Record};

use super::Gap;

/// A batch a lane and tick, unless the one before takes longer.
const TICK: Duration = Duration::from_millis(10);
const RECORDS_PER_BATCH: u64 = 2;
/// A send that is not acknowledged for so long has failed.
const DELIVERY: Duration = Duration::from_secs(60);
/// Pauses between acknowledged sends that are worth remembering.
const NOTEWORTHY: Duration = Duration::from_millis(30);

/// How far a lane has come, for all to see.
#[derive(Default)]
pub(super) struct Progress {
    acknowledged: AtomicU64,
    read: AtomicU64,
    acknowledgement: Mutex<(Option<Instant>, Vec<Gap>)>,
    complaint: OnceLock<String>,
}

impl Progress {
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    pub(super) fn complaint(&self) -> Option<&str> {
        self.complaint.get().map(String::as_str)
    }

    pub(super) fn longest_gap_since(&self, moment: Instant) -> Duration {
        let guard = self.acknowledgement.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, gaps) = &*guard;
        let open = last.map_or(Duration::ZERO, |last| last.elapsed());
        gaps.iter().filter(|gap| gap.ended >= moment).map(|gap| gap.length).fold(open, Duration::max)
    }

    fn acknowledge(&self, upto: u64) {
        self.acknowledged.store(upto, Ordering::Release);
        let now = Instant::now();
        let mut guard = self.acknowledgement.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, gaps) = &mut *guard;
        if let Some(length) = last.replace(now).map(|last| now - last)
            && length >= NOTEWORTHY
        {
            gaps.push(Gap { ended: now, length });
        }
    }

    fn complain(&self, complaint: anyhow::Error) {
        let _another_was_first = self.complaint.set(format!("{complaint:#}"));
    }
}

/// One partition, as its producer or its reader holds it.
pub(super) struct Lane {
    pub(super) client: Client,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) progress: Arc<Progress>,
}

impl Lane {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Produces until stopped or refused.
    pub(super) fn produce(mut self, identity: (i64, i16)) {
        let mut next = 0;
        while !self.stopping() {
            let started = Instant::now();
            if let Err(error) = self.send(identity, next) {
                return self.progress.complain(error);
            }
            next += RECORDS_PER_BATCH;
            self.progress.acknowledge(next);
            std::thread::sleep(TICK.saturating_sub(started.elapsed()));
        }
    }

    /// Sends the same batch until it is acknowledged: its sequence numbers keep it from being stored twice.
    fn send(&mut self, identity: (i64, i16), first: u64) -> Result<()> {
        let batch = batch(identity, first)?;
        let started = Instant::now();
        loop {
            match self.client.produce_batch(&self.topic, self.partition, -1, batch.clone()) {
                Ok(offset) => {
                    ensure!(
                        u64::try_from(offset) == Ok(first),
                        "record {first} was acknowledged at offset {offset}"
                    );
                    return Ok(());
                }
                Err(ProduceError::Refused(code)) if !code.is_retriable() => {
                    bail!("record {first} was refused: {}", code.name())
                }
                Err(error) if started.elapsed() > DELIVERY => {
                    return Err(error).with_context(|| format!("record {first}, after {DELIVERY:?}"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Reads until stopped; what it meets must be the next record.
    pub(super) fn read(mut self) {
        let mut next = 0;
        while !self.stopping() {
            let from = i64::try_from(next).unwrap_or(i64::MAX);
            let read = self.client.read_from(&self.topic, self.partition, from);
            let checked = read.and_then(|records| {
                for record in records {
                    check(&record, next)?;
                    next += 1;
                }
                Ok(())
            });
            if let Err(error) = checked {
                return self.progress.complain(error.context(format!("reading record {next}")));
            }
            self.progress.read.store(next, Ordering::Release);
        }
    }
}

/// Asserts that a record is the one that was sent as number `expected`.
pub(super) fn check(record: &Record, expected: u64) -> Result<()> {
    let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    ensure!(
        value == expected.to_string() && u64::try_from(record.offset) == Ok(expected),
        "instead of record {expected} there is {value:?} at offset {}",
        record.offset
    );
    Ok(())
}

fn batch((id, epoch): (i64, i16), first: u64) -> Result<Bytes> {
    // Sequence numbers of producers start again after 2^31.
    let mut builder = BatchBuilder::new(0).producer(id, epoch, i32::try_from(first & 0x7fff_ffff)?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    for number in first..first + RECORDS_PER_BATCH {
        let value = number.to_string();
        builder.push(i64::try_from(now.as_millis())?, None, Some(value.as_bytes()), &[])?;
    }
    Ok(builder.finish()?.freeze())
}
