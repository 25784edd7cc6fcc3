//! One shard's task: requests and timers in, records to the log, replies out when they are committed.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use klamm_coordinator::{Effects, GroupConfig, GroupReply, GroupRequest, GroupShard, Now, RequestContext};
use klamm_records::BatchBuilder;
use klamm_wire::{ErrorCode, Str};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::loader;
use crate::clock::{now_ms, steady_ms};
use crate::partition::Partition;

/// Messages taken from the inbox at once: their records go into one batch.
const MAX_BURST: usize = 256;

/// How long requests wait for a shard to load before they are told to try again.
const LOAD_PATIENCE: Duration = Duration::from_secs(1);
/// Pause before a shard that ended is loaded again; twice as long when it did not last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause: loading costs as much as what is in the log, waiting costs members of groups their time.
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// A shard that served so long has lasted.
const LASTING: Duration = Duration::from_secs(30);
/// Bytes of records put into one batch.
const MAX_BATCH_BYTES: usize = 512 << 10;
/// Bytes that a record takes beside its key and value, at most.
const RECORD_OVERHEAD: usize = 32;

/// Key and value of one record of the offsets topic.
type KeyValue = (Bytes, Option<Bytes>);

/// What the runtime tells a shard.
pub enum Message {
    /// A request and where its reply goes.
    Request {
        /// Connection it came on.
        connection: u64,
        /// Client and version.
        context: RequestContext,
        /// The request.
        request: Box<GroupRequest>,
        /// Where the reply goes.
        reply: oneshot::Sender<Result<GroupReply, ErrorCode>>,
    },
    /// Topics are gone; so are their offsets.
    TopicsDeleted(Vec<Str>),
    /// A connection is gone; what it waits for is dropped.
    ConnectionClosed(u64),
}

/// Replies that wait for a write, with the result of the write.
type Write = BoxFuture<'static, (Result<(), ErrorCode>, Vec<(u64, GroupReply)>)>;

/// The task of one shard in one leader epoch.
pub struct ShardTask {
    config: GroupConfig,
    partition: i32,
    leader_epoch: i32,
    log: Arc<Partition>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// What came while the shard was loading.
    held: Vec<Message>,
    shard: GroupShard,
    waiting: HashMap<u64, (u64, oneshot::Sender<Result<GroupReply, ErrorCode>>)>,
    writes: FuturesOrdered<Write>,
    next_token: u64,
}

impl ShardTask {
    /// A task that loads first.
    pub fn new(
        config: GroupConfig,
        partition: i32,
        leader_epoch: i32,
        log: Arc<Partition>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let (shard, waiting, writes) = (GroupShard::default(), HashMap::new(), FuturesOrdered::new());
        let held = Vec::new();
        Self { config, partition, leader_epoch, log, inbox, held, shard, waiting, writes, next_token: 1 }
    }

