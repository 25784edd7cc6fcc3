//! Fetch (1) for consumers and followers: sessions, what is read of each partition, and waiting for more.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::{Image, Topic};
use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::messages::fetch_response::FetchResponse;
use klamm_wire::{ErrorCode, Str};
use tokio::time::Instant;

use super::nearby;
use super::sessions::{Plan, TopicKey, Wanted};
use super::{Context, decode, encode};
use crate::clock::steady_ms;
use crate::cold::cold_read;
use crate::net::connection::{Handled, Outcome};
use crate::node::Node;
use crate::partition::{FetchRead, Fetched, Parked, Partition, Reader, Refused};
use answer::respond;

/// How often a fetch that has some bytes, but fewer than it wants, looks again.
const POLL: Duration = Duration::from_millis(20);

/// The request's limits and who asks.
struct Limits {
    reader: Reader,
    max_bytes: usize,
    min_bytes: usize,
    read_committed: bool,
    /// The rack of a consumer that may be sent to a follower, where this broker sends consumers there (KIP-392).
    rack: Option<Str>,
}

/// One partition of the response in the making.
struct Found {
    at: usize,
    topic: Option<Arc<Topic>>,
    outcome: Result<Fetched, Refused>,
    /// The follower that the consumer is sent to instead.
    preferred: Option<i32>,
}

/// What a pass over the partitions found.
struct Pass {
    found: Vec<Found>,
    bytes: usize,
    /// Whether there is something to tell at once, whatever the number of bytes.
    is_news: bool,
    /// Whether a cold file must be read by a thread that may wait.
    is_cold: bool,
    /// When the throttle lets more pass, by the steady clock, if it held back something.
    held_until: Option<i64>,
}

/// Answers at once when there is enough, else waits for news.
pub fn handle(node: &Arc<Node>, context: Context, body: Bytes) -> Handled {
    let request: FetchRequest = match decode(&context, body) {
        Ok(request) => request,
        Err(reason) => return Handled::Close(reason),
    };
    let limits = limits(node, &request, context.version());
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let is_follower = limits.reader.is_follower();
    let plan = match node.sessions.plan(request, context.version(), is_follower, steady_ms()) {
        Ok(plan) => plan,
        Err(error) => return refused(&context, error),
    };
    let pass = read_all(node, &context, &plan, &limits, None);
    let is_due = pass.is_enough(&limits) || wait.is_zero() || plan.wanted.is_empty();
    if is_due && !pass.is_cold {
        return match respond(node, &context, &plan, &limits, pass) {
            Ok(response) => Handled::Ready(response),
            Err(reason) => Handled::Close(reason),
        };
    }
    let node = Arc::clone(node);
    Handled::Blocking(Box::pin(async move {
        let pass = wait_for_news(&node, &context, &plan, &limits, wait).await;
        match respond(&node, &context, &plan, &limits, pass) {
            Ok(response) => Outcome::Respond(response),
            Err(reason) => Outcome::Close(reason),
        }
    }))
}

fn refused(context: &Context, error: ErrorCode) -> Handled {
    match encode(context, &FetchResponse { error_code: error.code(), ..FetchResponse::default() }) {
        Ok(response) => Handled::Ready(response),
        Err(reason) => Handled::Close(reason),
    }
}

fn limits(node: &Node, request: &FetchRequest, version: i16) -> Limits {
    let replica = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    let broker_epoch = if version >= 15 { request.replica_state.replica_epoch } else { -1 };
    let reader = match replica {
        0.. => Reader::Follower { replica, broker_epoch },
        _ if version >= 11 => Reader::NearbyConsumer,
        _ => Reader::Consumer,
    };
    let sends_away = reader == Reader::NearbyConsumer && node.settings.reads_nearby;
    Limits {
        reader,
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(node.settings.fetch_max_bytes),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        read_committed: request.isolation_level == 1,
        rack: Some(Str::copy_from(&request.rack_id)).filter(|rack| sends_away && !rack.is_empty()),
    }
}

impl Pass {
    fn is_enough(&self, limits: &Limits) -> bool {
        self.is_news || self.is_cold || self.bytes >= limits.min_bytes
    }

    fn throttled_bytes(&self) -> usize {
        let fetched = self.found.iter().filter_map(|found| found.outcome.as_ref().ok());
        fetched.filter(|fetched| fetched.is_throttled).map(|fetched| fetched.bytes).sum()
    }

