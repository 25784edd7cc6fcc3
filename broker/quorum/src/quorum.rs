//! One member of the metadata quorum: what the rest of the process calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use klamm_log::Disk;
use klamm_metadata::{Image, Record, encode_records};
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardToLeader, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::election;
use crate::fetch::{self, Fetched};
use crate::files;
use crate::founding::Founding;
use crate::founding_file::FoundingFile;
use crate::heartbeat;
use crate::identify::{Identified, Identify};
use crate::identity;
use crate::log_store::LogStore;
use crate::messages::Message;
use crate::mutation::{self, Mutation};
use crate::network::{Network, address};
use crate::origin::Origin;
use crate::receive::{LeaderHeard, Receiver};
use crate::runtime;
use crate::snapshot_store::SnapshotStore;
use crate::state_machine::{StateMachine, snapshot_when_due};
use crate::status::{self, QuorumStatus};
use crate::tending;
use crate::transport::{Parcel, api};
use crate::types::{Proposal, Raft, TypeConfig, Voter, epoch_of, node_id, offset_of, term_of, term_of_epoch};
use crate::voters::Voters;
use crate::{Peer, ProposeError, QuorumConfig, QuorumError, Transport, VoterError};

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

/// A running member. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Quorum {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<QuorumConfig>,
    /// This node's raft id.
    me: u64,
    raft: Raft,
    origin: Arc<Origin>,
    receiver: Receiver,
    voters: Arc<Voters>,
    log: LogStore,
    snapshots: Arc<SnapshotStore>,
    image: watch::Receiver<Arc<Image>>,
    status: watch::Receiver<QuorumStatus>,
    campaigning: Arc<AtomicBool>,
}

impl Quorum {
    /// Opens the metadata directory, recovers, and joins the quorum. A directory without a log founds the quorum together
    /// with the other configured voters if all of theirs are without one too; otherwise it becomes an observer of the
    /// quorum that is there. Must be called on the runtime that the quorum's tasks and timers shall live on.
    ///
    /// What was known to be committed when the process stopped is in [`Quorum::image`] when this returns, whether or not
    /// other voters can be reached.
    pub async fn start<T: Transport>(
        config: QuorumConfig,
        disk: Arc<dyn Disk>,
        transport: T,
    ) -> Result<Quorum, QuorumError> {
        config.validate()?;
        let (config, transport) = (Arc::new(config), Arc::new(transport));
        let raft_config = Arc::new(config.raft()?);
        let (log, snapshots) = open(&config, Arc::clone(&disk))?;
        let me = identity::open(&*disk, &config, log.is_fresh() && snapshots.last_log_id().is_none())?;
        let file = Arc::new(FoundingFile::open(disk, &config.dir)?);
        let machine = StateMachine::new(snapshots.clone(), Arc::clone(&file), config.snapshot);
        let (image, growth) = (machine.published(), machine.growth());
        let origin = Arc::new(Origin::new(config.dir.clone(), image.clone(), file));
        let network = Network::new(Arc::clone(&transport), config.clone(), me, Arc::clone(&origin));
        let raft = Raft::new(me, raft_config, network, log.clone(), machine).await.map_err(fatal)?;
        found_alone(&raft, me, &config).await?;
        let (status_tx, status) = watch::channel(QuorumStatus::unknown());
        let heard = LeaderHeard::default();
        let (unfit, is_unfit) = watch::channel(None);
        runtime::spawn(status::keep_current(raft.clone(), status_tx, config.clone(), is_unfit));
        runtime::spawn(snapshot_when_due(raft.clone(), growth));
        let founding = Founding {
            transport,
            config: config.clone(),
            me,
            raft: raft.clone(),
            origin: Arc::clone(&origin),
            heard: heard.clone(),
            told: Default::default(),
        };
        runtime::spawn(founding.run());
        let voters = attend(&raft, me, &config, &status);
        let receiver = Receiver::new(raft.clone(), me, Arc::clone(&origin), log.clone(), heard, unfit);
        let campaigning = Arc::default();
        Ok(Quorum {
            inner: Arc::new(Inner {
                config,
                me,
                raft,
                origin,
                receiver,
                voters,
                log,
                snapshots,
                image,
                status,
                campaigning,
            }),
        })
    }

    /// Answers a request of another controller; `api` is one of [`crate::api`].
    pub async fn handle_rpc(&self, api: i16, request: Parcel) -> Result<Parcel, QuorumError> {
        let answer = if api == api::IDENTIFY {
            Identify::decode(request.payload)
                .map(|question| self.identify(question, request.founding).encode())
        } else {
            self.inner.receiver.handle(api, request).await
        };
        if let Err(error @ QuorumError::UnknownFormat { .. }) = &answer {
            self.inner.receiver.complain(api, error);
        }
        Ok(Parcel { founding: self.inner.origin.founding(), payload: answer? })
    }

