//! One voter of the metadata quorum: what the rest of the process calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use klamm_log::Disk;
use klamm_metadata::{Image, Record, encode_records};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader, InitializeError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::{RaftState, ReadPolicy};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::election;
use crate::fetch::{self, Fetched};
use crate::files;
use crate::log_store::LogStore;
use crate::network::Network;
use crate::receive::Receiver;
use crate::snapshot_store::SnapshotStore;
use crate::state_machine::StateMachine;
use crate::status::{self, QuorumStatus};
use crate::types::{Proposal, Raft, TypeConfig, Voter, epoch_of, node_id, offset_of, raft_id, term_of};
use crate::{ProposeError, QuorumConfig, QuorumError, Transport};

/// Between two tries of a proposal that met a leader which is not confirmed yet.
const PROPOSE_RETRY: Duration = Duration::from_millis(2);

/// Where an entry ended up in the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The entry's offset; its records were applied with it.
    pub offset: i64,
    /// The leader epoch in which it was written.
    pub epoch: i32,
}

/// A running voter. Cloning gives another handle to the same voter.
#[derive(Clone)]
pub struct Quorum {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<QuorumConfig>,
    raft: Raft,
    receiver: Receiver,
    log: LogStore,
    snapshots: Arc<SnapshotStore>,
    image: watch::Receiver<Arc<Image>>,
    status: watch::Receiver<QuorumStatus>,
    campaigning: Arc<AtomicBool>,
}

impl Quorum {
    /// Opens the metadata directory, recovers, and joins the quorum. A fresh directory is initialised with the configured
    /// voters. Must be called on the runtime that the quorum's tasks and timers shall live on.
    ///
    /// What was known to be committed when the process stopped is in [`Quorum::image`] when this returns, whether or not
    /// other voters can be reached.
    pub async fn start<T: Transport>(
        config: QuorumConfig,
        disk: Arc<dyn Disk>,
        transport: T,
    ) -> Result<Quorum, QuorumError> {
        config.validate()?;
        let config = Arc::new(config);
        let raft_config = Arc::new(config.raft()?);
        let (log, snapshots) = open(&config, disk)?;
        let machine = StateMachine::new(snapshots.clone(), config.snapshot);
        let (image, growth) = (machine.published(), machine.growth());
        let network = Network::new(transport, config.clone());
        let raft = Raft::new(raft_id(config.node_id), raft_config, network, log.clone(), machine)
            .await
            .map_err(fatal)?;
        initialize(&raft, &config).await?;
        let (status_tx, status) = watch::channel(QuorumStatus::unknown());
        tokio::spawn(status::keep_current(raft.clone(), status_tx, config.lease()));
        tokio::spawn(snapshot_when_due(raft.clone(), growth));
        tokio::spawn(election::campaign_at_start(raft.clone(), config.clone()));
        let receiver = Receiver::new(raft.clone(), &config);
        let campaigning = Arc::default();
        Ok(Quorum {
            inner: Arc::new(Inner { config, raft, receiver, log, snapshots, image, status, campaigning }),
        })
    }

    /// Answers a request of another voter; `api` is one of [`crate::api`].
    pub async fn handle_rpc(&self, api: i16, payload: Bytes) -> Result<Bytes, QuorumError> {
        self.inner.receiver.handle(api, payload).await
    }

    /// Writes `records` as one entry and returns when it is committed and applied to this node's image.
    pub async fn propose(&self, records: Vec<Record>) -> Result<Applied, ProposeError> {
        self.write(encode_records(&records), None).await
    }

    /// As [`Quorum::propose`], but only while this node leads `epoch`.
    ///
    /// Within one epoch nothing but proposals takes offsets. A single writer whose earlier proposals are all answered
    /// therefore knows that this entry gets `image.offset() + 1`, or is refused.
    pub async fn propose_in(&self, epoch: i32, records: Vec<Record>) -> Result<Applied, ProposeError> {
        self.write(encode_records(&records), Some(epoch)).await
    }

