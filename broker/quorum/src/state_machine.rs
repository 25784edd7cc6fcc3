//! The state machine: every committed entry is applied to the metadata image, which is published after each run of
//! entries.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use klamm_metadata::{Image, decode_records};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, RaftSnapshotBuilder};
use tokio::sync::{Notify, watch};

use crate::config::SnapshotPolicy;
use crate::founding_file::FoundingFile;
use crate::runtime::blocking;
use crate::snapshot_store::SnapshotStore;
use crate::types::{
    Entry, LogId, Raft, Snapshot, SnapshotMeta, StoredMembership, TypeConfig, epoch_of, offset_of, term_of,
};

/// Entries applied before the image is published once.
const PUBLISH_EVERY: usize = 256;

/// What was applied since the last snapshot, and the wish for the next one.
#[derive(Default)]
pub(crate) struct Growth {
    bytes: AtomicU64,
    entries: AtomicU64,
    /// Notified when a snapshot is due.
    pub(crate) snapshot_due: Notify,
}

impl Growth {
    fn add(&self, bytes: u64, policy: &SnapshotPolicy) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let entries = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        if bytes >= policy.max_bytes || entries >= policy.max_entries {
            self.reset();
            self.snapshot_due.notify_one();
        }
    }

    fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.entries.store(0, Ordering::Relaxed);
    }
}

/// Takes a snapshot whenever one is due, until the quorum stops.
pub(crate) async fn snapshot_when_due(raft: Raft, growth: Arc<Growth>) {
    loop {
        growth.snapshot_due.notified().await;
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

/// Applies entries to the image and keeps snapshots of it.
pub(crate) struct StateMachine {
    image: Image,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    published: watch::Sender<Arc<Image>>,
    snapshots: Arc<SnapshotStore>,
    founding: Arc<FoundingFile>,
    growth: Arc<Growth>,
    policy: SnapshotPolicy,
}

impl StateMachine {
    /// Starts from an empty image; openraft installs the newest snapshot and applies what is committed behind it.
    pub(crate) fn new(
        snapshots: Arc<SnapshotStore>,
        founding: Arc<FoundingFile>,
        policy: SnapshotPolicy,
    ) -> StateMachine {
        StateMachine {
            image: Image::empty(),
            last_applied: None,
            membership: StoredMembership::default(),
            published: watch::Sender::new(Arc::new(Image::empty())),
            snapshots,
            founding,
            growth: Arc::default(),
            policy,
        }
    }

    /// The image after each run of entries.
    pub(crate) fn published(&self) -> watch::Receiver<Arc<Image>> {
        self.published.subscribe()
    }

    /// Says when a snapshot is due.
    pub(crate) fn growth(&self) -> Arc<Growth> {
        self.growth.clone()
    }

    fn apply_entry(&mut self, entry: Entry) -> io::Result<()> {
        let (offset, epoch) = (offset_of(entry.log_id.index), epoch_of(term_of(&entry.log_id)));
        let mut bytes = 0;
        match entry.payload {
            EntryPayload::Blank => self.image.apply(offset, epoch, &[]),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                self.image.apply(offset, epoch, &[]);
            }
            EntryPayload::Normal(proposal) => {
                bytes = proposal.0.len() as u64;
                let records = decode_records(proposal.0).map_err(|error| {
                    let why = format!("committed entry at offset {offset} does not decode: {error}");
                    io::Error::new(io::ErrorKind::InvalidData, why)
                })?;
                self.image.apply(offset, epoch, &records);
            }
        }
        self.last_applied = Some(entry.log_id);
        self.growth.add(bytes, &self.policy);
        Ok(())
    }

    /// Publishes the image, then answers those who wait, so that they find their change in it. Its founding is durable before.
    async fn publish(&self, waiting: &mut Vec<ApplyResponder<TypeConfig>>) -> io::Result<()> {
        self.founding.keep(self.image.founding()).await?;
        self.published.send_replace(Arc::new(self.image.clone()));
        waiting.drain(..).for_each(|responder| responder.send(()));
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let (mut waiting, mut applied) = (Vec::new(), 0);
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            self.apply_entry(entry)?;
            waiting.extend(responder);
            applied += 1;
            if applied % PUBLISH_EVERY == 0 {
                self.publish(&mut waiting).await?;
            }
        }
        self.publish(&mut waiting).await
    }

    /// None while the image lacks what the log has: records that only a newer version knows. They stay in the log, which
    /// that version reads again. `force` is only ever set where the log is gone already.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        if self.image.has_skipped_records() && !force {
            self.growth.reset();
            let offset = self.image.offset();
            tracing::warn!(
                offset,
                "the metadata log has records that only a newer version knows: it is kept whole, and grows, until this \
                 controller is of that version"
            );
            return None;
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.growth.reset();
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        Builder { meta, image: self.image.clone(), snapshots: self.snapshots.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let image = Image::from_snapshot(snapshot.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        save(&self.snapshots, meta.clone(), snapshot).await?;
        self.image = image;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.growth.reset();
        self.publish(&mut Vec::new()).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let snapshots = self.snapshots.clone();
        blocking(move || snapshots.read()).await
    }
}

/// Writes a snapshot of the image as it was when the builder was made.
pub(crate) struct Builder {
    meta: SnapshotMeta,
    image: Image,
    snapshots: Arc<SnapshotStore>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let image = self.image.clone();
        let bytes = blocking(move || Ok(image.to_snapshot())).await?;
        save(&self.snapshots, self.meta.clone(), bytes.clone()).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: bytes })
    }
}

async fn save(snapshots: &Arc<SnapshotStore>, meta: SnapshotMeta, image: Bytes) -> io::Result<()> {
    let snapshots = snapshots.clone();
    blocking(move || snapshots.save(&meta, &image)).await
}
