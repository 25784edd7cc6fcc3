//! Who proposes: one change at a time, each with a value that nobody else has.

use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::Record;
use klamm_quorum::ProposeError;
use klamm_wire::Str;
use klamm_wire::messages::founding_record::FoundingRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::history::ClientEvent;
use crate::raft::world::World;
use crate::random::Random;

/// Clients at a time. Each does something only in milliseconds of its own, so that it does not matter which of two
/// proposals that fail together is told first: a watch channel of tokio's decides that by chance.
pub(super) const CLIENTS: u64 = 3;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// A client.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) random: Random,
    pub(super) world: Arc<World>,
}

/// What came of a proposal.
pub(super) enum Outcome {
    Committed,
    Refused(Option<i32>),
    Unknown,
}

impl Client {
    /// Proposes until the world has no more use for it.
    pub(super) async fn run(mut self) {
        let (mut target, mut value) = (0, self.number << 32);
        while !self.world.is_over() {
            value += 1;
            match self.propose(target, value).await {
                Outcome::Committed => {}
                Outcome::Refused(Some(leader)) if self.random.chance(900) => target = World::index_of(leader),
                _ => target = self.random.index(self.world.size),
            }
            self.pause().await;
        }
    }

    /// Proposes one change to one controller.
    pub(super) async fn propose(&mut self, target: usize, value: u64) -> Outcome {
        let (world, number) = (self.world.clone(), self.number);
        let Some((process_number, process, quorum)) = world.running(target) else {
            return Outcome::Refused(None);
        };
        let tell = |event: &ClientEvent| world.book.lock().client(world.now(), number, event);
        tell(&ClientEvent::Proposed { value });
        let (epoch, is_first) = (quorum.status().borrow().epoch, quorum.image().borrow().is_blank());
        let in_epoch = self.random.chance(300);
        let proposal = async {
            match in_epoch {
                true => quorum.propose_in(epoch, records(value, is_first)).await,
                false => quorum.propose(records(value, is_first)).await,
            }
        };
        let answer = timeout(PATIENCE, process.run(proposal)).await;
        if !world.speaks(target, process_number) {
            return Outcome::Unknown;
        }
        match answer {
            Ok(Ok(applied)) => {
                let (offset, epoch) = (applied.offset, applied.epoch);
                tell(&ClientEvent::ProposalCommitted { value, offset, epoch });
                tell(&acked(number, value, offset));
                world.book.lock().committed += 1;
                Outcome::Committed
            }
            Ok(Err(ProposeError::NotLeader { hint })) => {
                tell(&ClientEvent::Failed { partition: 0, value });
                Outcome::Refused(hint)
            }
            Ok(Err(ProposeError::Unknown | ProposeError::Fatal(_))) | Err(_) => Outcome::Unknown,
        }
    }

    async fn pause(&mut self) {
        let now = self.world.now().unsigned_abs() / 1_000;
        let round = now / CLIENTS + 1 + self.random.below(20);
        sleep(Duration::from_millis((round * CLIENTS + self.number).saturating_sub(now))).await;
    }
}

fn acked(client: u64, value: u64, offset: i64) -> ClientEvent {
    ClientEvent::Acked { producer: client.cast_signed(), epoch: 0, partition: 0, sequence: 0, value, offset }
}

/// A topic, behind a founding of its own where the log has no record yet: the first of them that is committed holds.
fn records(value: u64, is_first: bool) -> Vec<Record> {
    let (name, topic_id) = (Str::copy_from(&format!("topic-{value:x}")), topic_id(value));
    let founding = is_first.then(|| FoundingRecord { founding_id: topic_id, ..Default::default() }.into());
    founding.into_iter().chain([TopicRecord { name, topic_id, ..TopicRecord::default() }.into()]).collect()
}

/// The topic that stands for a value.
pub(super) fn topic_id(value: u64) -> Uuid {
    Uuid::from_u128(u128::from(value) + 1)
}

/// The value that such records carry.
pub(super) fn value_of(record: &Record) -> Option<u64> {
    match record {
        Record::Topic(topic) => u64::try_from(topic.topic_id.as_u128() - 1).ok(),
        _ => None,
    }
}