    /// The metadata image after every run of applied entries.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.inner.image.clone()
    }

    /// The quorum as this node sees it.
    pub fn status(&self) -> watch::Receiver<QuorumStatus> {
        self.inner.status.clone()
    }

    /// Applied entries from offset `from` on, at least one if there is any, or the newest snapshot when `from` is no
    /// longer in the log. Nothing when `from` is the end.
    pub fn read_committed(&self, from: i64, max_bytes: usize) -> Result<Fetched, QuorumError> {
        let end = self.inner.image.borrow().offset().saturating_add(1);
        fetch::read(&self.inner.log, &self.inner.snapshots, from, end, max_bytes)
    }

    /// Asks a quorum whether this node still leads and waits until everything committed before the call is applied here.
    /// Returns the offset up to which the image is at least current.
    pub async fn read_barrier(&self) -> Result<i64, QuorumError> {
        match self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(self.inner.image.borrow().offset()),
            Err(RaftError::Fatal(error)) => Err(fatal(error)),
            Err(RaftError::APIError(_)) => Err(QuorumError::NotLeader { hint: self.other_leader() }),
        }
    }

    /// Hands the leadership to the voter that answers and whose log is most complete, and returns when another leads.
    pub async fn transfer_leadership(&self) -> Result<(), QuorumError> {
        let raft = &self.inner.raft;
        let me = self.inner.config.node_id;
        if !self.may_lead() {
            return Err(QuorumError::NotLeader { hint: self.other_leader() });
        }
        let successor = self.inner.status.borrow().successor(self.inner.config.lease());
        let successor = successor.ok_or(QuorumError::NoSuccessor)?;
        raft.trigger().transfer_leader(raft_id(successor)).await.map_err(fatal)?;
        let mut status = self.status();
        let taken_over = status.wait_for(|now| now.leader.is_some_and(|leader| leader != me));
        match tokio::time::timeout(self.inner.config.lease() * 2, taken_over).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(QuorumError::TransferTimedOut),
        }
    }

    /// Tells this voter that the connection to the leader broke and that a redial was refused, so that its process is
    /// gone. The voter campaigns at once, with a pre-vote. The leader changes when a quorum has been told.
    pub fn hint_leader_gone(&self) {
        let Inner { raft, config, campaigning, .. } = &*self.inner;
        if campaigning.swap(true, Ordering::AcqRel) {
            return;
        }
        let (raft, config, campaigning) = (raft.clone(), config.clone(), campaigning.clone());
        tokio::spawn(async move {
            election::campaign_without_leader(raft, config).await;
            campaigning.store(false, Ordering::Release);
        });
    }

    /// Stops this voter and makes its log durable. Leadership is not handed over: see [`Quorum::transfer_leadership`].
    pub async fn shutdown(&self) {
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "the metadata quorum did not stop cleanly");
        }
        if let Err(error) = self.inner.log.close().await {
            tracing::warn!(%error, "the metadata log was not closed cleanly");
        }
    }

    fn other_leader(&self) -> Option<i32> {
        self.inner.status.borrow().leader.filter(|leader| *leader != self.inner.config.node_id)
    }

    async fn write(&self, records: Bytes, epoch: Option<i32>) -> Result<Applied, ProposeError> {
        let give_up = Instant::now() + self.inner.config.lease();
        loop {
            match self.write_once(records.clone(), epoch).await? {
                Ok(applied) => return Ok(applied),
                // Right after winning, before a quorum has answered, openraft refuses without naming a leader.
                Err(forward)
                    if forward.leader_id.is_none() && self.may_lead() && Instant::now() < give_up =>
                {
                    tokio::time::sleep(PROPOSE_RETRY).await;
                }
                Err(forward) => return Err(ProposeError::NotLeader { hint: forward.leader_id.map(node_id) }),
            }
        }
    }

    fn may_lead(&self) -> bool {
        self.inner.raft.metrics().borrow_watched().current_leader == Some(raft_id(self.inner.config.node_id))
    }

    async fn write_once(
        &self,
        records: Bytes,
        epoch: Option<i32>,
    ) -> Result<Result<Applied, ForwardToLeader<TypeConfig>>, ProposeError> {
        let (responder, answer) =
            ProgressResponder::<TypeConfig, ClientWriteResult<TypeConfig>>::complete_only();
        let mut request = self.inner.raft.write(Proposal(records)).responder(responder);
        if let Some(epoch) = epoch {
            request = request.with_leader(raft_id(epoch));
        }
        request.await.map_err(propose_fatal)?;
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Ok(written)) => Ok(Ok(Applied {
                    offset: offset_of(written.log_id.index),
                    epoch: epoch_of(term_of(&written.log_id)),
                })),
                Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Ok(Err(forward)),
                Ok(Err(_)) => Err(ProposeError::Unknown),
                Err(_) => Err(self.stopped()),
            },
            () = self.leadership_lost() => Err(ProposeError::Unknown),
        }
    }

    /// Returns when this node has not been the confirmed leader for as long as a lease lasts. openraft leaves an
    /// accepted proposal pending then, until another leader's log decides it.
    async fn leadership_lost(&self) {
        let mut status = self.inner.status.clone();
        let lease = self.inner.config.lease();
        loop {
            let lost = status.wait_for(|status| !status.is_active).await.is_err();
            if lost || tokio::time::timeout(lease, status.wait_for(|status| status.is_active)).await.is_err()
            {
                return;
            }
        }
    }

    fn stopped(&self) -> ProposeError {
        let reason = self.inner.status.borrow().stopped.clone();
        ProposeError::Fatal(reason.unwrap_or_else(|| "shut down".to_owned()))
    }
}