    /// Loads and serves, until this broker leads no more or the inbox is closed. A write that is refused or fails leaves the
    /// shard ahead of its log, so it is loaded again: no metadata would tell this broker to.
    pub async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            let mut has_lasted = false;
            match self.load(pause).await {
                Ok(()) => {
                    let since = Instant::now();
                    let Err(error) = self.serve().await else { return };
                    info!(partition = self.partition, %error, "group shard ended");
                    has_lasted = since.elapsed() >= LASTING;
                }
                Err(error) => warn!(partition = self.partition, %error, "group shard not loaded"),
            }
            pause = if has_lasted { FIRST_PAUSE } else { (2 * pause).clamp(FIRST_PAUSE, LAST_PAUSE) };
            if self.inbox.is_closed() || !self.leads() {
                return;
            }
            self.drop_waiting();
        }
    }

    fn leads(&self) -> bool {
        self.log.led_epoch() == Some(self.leader_epoch)
    }

    /// Whether their records were written is not known: they ask again.
    fn drop_waiting(&mut self) {
        self.writes.clear();
        for (_, (_, waiter)) in self.waiting.drain() {
            // The client may be gone.
            drop(waiter.send(Err(ErrorCode::CoordinatorNotAvailable)));
        }
    }

    /// Replays the log after a pause. Requests that come meanwhile wait a little, then are told to try again: most loads
    /// are over before a client could ask twice. What still waits is held.
    async fn load(&mut self, pause: Duration) -> Result<(), String> {
        let (log, leader_epoch) = (Arc::clone(&self.log), self.leader_epoch);
        let shard = GroupShard::new(self.config.clone());
        let mut load = Box::pin(async move {
            tokio::time::sleep(pause).await;
            loader::replay(log, leader_epoch, shard).await
        });
        let mut patience = Box::pin(tokio::time::sleep(LOAD_PATIENCE));
        loop {
            tokio::select! {
                loaded = &mut load => {
                    self.shard = loaded?;
                    return Ok(());
                }
                () = &mut patience, if !patience.is_elapsed() => refuse(&mut self.held),
                message = self.inbox.recv() => {
                    self.hold(message.ok_or("no longer the leader")?);
                    if patience.is_elapsed() {
                        refuse(&mut self.held);
                    }
                }
            }
        }
    }

    /// Loading may take as long as a replica is away, so that only what still means something is held.
    fn hold(&mut self, message: Message) {
        match message {
            Message::ConnectionClosed(gone) => self
                .held
                .retain(|held| !matches!(held, Message::Request { connection, .. } if *connection == gone)),
            message => self.held.push(message),
        }
    }

    async fn serve(&mut self) -> Result<(), ErrorCode> {
        let mut burst = std::mem::take(&mut self.held);
        let effects = self.shard.on_loaded(now());
        self.carry_out(effects)?;
        self.take(&mut burst)?;
        loop {
            let deadline = self.shard.next_deadline();
            tokio::select! {
                Some((result, replies)) = self.writes.next(), if !self.writes.is_empty() => {
                    result?;
                    self.release(replies)?;
                }
                count = self.inbox.recv_many(&mut burst, MAX_BURST) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.take(&mut burst)?;
                }
                () = until(deadline) => {
                    let effects = self.shard.tick(now());
                    self.carry_out(effects)?;
                }
            }
        }
    }

    fn take(&mut self, burst: &mut Vec<Message>) -> Result<(), ErrorCode> {
        let now = now();
        let mut all = Effects::default();
        for message in burst.drain(..) {
            let effects = match message {
                Message::Request { connection, context, request, reply } => {
                    let token = self.next_token;
                    self.next_token += 1;
                    self.waiting.insert(token, (connection, reply));
                    self.shard.handle(token, context, *request, now)
                }
                Message::TopicsDeleted(names) => {
                    // Nobody waits for this token.
                    let request = GroupRequest::TopicsDeleted(names);
                    self.next_token += 1;
                    self.shard.handle(self.next_token - 1, RequestContext::default(), request, now)
                }
                Message::ConnectionClosed(connection) => {
                    self.forget(connection);
                    continue;
                }
            };
            all.records.extend(effects.records);
            all.replies.extend(effects.replies);
        }
        self.carry_out(all)
    }

    fn forget(&mut self, connection: u64) {
        let gone: Vec<u64> =
            self.waiting.iter().filter(|(_, (c, _))| *c == connection).map(|(t, _)| *t).collect();
        for token in gone {
            self.waiting.remove(&token);
            self.shard.cancel(token);
        }
    }

    /// Writes the records; replies follow the write, and all writes before it.
    fn carry_out(&mut self, effects: Effects) -> Result<(), ErrorCode> {
        if effects.records.is_empty() {
            if self.writes.is_empty() {
                return self.release(effects.replies);
            }
            self.writes.push_back(Box::pin(std::future::ready((Ok(()), effects.replies))));
            return Ok(());
        }
        let appended = self.append(&effects.records);
        let replies = effects.replies;
        self.writes.push_back(match appended {
            Ok(done) => Box::pin(async move { (done.await, replies) }),
            Err(error) => Box::pin(std::future::ready((Err(error), replies))),
        });
        Ok(())
    }

    /// Appends the records in as many batches as they need; the last one's commit is that of all.
    fn append(&self, records: &[KeyValue]) -> Result<BoxFuture<'static, Result<(), ErrorCode>>, ErrorCode> {
        let mut last: BoxFuture<'static, _> = Box::pin(std::future::ready(Ok(())));
        let mut rest = records;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            last = Box::pin(self.log.append_committed(batch(now)?, self.leader_epoch)?);
            rest = later;
        }
        Ok(last)
    }

    /// The role ends before this task is told. From then on another broker may have committed what this shard does not know.
    fn release(&mut self, replies: Vec<(u64, GroupReply)>) -> Result<(), ErrorCode> {
        if !replies.is_empty() && !self.leads() {
            return Err(ErrorCode::NotCoordinator);
        }
        for (token, reply) in replies {
            if let Some((_, waiter)) = self.waiting.remove(&token) {
                // The client may be gone.
                drop(waiter.send(Ok(reply)));
            }
        }
        Ok(())
    }
}

/// Tells those who ask to come back later; deletions of topics are kept and made up for.
fn refuse(held: &mut Vec<Message>) {
    let (requests, kept) =
        std::mem::take(held).into_iter().partition(|message| matches!(message, Message::Request { .. }));
    *held = kept;
    let requests: Vec<Message> = requests;
    for message in requests {
        if let Message::Request { reply, .. } = message {
            // The client may be gone.
            drop(reply.send(Err(ErrorCode::CoordinatorLoadInProgress)));
        }
    }
}

/// How many of the records make one batch: at least one.
fn fitting(records: &[KeyValue]) -> usize {
    let mut bytes = 0;
    let within = records.iter().take_while(|(key, value)| {
        bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + RECORD_OVERHEAD;
        bytes <= MAX_BATCH_BYTES
    });
    within.count().max(1)
}

fn batch(records: &[KeyValue]) -> Result<bytes::BytesMut, ErrorCode> {
    let now = now_ms();
    let mut builder = BatchBuilder::new(0);
    for (key, value) in records {
        builder.push(now, Some(key), value.as_deref(), &[]).map_err(too_large)?;
    }
    builder.finish().map_err(too_large)
}

/// The shard bounds each record; a burst of them that does not fit a batch is given up like a failed write.
fn too_large(error: klamm_records::BatchError) -> ErrorCode {
    warn!(%error, "group records do not fit a batch");
    ErrorCode::UnknownServerError
}

fn now() -> Now {
    Now { steady_ms: steady_ms(), wall_ms: now_ms() }
}

async fn until(deadline_ms: Option<i64>) {
    match deadline_ms {
        Some(at) => {
            let wait = u64::try_from(at.saturating_sub(steady_ms())).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        None => pending().await,
    }
}