    /// Says who this is, also to one of another quorum: it must learn of that. If it leads, whoever asks for the log, and has
    /// no other, is let in meanwhile.
    fn identify(&self, question: Identify, founding: Option<uuid::Uuid>) -> Identified {
        let Inner { config, voters, status, .. } = &*self.inner;
        let now = status.borrow().clone();
        let may_have_log = question.asker.id != config.node_id
            && self.inner.origin.check(question.asker.id, founding).is_ok();
        if question.wants_log && now.is_active && may_have_log {
            let Identify { asker, directory_id, raft_id, wants_vote, .. } = question;
            let observer = Voter { directory_id, host: asker.host, port: asker.port };
            let voters = Arc::clone(voters);
            if wants_vote {
                voters.volunteers.lock().insert(raft_id);
            }
            runtime::spawn(async move {
                if let Err(error) = voters.admit(raft_id, observer).await {
                    tracing::debug!(%error, "a controller was not let in; it will ask again");
                }
            });
        }
        let members = self.inner.voters.members();
        let known = members.iter().map(|member| address(config, member.raft_id, &member.voter));
        Identified {
            node_id: config.node_id,
            directory_id: config.directory_id,
            is_founded: !members.is_empty(),
            controllers: known.filter(|peer| peer.port != 0).collect(),
        }
    }

    /// Makes the disk `directory_id` of a node a voter: it receives the log first, at `peer`, and votes when it has caught
    /// up (KIP-853, AddRaftVoter).
    ///
    /// # Errors
    /// See [`VoterError`]. After [`VoterError::TimedOut`] the change may still happen.
    pub async fn add_voter(
        &self,
        peer: Peer,
        directory_id: uuid::Uuid,
        limit: Duration,
    ) -> Result<(), VoterError> {
        self.inner.voters.add(peer, directory_id, limit).await
    }

    /// Removes a voter (KIP-853, RemoveRaftVoter); if it answers it stays as an observer. The leader hands over before it
    /// is removed: the next leader has to be asked again.
    ///
    /// # Errors
    /// See [`VoterError`]. After [`VoterError::TimedOut`] the change may still happen.
    pub async fn remove_voter(
        &self,
        id: i32,
        directory_id: uuid::Uuid,
        limit: Duration,
    ) -> Result<(), VoterError> {
        let voters = &self.inner.voters;
        if !voters.is_me(id, directory_id)? {
            return voters.remove(id, directory_id, limit).await;
        }
        match self.transfer_leadership().await {
            Ok(()) | Err(QuorumError::NotLeader { .. }) => {
                Err(VoterError::NotLeader { hint: self.other_leader() })
            }
            Err(_) => Err(VoterError::TimedOut("no other voter took the leadership over".to_owned())),
        }
    }

    /// Writes `records` as one entry and returns when it is committed and applied to this node's image.
    pub async fn propose(&self, records: Vec<Record>) -> Result<Applied, ProposeError> {
        self.write(encode_records(&records), None).await
    }

    /// As [`Quorum::propose`], but only while this node leads `epoch`.
    ///
    /// A single writer whose earlier proposals are all answered therefore knows that this entry gets `image.offset() + 1`
    /// or, when the voters change meanwhile, a higher offset, or is refused.
    pub async fn propose_in(&self, epoch: i32, records: Vec<Record>) -> Result<Applied, ProposeError> {
        self.write(encode_records(&records), Some(epoch)).await
    }

    /// The metadata image after every run of applied entries.
    pub fn image(&self) -> watch::Receiver<Arc<Image>> {
        self.inner.image.clone()
    }