fn open(config: &QuorumConfig, disk: Arc<dyn Disk>) -> Result<(LogStore, Arc<SnapshotStore>), QuorumError> {
    let dir: &Path = &config.dir;
    files::create_dir(&*disk, dir).map_err(|error| QuorumError::storage(dir.display().to_string(), error))?;
    let snapshots =
        SnapshotStore::open(disk.clone(), dir).map_err(|error| QuorumError::storage("snapshots", error))?;
    let log = LogStore::open(disk, dir, config.segment_bytes, snapshots.last_log_id())
        .map_err(|error| QuorumError::storage("log", error))?;
    Ok((log, Arc::new(snapshots)))
}

/// Writes the first entry, the voters, into a fresh log. Every voter writes the same one.
async fn initialize(raft: &Raft, config: &QuorumConfig) -> Result<(), QuorumError> {
    let members: BTreeMap<u64, Voter> =
        config.voters.iter().map(|voter| (raft_id(voter.id), Voter::default())).collect();
    if raft.is_initialized().await.map_err(fatal)? {
        return check_voters(raft, members.into_keys().collect()).await;
    }
    match raft.initialize(members).await {
        // Not allowed: a leader's first entries have arrived meanwhile.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(QuorumError::Fatal(error.to_string())),
    }
}

/// The voters are those of the first start; the configuration cannot change them.
async fn check_voters(raft: &Raft, configured: BTreeSet<u64>) -> Result<(), QuorumError> {
    let voters = |state: &RaftState<TypeConfig>| state.membership_state.effective().voter_ids().collect();
    let stored: BTreeSet<u64> = raft.with_raft_state(voters).await.map_err(fatal)?;
    if stored == configured {
        return Ok(());
    }
    Err(QuorumError::Config(format!(
        "the metadata log names the voters {stored:?}, the configuration {configured:?}"
    )))
}

async fn snapshot_when_due(raft: Raft, growth: Arc<crate::state_machine::Growth>) {
    loop {
        growth.snapshot_due.notified().await;
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}

pub(crate) fn fatal(error: Fatal<TypeConfig>) -> QuorumError {
    QuorumError::Fatal(error.to_string())
}

fn propose_fatal(error: Fatal<TypeConfig>) -> ProposeError {
    ProposeError::Fatal(error.to_string())
}
