//! The active controller: a single writer that decides what waits, proposes it as one entry, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_metadata::controller::{Controller, Reply, Settings, founding};
use klamm_metadata::{Image, Record};
use klamm_quorum::{ProposeError, Quorum, QuorumStatus};
use klamm_wire::ErrorCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::handle::Submission;
use crate::clock::steady_ms;

/// Commands decided into one entry.
const MAX_BURST: usize = 256;
/// Longest wait between two looks at the clock while active.
const MAX_SLEEP: Duration = Duration::from_millis(200);
/// A longer time between two looks is one in which this node heard nobody: it was paused, starved, or waited for its disk.
const STALL: Duration = Duration::from_millis(300);

/// Replies that wait for the entry.
type Owed = Vec<(oneshot::Sender<Result<Reply, ErrorCode>>, Reply)>;

/// The task of one controller node.
pub struct ControllerTask {
    quorum: Quorum,
    inbox: mpsc::Receiver<Submission>,
    settings: Settings,
    /// Told the image whenever this node becomes active, to check brokers at once.
    activated: mpsc::UnboundedSender<Arc<Image>>,
    active: Option<(i32, Controller)>,
    node_id: i32,
    /// Which other node led before.
    previous: Option<i32>,
    last_look: Instant,
}

impl ControllerTask {
    /// A controller that is not active yet.
    pub fn new(
        node_id: i32,
        quorum: Quorum,
        inbox: mpsc::Receiver<Submission>,
        settings: Settings,
        activated: mpsc::UnboundedSender<Arc<Image>>,
    ) -> Self {
        let last_look = Instant::now();
        Self { quorum, inbox, settings, activated, active: None, node_id, previous: None, last_look }
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut status = self.quorum.status();
        let mut burst = Vec::new();
        loop {
            self.notice_stall();
            self.follow(&status);
            let sleep = self.sleep();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                count = self.inbox.recv_many(&mut burst, MAX_BURST) => {
                    if count == 0 {
                        return;
                    }
                    self.follow(&status);
                    self.decide(std::mem::take(&mut burst)).await;
                }
                () = tokio::time::sleep(sleep), if self.active.is_some() => self.tick().await,
            }
        }
    }

    fn notice_stall(&mut self) {
        let stall = self.last_look.elapsed();
        self.last_look = Instant::now();
        if let Some((_, controller)) = self.active.as_mut().filter(|_| stall > STALL) {
            info!(?stall, "the controller could not listen; nobody is fenced for being silent meanwhile");
            controller.on_stall(i64::try_from(stall.as_millis()).unwrap_or(i64::MAX));
        }
    }

    /// Takes over or gives up the role as the quorum says.
    fn follow(&mut self, status: &watch::Receiver<QuorumStatus>) {
        let (is_active, epoch, leader) = {
            let status = status.borrow();
            (status.is_active, status.epoch, status.leader)
        };
        if !is_active && self.active.is_none() {
            // Between its election and its first decision this node leads, too.
            self.previous = leader.filter(|leader| *leader != self.node_id).or(self.previous);
        }
        match &self.active {
            Some((known, _)) if is_active && *known == epoch => {}
            None if !is_active => {}
            _ if is_active => {
                let image = self.image();
                let mut controller = Controller::new(self.settings.clone());
                controller.on_become_active(&image, self.previous.take(), steady_ms());
                info!(epoch, offset = image.offset(), "this node is the active controller");
                self.active = Some((epoch, controller));
                // Nobody listens during shutdown.
                drop(self.activated.send(image));
            }
            _ => {
                info!(epoch, "this node is no longer the active controller");
                self.active = None;
                self.previous = leader;
            }
        }
    }

    fn image(&self) -> Arc<Image> {
        Arc::clone(&self.quorum.image().borrow())
    }

    fn sleep(&self) -> Duration {
        let deadline = self.active.as_ref().and_then(|(_, c)| c.next_deadline());
        let wait = deadline
            .map_or(MAX_SLEEP, |at| Duration::from_millis(u64::try_from(at - steady_ms()).unwrap_or(0)));
        wait.clamp(Duration::from_millis(1), MAX_SLEEP)
    }

    async fn decide(&mut self, burst: Vec<Submission>) {
        let image = self.image();
        let Some((epoch, controller)) = self.active.as_mut() else {
            for submission in burst {
                // The asker may be gone.
                drop(submission.reply.send(Err(ErrorCode::NotController)));
            }
            return;
        };
        let mut working = (*image).clone();
        let mut records: Vec<Record> = founding(&image, &mut rand::random).into_iter().collect();
        working.apply(image.offset(), image.epoch(), &records);
        let mut owed: Owed = Vec::with_capacity(burst.len());
        for Submission { command, reply } in burst {
            let decision =
                controller.handle(&working, command, steady_ms(), image.offset() + 1, &mut rand::random);
            working.apply(working.offset(), working.epoch(), &decision.records);
            records.extend(decision.records);
            owed.push((reply, decision.reply));
        }
        let epoch = *epoch;
        // An empty entry asks the quorum.
        let outcome = match records.is_empty() && !owed.iter().any(|(_, reply)| binds_a_leader(reply)) {
            true => Ok(()),
            false => self.propose(epoch, records).await,
        };
        settle(owed, outcome);
    }

    async fn tick(&mut self) {
        let image = self.image();
        let Some((epoch, controller)) = self.active.as_mut() else { return };
        let epoch = *epoch;
        let decisions = controller.tick(&image, steady_ms());
        let records: Vec<Record> = decisions.into_iter().flat_map(|d| d.records).collect();
        if records.is_empty() {
            return;
        }
        if let Err(error) = self.propose(epoch, records).await {
            warn!(%error, "a periodic decision was not recorded");
        }
    }

    /// Proposes in the epoch in which it was decided, so that a decision never outlives the role it was made in.
    async fn propose(&self, epoch: i32, records: Vec<Record>) -> Result<(), ProposeError> {
        self.quorum.propose_in(epoch, records).await.map(|_| ())
    }
}

/// A partition's leader acts on a refusal, too: it takes back what it proposed. A controller that was replaced and does not know
/// it must not refuse what its successor has accepted.
fn binds_a_leader(reply: &Reply) -> bool {
    matches!(reply, Reply::AlterPartition(_) | Reply::ReplicaDamage(_))
}

fn settle(owed: Owed, outcome: Result<(), ProposeError>) {
    let error = match &outcome {
        Ok(()) => None,
        Err(ProposeError::NotLeader { .. }) => Some(ErrorCode::NotController),
        Err(error) => {
            warn!(%error, "a decision was not recorded");
            Some(ErrorCode::NotController)
        }
    };
    for (waiter, reply) in owed {
        // The asker may be gone.
        drop(waiter.send(error.map_or(Ok(reply), Err)));
    }
}