    /// Whether this node has heard of the quorum's leader of late, or is the leader and is heard. If not, others may have gone on
    /// without it, and what it knows may be old.
    pub fn is_led(&self) -> bool {
        let Inner { raft, config, receiver, status, .. } = &*self.inner;
        status.borrow().stopped.is_none()
            && status::is_led(&raft.metrics().borrow_watched(), config.lease(), receiver.heard())
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

    /// The leader epoch of an entry that is applied here; `None` when it is not yet, or no longer in the log.
    pub fn epoch_at(&self, offset: i64) -> Result<Option<i32>, QuorumError> {
        fetch::epoch_at(&self.inner.log, &self.inner.snapshots, offset, self.inner.image.borrow().offset())
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
        let successor = status::successor(&self.inner.voters.metrics(), self.inner.config.lease());
        let successor = successor.ok_or(QuorumError::NoSuccessor)?;
        raft.trigger().transfer_leader(successor).await.map_err(fatal)?;
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
        let Inner { raft, me, config, campaigning, .. } = &*self.inner;
        let is_stopped = self.inner.status.borrow().stopped.is_some();
        if is_stopped || campaigning.swap(true, Ordering::AcqRel) {
            return;
        }
        let (raft, me, config, campaigning) = (raft.clone(), *me, config.clone(), campaigning.clone());
        runtime::spawn(async move {
            election::campaign_without_leader(raft, me, config).await;
            campaigning.store(false, Ordering::Release);
        });
    }

    /// The vote that this disk has recorded: the epoch, the raft id of who got it, and whether that one was elected.
    #[cfg(feature = "simulated")]
    pub fn recorded_vote(&self) -> Option<(i32, u64, bool)> {
        let vote = self.inner.log.position().0?;
        Some((epoch_of(vote.leader_id.term), vote.leader_id.voted_for, vote.committed))
    }

    /// Where the log ends, and up to where of it this disk may have acknowledged it: both exclusive.
    #[cfg(feature = "simulated")]
    pub fn log_ends(&self) -> (i64, i64) {
        self.inner.log.ends()
    }

    /// Stops this voter and makes its log durable. Leadership is not handed over: see [`Quorum::transfer_leadership`].
    pub async fn shutdown(&self) {
        self.inner.log.give_up_waiting();
        self.inner.snapshots.give_up_waiting();
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
        self.inner.raft.metrics().borrow_watched().current_leader == Some(self.inner.me)
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
            request = request.with_leader(term_of_epoch(epoch));
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
            () = status::leadership_lost(self.inner.status.clone(), self.inner.config.lease()) => {
                if mutation::is_active(Mutation::UnknownCalledRefused) {
                    return Err(ProposeError::NotLeader { hint: None });
                }
                Err(ProposeError::Unknown)
            }
        }
    }

    fn stopped(&self) -> ProposeError {
        let reason = self.inner.status.borrow().stopped.clone();
        ProposeError::Fatal(reason.unwrap_or_else(|| "shut down".to_owned()))
    }
}

/// Starts what elects and what changes the members.
fn attend(
    raft: &Raft,
    me: u64,
    config: &Arc<QuorumConfig>,
    status: &watch::Receiver<QuorumStatus>,
) -> Arc<Voters> {
    let (turn, volunteers) = Default::default();
    let (config, status) = (Arc::clone(config), status.clone());
    let voters =
        Arc::new(Voters { raft: raft.clone(), config: Arc::clone(&config), status, turn, volunteers });
    runtime::spawn(election::campaign_at_start(raft.clone(), me));
    runtime::spawn(election::rest_when_alone(raft.clone()));
    runtime::spawn(heartbeat::keep_beating(raft.clone(), Arc::clone(&config)));
    runtime::spawn(tending::run(Arc::clone(&voters)));
    voters
}

fn open(config: &QuorumConfig, disk: Arc<dyn Disk>) -> Result<(LogStore, Arc<SnapshotStore>), QuorumError> {
    let dir: &Path = &config.dir;
    files::create_dir(&*disk, dir).map_err(|error| QuorumError::storage(dir.display().to_string(), error))?;
    let snapshots =
        SnapshotStore::open(disk.clone(), dir).map_err(|error| QuorumError::opening(dir, error))?;
    let log = LogStore::open(disk, dir, config.segment_bytes, snapshots.last_log_id())
        .map_err(|error| QuorumError::opening(dir, error))?;
    Ok((log, Arc::new(snapshots)))
}

/// A quorum of one has nobody to ask whether it is there already.
async fn found_alone(raft: &Raft, me: u64, config: &QuorumConfig) -> Result<(), QuorumError> {
    let is_alone = config.is_founder() && config.voters.len() == 1;
    if !is_alone || raft.is_initialized().await.map_err(fatal)? {
        return Ok(());
    }
    let Peer { host, port, .. } = config.endpoint.clone();
    let own = Voter { directory_id: config.directory_id, host, port };
    let founded = raft.initialize(BTreeMap::from([(me, own)])).await;
    founded.map_err(|error| QuorumError::Fatal(error.to_string()))
}

pub(crate) fn fatal(error: Fatal<TypeConfig>) -> QuorumError {
    QuorumError::Fatal(error.to_string())
}

fn propose_fatal(error: Fatal<TypeConfig>) -> ProposeError {
    ProposeError::Fatal(error.to_string())
}
