//! What a controller does that is not in touch with a leader: it founds the quorum, or asks to be let in.
//!
//! A disk that is empty may be new, or may have replaced one that has voted; it cannot know. So a quorum is founded only
//! when every configured voter has said that its disk is empty too, and by the lowest of them alone. As long as one other
//! disk of the quorum is left and its node answers, or does not answer, nothing is founded a second time; and who finds a
//! quorum that it is no member of becomes an observer, under a raft id of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::identify::{Identified, Identify};
use crate::messages::Message;
use crate::network::address;
use crate::origin::Origin;
use crate::receive::LeaderHeard;
use crate::transport::{Parcel, api};
use crate::types::{Metrics, Raft, Voter, raft_id};
use crate::{Peer, QuorumConfig, Transport};

/// Between two rounds of questions while there is no quorum.
const EAGER: Duration = Duration::from_millis(25);
/// Between two looks, or rounds of questions, once there is one.
const CALM: Duration = Duration::from_secs(1);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Silence of the leader after which this node asks whether it is still a member.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two lines about what is waited for.
const REMINDER: Duration = Duration::from_secs(10);

/// Addresses that others may tell of.
const MOST_TOLD: usize = 64;

/// Keeps this node in touch with its quorum.
pub(crate) struct Founding<T> {
    pub(crate) transport: Arc<T>,
    pub(crate) config: Arc<QuorumConfig>,
    pub(crate) me: u64,
    pub(crate) raft: Raft,
    pub(crate) origin: Arc<Origin>,
    pub(crate) heard: LeaderHeard,
    /// Controllers that others have told of.
    pub(crate) told: Mutex<Vec<Peer>>,
}

/// A peer that was asked, and what it said.
type Answers = Vec<(Peer, Option<Identified>)>;

impl<T: Transport> Founding<T> {
    /// Runs until openraft stops.
    pub(crate) async fn run(self) {
        let mut reminded = Instant::now();
        loop {
            let metrics = self.raft.metrics().borrow_watched().clone();
            if metrics.running_state.is_err() {
                return;
            }
            let is_empty = metrics.membership_config.membership().nodes().next().is_none();
            if is_empty {
                let answers = self.ask(self.contacts(&metrics)).await;
                self.found(&answers).await;
                if reminded.elapsed() > REMINDER {
                    reminded = Instant::now();
                    self.remind(&answers);
                }
            } else if self.should_ask(&metrics) {
                self.ask(self.contacts(&metrics)).await;
            }
            tokio::time::sleep(if is_empty { EAGER } else { CALM }).await;
        }
    }

    fn should_ask(&self, metrics: &Metrics) -> bool {
        let votes = metrics.membership_config.membership().voter_ids().any(|id| id == self.me);
        let leads = metrics.state == ServerState::Leader;
        let is_heard = self.heard.lock().is_some_and(|at| at.elapsed() < SILENCE);
        !leads && (!is_heard || self.config.auto_join && !votes)
    }

    /// Everybody who may know of the quorum, but for this node itself.
    fn contacts(&self, metrics: &Metrics) -> Vec<Peer> {
        let members = metrics.membership_config.membership().nodes();
        let members = members.map(|(id, voter)| address(&self.config, *id, voter));
        let told = self.told.lock().clone();
        let mut contacts: Vec<Peer> = Vec::new();
        for peer in
            self.config.voters.iter().cloned().chain(members).chain(told).chain(self.config.contacts.clone())
        {
            let is_known = contacts.iter().any(|known| (&known.host, known.port) == (&peer.host, peer.port));
            if peer.id != self.config.node_id && !is_known {
                contacts.push(peer);
            }
        }
        contacts
    }

    async fn ask(&self, contacts: Vec<Peer>) -> Answers {
        let question = Identify {
            asker: self.config.endpoint.clone(),
            directory_id: self.config.directory_id,
            raft_id: self.me,
            wants_log: true,
            wants_vote: self.config.auto_join,
        };
        let question = Parcel { founding: self.origin.founding(), payload: question.encode() };
        let ask = |peer: Peer| {
            let call = self.transport.call(peer.clone(), api::IDENTIFY, question.clone(), PATIENCE);
            async move {
                let answer = tokio::time::timeout(PATIENCE, call).await.ok().and_then(Result::ok);
                // Whom one of another quorum knows is of no use here, either.
                let answer = answer.filter(|answer| self.origin.check(peer.id, answer.founding).is_ok());
                let said = answer.and_then(|answer| Identified::decode(answer.payload).ok());
                (peer.id < 0 || said.as_ref().is_some_and(|said| said.node_id == peer.id))
                    .then_some(said)
                    .flatten()
            }
        };
        let said = join_all(contacts.iter().cloned().map(ask)).await;
        for told in said.iter().flatten().flat_map(|said| &said.controllers) {
            let mut known = self.told.lock();
            if !known.contains(told) && known.len() < MOST_TOLD {
                known.push(told.clone());
            }
        }
        contacts.into_iter().zip(said).collect()
    }

    /// Founds the quorum if this node is the one to do so, and everybody's disk is empty.
    async fn found(&self, answers: &Answers) {
        let Some(members) = self.founders(answers) else { return };
        tracing::info!(voters = ?self.config.voters, "every controller's disk is empty: founding the metadata quorum");
        match self.raft.initialize(members).await {
            // Not allowed: a leader's first entries have arrived meanwhile.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => tracing::error!(%error, "the metadata quorum cannot be founded"),
        }
    }

    fn founders(&self, answers: &Answers) -> Option<BTreeMap<u64, Voter>> {
        if answers.iter().any(|(_, said)| said.as_ref().is_some_and(|said| said.is_founded)) {
            return None;
        }
        let mut members = BTreeMap::from([member(&self.config.endpoint, self.config.directory_id)]);
        if self.config.voters.is_empty() {
            let is_alone = self.config.contacts.len() == 1
                && answers.iter().all(|(_, said)| {
                    said.as_ref().is_some_and(|said| said.directory_id == self.config.directory_id)
                });
            return is_alone.then_some(members);
        }
        let lowest = self.config.voters.iter().map(|voter| voter.id).min();
        if lowest != Some(self.config.node_id) {
            return None;
        }
        for voter in self.config.voters.iter().filter(|voter| voter.id != self.config.node_id) {
            let said = answers.iter().find(|(peer, _)| peer.id == voter.id)?.1.as_ref()?;
            members.extend([member(voter, said.directory_id)]);
        }
        Some(members)
    }

    fn remind(&self, answers: &Answers) {
        let silent: Vec<&Peer> =
            answers.iter().filter(|(_, said)| said.is_none()).map(|(peer, _)| peer).collect();
        if answers.iter().any(|(_, said)| said.as_ref().is_some_and(|said| said.is_founded)) {
            tracing::info!(
                "this disk is empty and the metadata quorum is there already: waiting for its leader to let this node in"
            );
        } else {
            tracing::info!(
                ?silent,
                "this disk is empty: waiting for the controllers that are silent, since a quorum is founded only when the \
                 disks of all of them are empty"
            );
        }
    }
}

fn member(peer: &Peer, directory_id: uuid::Uuid) -> (u64, Voter) {
    let voter = Voter { directory_id, host: peer.host.clone(), port: peer.port };
    (raft_id(peer.id, directory_id), voter)
}
