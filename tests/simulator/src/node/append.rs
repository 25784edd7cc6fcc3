//! Appending to a partition that this node leads.

use bytes::{Bytes, BytesMut};
use klamm_log::AppendError;
use klamm_records::validate_produced;
use klamm_replica::{Acked, LeaderEvent};
use klamm_wire::ErrorCode;

use super::Node;
use super::replica::{Ack, Replica, Sparks};
use crate::message::{Key, Message, Sender};
use crate::mutation::{Mutation, is_active};
use crate::outbox::{Outbox, Touch};

/// `max.message.bytes`.
const MAX_BYTES: usize = 1 << 20;

/// What came of an append.
pub(super) enum Append {
    /// It is replicated already, as it was appended before.
    Done(i64),
    /// Whoever waits is told later.
    Waits,
}

impl Node {
    /// Produce with acks=all.
    pub(super) fn produce(&mut self, from: Sender, key: Key, batch: &Bytes, out: &mut Outbox) {
        if let Err(error) = validate_produced(batch, MAX_BYTES) {
            out.note(|| format!("node {} refuses a batch: {error}", self.id));
            return self.produced(from, Err(ErrorCode::CorruptMessage), out);
        }
        let bytes = BytesMut::from(&batch[..]);
        let ack = |base_offset| Ack::Producer { to: from, base_offset };
        let appended =
            self.change(key, out, |replica, now_ms, sparks| replica.append(bytes, None, ack, now_ms, sparks));
        match appended {
            None => self.produced(from, Err(ErrorCode::UnknownTopicOrPartition), out),
            Some(Err(error)) => {
                let refusal = self.if_it_leads(error, out);
                if error == ErrorCode::OutOfOrderSequenceNumber {
                    self.note_sequences(key, batch, out);
                }
                if refusal == ErrorCode::OutOfOrderSequenceNumber {
                    out.touched.push(Touch::SequenceRefused { node: self.id, key });
                }
                self.produced(from, Err(refusal), out);
            }
            Some(Ok(Append::Done(offset))) => self.produced(from, Ok(offset), out),
            Some(Ok(Append::Waits)) => {}
        }
    }

    /// Only who cannot have been replaced for its silence may say that a batch is out of sequence.
    fn if_it_leads(&self, error: ErrorCode, out: &Outbox) -> ErrorCode {
        match error {
            ErrorCode::OutOfOrderSequenceNumber if !self.is_confirmed(out) => ErrorCode::NotLeaderOrFollower,
            _ => error,
        }
    }

    /// What the log knows of the producer of a batch that it refused as out of order.
    fn note_sequences(&self, key: Key, batch: &Bytes, out: &mut Outbox) {
        let Some(replica) = self.replica(key) else { return };
        out.note(|| {
            let header = klamm_records::BatchHeader::parse(batch).ok();
            let producer = header.as_ref().map_or(-1, |header| header.producer_id);
            let known = replica.log.producer_state().find(|(id, _)| *id == producer).map(|(_, entry)| entry);
            let sequence = header.map(|header| (header.producer_epoch, header.base_sequence));
            format!("node {} refuses {sequence:?} of producer {producer}, knows {known:?}", self.id)
        });
    }

    fn produced(&mut self, to: Sender, outcome: Result<i64, ErrorCode>, out: &mut Outbox) {
        let Sender { party, id, connection } = to;
        out.send(self.party(), party, Message::Produced { id, connection, outcome });
    }

    /// Tells who waited.
    pub(super) fn release(&mut self, key: Key, ack: Ack, result: Result<(), ErrorCode>, out: &mut Outbox) {
        match ack {
            Ack::Producer { to, base_offset } => self.produced(to, result.map(|()| base_offset), out),
            Ack::Shard { serial } => self.shard_written(key, serial, result, out),
            Ack::Deleter { to, id, start } => self.deleted(key, (to, id), result.map(|()| start), out),
        }
    }
}

impl Replica {
    pub(super) fn append(
        &mut self,
        batch: BytesMut,
        expected_epoch: Option<i32>,
        ack: impl FnOnce(i64) -> Ack,
        now_ms: i64,
        sparks: &mut Sparks,
    ) -> Result<Append, ErrorCode> {
        let leader = self.role.leader()?;
        let leader_epoch = leader.leader_epoch();
        if expected_epoch.is_some_and(|expected| expected != leader_epoch) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if self.disk_full {
            return Err(ErrorCode::KafkaStorageError);
        }
        if !leader.can_accept_acks_all() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let (base_offset, last_offset) = match self.log.append_as_leader(batch, leader_epoch, now_ms) {
            Ok(appended) => {
                self.appended(now_ms, sparks);
                (appended.base_offset, appended.last_offset)
            }
            Err(AppendError::DuplicateSequence { base_offset, last_offset, .. }) => {
                (base_offset, last_offset)
            }
            Err(error) => return Err(append_code(&error)),
        };
        if is_active(Mutation::AckOnAppend) {
            return Ok(Append::Done(base_offset));
        }
        let next_offset = last_offset + 1;
        match self.role.leader()?.is_acked(next_offset) {
            Acked::Acked => Ok(Append::Done(base_offset)),
            Acked::NotEnoughReplicasAfterAppend => Err(ErrorCode::NotEnoughReplicasAfterAppend),
            Acked::Pending => {
                self.wait_replicated(next_offset, ack(base_offset));
                Ok(Append::Waits)
            }
        }
    }

    fn appended(&mut self, now_ms: i64, sparks: &mut Sparks) {
        let end = self.log.end_offset();
        self.step_leader(|leader| leader.step(LeaderEvent::LocalAppended { end }, now_ms), sparks);
        sparks.wakes_followers = true;
        self.mark_dirty(sparks);
    }
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::Corrupt(_) => ErrorCode::CorruptMessage,
        _ => ErrorCode::KafkaStorageError,
    }
}