    /// How long the throttle holds back something.
    fn held_for(&self) -> Option<Duration> {
        let left = self.held_until?.saturating_sub(steady_ms()).max(1);
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(1)))
    }
}

async fn wait_for_news(
    node: &Arc<Node>,
    context: &Context,
    plan: &Plan,
    limits: &Limits,
    wait: Duration,
) -> Pass {
    let deadline = Instant::now() + wait;
    loop {
        let parked = Parked::new();
        let pass = read_all(node, context, plan, limits, Some(&parked));
        let left = deadline.saturating_duration_since(Instant::now());
        if pass.is_enough(limits) || left.is_zero() {
            parked.release();
            return if pass.is_cold { read_cold(node, plan, limits, pass).await } else { pass };
        }
        let some = if pass.bytes > 0 { left.min(POLL) } else { left };
        parked.wait(pass.held_for().map_or(some, |held| some.min(held))).await;
    }
}

/// Reads what was cold on a thread that may wait for the disk.
async fn read_cold(node: &Arc<Node>, plan: &Plan, limits: &Limits, pass: Pass) -> Pass {
    let reader = limits.reader;
    let mut left = limits.max_bytes.saturating_sub(pass.bytes);
    let mut jobs: Vec<(usize, Arc<Partition>, FetchRead)> = Vec::new();
    for (position, found) in pass.found.iter().enumerate() {
        let is_cold = matches!(&found.outcome, Ok(fetched) if fetched.would_block);
        let partition = found.topic.as_ref().zip(plan.wanted.get(found.at)).filter(|_| is_cold);
        let Some((topic, wanted)) = partition else { continue };
        if let Some(partition) = node.registry.get(&topic.id, wanted.partition) {
            let max_bytes = partition_limit(wanted, left);
            let at_least_one = pass.bytes == 0 && jobs.is_empty();
            jobs.push((position, partition, read(reader, wanted, max_bytes, at_least_one)));
            left = left.saturating_sub(max_bytes);
        }
    }
    let reads = cold_read(move || {
        jobs.into_iter()
            .map(|(position, partition, read)| (position, partition.fetch_blocking(&read)))
            .collect::<Vec<_>>()
    });
    let mut pass = pass;
    for (position, outcome) in reads.await.unwrap_or_default() {
        if let Some(found) = pass.found.get_mut(position) {
            pass.bytes += outcome.as_ref().map_or(0, |f| f.bytes);
            found.outcome = outcome;
        }
    }
    pass
}

fn partition_limit(wanted: &Wanted, left: usize) -> usize {
    usize::try_from(wanted.max_bytes).unwrap_or(0).min(left)
}

fn read(reader: Reader, wanted: &Wanted, max_bytes: usize, at_least_one: bool) -> FetchRead {
    FetchRead {
        reader,
        fetch_offset: wanted.fetch_offset,
        log_start_offset: wanted.log_start,
        current_leader_epoch: wanted.current_leader_epoch,
        last_fetched_epoch: wanted.last_fetched_epoch,
        lacks_producers: wanted.lacks_producers,
        max_bytes,
        at_least_one,
    }
}

fn read_all(
    node: &Node,
    context: &Context,
    plan: &Plan,
    limits: &Limits,
    park: Option<&Arc<Parked>>,
) -> Pass {
    let image = node.image();
    let found = Vec::with_capacity(plan.wanted.len());
    let mut pass = Pass { found, bytes: 0, is_news: false, is_cold: false, held_until: None };
    for (at, wanted) in plan.wanted.iter().enumerate() {
        let left = limits.max_bytes.saturating_sub(pass.bytes);
        let mut read = read(limits.reader, wanted, partition_limit(wanted, left), pass.bytes == 0);
        let preferred = limits
            .rack
            .as_ref()
            .and_then(|rack| nearby::replica(node, &image, wanted, rack, context.peer.listener.as_ref()));
        if preferred.is_some() {
            // What is checked is checked here, what is read is read there.
            (read.max_bytes, read.at_least_one) = (0, false);
        }
        let (topic, outcome) = read_one(node, &image, wanted, &read, park);
        match &outcome {
            Ok(fetched) => {
                pass.bytes += fetched.bytes;
                pass.is_cold |= fetched.would_block;
                pass.held_until = pass.held_until.into_iter().chain(fetched.held_until).min();
                pass.is_news |= fetched.diverging.is_some()
                    || fetched.producers.is_some()
                    || preferred.is_some()
                    || is_news(plan, limits, wanted, fetched);
            }
            Err(_) => pass.is_news = true,
        }
        pass.found.push(Found { at, topic, outcome, preferred });
    }
    pass
}

