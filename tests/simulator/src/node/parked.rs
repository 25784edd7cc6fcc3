//! Fetches that wait for news at the leader: followers for records, consumers for committed ones.

use klamm_replica::FetchPosition;
use klamm_wire::ErrorCode;

use super::Node;
use super::fetch::{FetchRead, Reader};
use crate::message::{FetchPart, Key, Message, Served};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, NodeTimer};

/// Longest wait of a consumer.
const CONSUMER_WAIT_MS: i64 = 400;
/// Most bytes that a consumer gets at once.
const CONSUMER_BYTES: usize = 2_000;

/// A fetch that waits.
pub(crate) struct Parked {
    from: Party,
    id: u64,
    asked: Asked,
    is_woken: bool,
}

enum Asked {
    Follower { broker_epoch: i64, parts: Vec<FetchPart> },
    Consumer { key: Key, position: FetchPosition },
}

impl Parked {
    fn concerns(&self, key: Key, followers: bool, consumers: bool) -> bool {
        match &self.asked {
            Asked::Follower { parts, .. } => followers && parts.iter().any(|part| part.key == key),
            Asked::Consumer { key: own, .. } => consumers && *own == key,
        }
    }
}

impl Node {
    pub(super) fn fetch_requested(
        &mut self,
        from: Party,
        id: u64,
        broker_epoch: i64,
        max_wait_ms: i64,
        parts: Vec<FetchPart>,
        out: &mut Outbox,
    ) {
        let parked = Parked { from, id, asked: Asked::Follower { broker_epoch, parts }, is_woken: false };
        self.answer_or_park(parked, max_wait_ms, out);
    }

    /// A consumer's fetch.
    pub(super) fn read(&mut self, from: Party, id: u64, key: Key, position: FetchPosition, out: &mut Outbox) {
        let parked = Parked { from, id, asked: Asked::Consumer { key, position }, is_woken: false };
        self.answer_or_park(parked, CONSUMER_WAIT_MS, out);
    }

    fn answer_or_park(&mut self, parked: Parked, max_wait_ms: i64, out: &mut Outbox) {
        let id = parked.id;
        if let Some(parked) = self.try_answer(parked, false, out)
            && let Some(process) = self.process.as_mut()
        {
            process.parked.push(parked);
            self.after(max_wait_ms.max(1) * MS, NodeTimer::ParkExpired { id }, out);
        }
    }

    /// Marks the fetches that wait for this partition.
    pub(super) fn wake(&mut self, key: Key, followers: bool, consumers: bool) {
        let Some(process) = self.process.as_mut() else { return };
        for parked in process.parked.iter_mut().filter(|parked| parked.concerns(key, followers, consumers)) {
            parked.is_woken = true;
        }
    }

    /// Looks again on behalf of those that were woken.
    pub(super) fn answer_woken(&mut self, out: &mut Outbox) {
        loop {
            let Some(process) = self.process.as_mut() else { return };
            let Some(at) = process.parked.iter().position(|parked| parked.is_woken) else { return };
            let mut parked = process.parked.remove(at);
            parked.is_woken = false;
            if let Some(parked) = self.try_answer(parked, false, out)
                && let Some(process) = self.process.as_mut()
            {
                process.parked.push(parked);
            }
        }
    }

    pub(super) fn park_expired(&mut self, id: u64, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        if let Some(at) = process.parked.iter().position(|parked| parked.id == id) {
            let parked = process.parked.remove(at);
            // The wait is over, so there is an answer.
            let _ = self.try_answer(parked, true, out);
        }
    }

    /// Answers when there is news, or when it must; otherwise gives the fetch back.
    fn try_answer(&mut self, parked: Parked, must: bool, out: &mut Outbox) -> Option<Parked> {
        let (message, is_news) = match &parked.asked {
            Asked::Follower { broker_epoch, parts } => {
                self.pass(parked.from, parked.id, *broker_epoch, parts, out)
            }
            Asked::Consumer { key, position } => {
                let read = FetchRead {
                    reader: Reader::Consumer,
                    position: *position,
                    lacks_producers: false,
                    max_bytes: CONSUMER_BYTES,
                };
                let served = self.serve(*key, &read, out);
                let is_news = !matches!(&served, Served::Records { bytes, .. } if bytes.is_empty());
                (Message::ReadDone { id: parked.id, served }, is_news)
            }
        };
        if !is_news && !must {
            return Some(parked);
        }
        out.send(self.party(), parked.from, message);
        None
    }

    /// One pass over a follower's partitions.
    fn pass(
        &mut self,
        from: Party,
        id: u64,
        broker_epoch: i64,
        parts: &[FetchPart],
        out: &mut Outbox,
    ) -> (Message, bool) {
        let replica = if let Party::Node(node) = from { node as i32 } else { -1 };
        let mut is_news = false;
        let mut answers = Vec::with_capacity(parts.len());
        for part in parts {
            let reader = Reader::Follower { replica, broker_epoch, log_start: part.log_start };
            let FetchPart { position, lacks_producers, max_bytes, .. } = *part;
            let read = FetchRead { reader, position, lacks_producers, max_bytes };
            let served = self.serve(part.key, &read, out);
            is_news |= match &served {
                Served::Records { bytes, high_watermark, log_start, producers } => {
                    let told = part.told_high_watermark;
                    let is_further = told != i64::MIN && *high_watermark > told;
                    let is_shorter = part.log_start >= 0 && *log_start > part.log_start;
                    !bytes.is_empty() || is_further || is_shorter || producers.is_some()
                }
                _ => true,
            };
            answers.push((part.key, part.position, served));
        }
        (Message::Fetched { id, parts: answers }, is_news)
    }

    fn serve(&mut self, key: Key, read: &FetchRead, out: &mut Outbox) -> Served {
        let served = self.change(key, out, |replica, now_ms, sparks| replica.fetch(read, now_ms, sparks));
        served.unwrap_or(Served::Refused(ErrorCode::UnknownTopicOrPartition))
    }
}