/// A follower learns at once that the high watermark moved, for its own readers and its next leadership depend on it, and that
/// records were deleted, for somebody waits until it has deleted them, too.
fn is_news(plan: &Plan, limits: &Limits, wanted: &Wanted, fetched: &Fetched) -> bool {
    let is_further = plan.incremental
        && wanted.told_high_watermark != i64::MIN
        && fetched.high_watermark > wanted.told_high_watermark;
    let known_start = wanted.log_start.max(wanted.told_log_start);
    let is_shorter = wanted.log_start >= 0 && fetched.log_start_offset > known_start;
    limits.reader.is_follower() && (is_further || is_shorter)
}

fn read_one(
    node: &Node,
    image: &Image,
    wanted: &Wanted,
    read: &FetchRead,
    park: Option<&Arc<Parked>>,
) -> (Option<Arc<Topic>>, Result<Fetched, Refused>) {
    let (topic, unknown) = match &wanted.topic {
        TopicKey::Name(name) => (image.topic(name), ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => (image.topic_by_id(*id), ErrorCode::UnknownTopicId),
    };
    let Some(topic) = topic else { return (None, Err(unknown.into())) };
    let outcome = match node.registry.get(&topic.id, wanted.partition) {
        Some(partition) => {
            partition.fetch(read, park).map_err(|refused| if_it_leads(node, &partition, read, refused))
        }
        None if topic.partitions.contains_key(&wanted.partition) => {
            Err(ErrorCode::NotLeaderOrFollower.into())
        }
        None => Err(ErrorCode::UnknownTopicOrPartition.into()),
    };
    (Some(Arc::clone(topic)), outcome)
}

/// A consumer that is ahead of the log, or has read in an epoch after it, has read from a successor of this leader, unless the log
/// was truncated. Only who cannot have been replaced for its silence says that there is no such offset, on which consumers
/// begin elsewhere.
fn if_it_leads(node: &Node, partition: &Partition, read: &FetchRead, refused: Refused) -> Refused {
    let is_ahead = || !read.reader.is_follower() && read.fetch_offset >= partition.log_start_offset();
    match refused.code {
        ErrorCode::OffsetOutOfRange if is_ahead() && !node.is_sure_to_lead() => {
            ErrorCode::NotLeaderOrFollower.into()
        }
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};

    use super::super::sessions::Sessions;
    use super::*;

    fn plan_of(log_start_offset: i64) -> (Plan, Wanted) {
        let partitions = vec![FetchPartition { log_start_offset, ..FetchPartition::default() }];
        let topics = vec![FetchTopic { partitions, ..FetchTopic::default() }];
        let request = FetchRequest { topics, ..FetchRequest::default() };
        let plan = Sessions::new(1).plan(request, 17, true, 0).unwrap();
        let wanted = plan.wanted[0].clone();
        (plan, wanted)
    }

    fn limits_of(reader: Reader) -> Limits {
        Limits { reader, max_bytes: 0, min_bytes: 1, read_committed: false, rack: None }
    }

    #[test]
    fn a_follower_hears_at_once_that_records_were_deleted_and_once_only() {
        let limits = limits_of(Reader::Follower { replica: 1, broker_epoch: 1 });
        let starts_at = |log_start_offset| Fetched { log_start_offset, ..Fetched::default() };
        let (plan, wanted) = plan_of(3);
        assert!(!is_news(&plan, &limits, &wanted, &starts_at(3)));
        assert!(is_news(&plan, &limits, &wanted, &starts_at(4)), "also without a session");
        let told = Wanted { told_log_start: 4, ..wanted.clone() };
        assert!(!is_news(&plan, &limits, &told, &starts_at(4)));
        assert!(!is_news(&plan, &limits_of(Reader::Consumer), &wanted, &starts_at(4)));
        let (plan, unsaid) = plan_of(-1);
        assert!(!is_news(&plan, &limits, &unsaid, &starts_at(4)));
    }
}
