//! Heartbeats that survive links on which packets are lost or take long.
//!
//! What TCP has lost it sends again after some 300 ms, and everything behind it on the connection waits. openraft sends a
//! heartbeat to a member only after the answer to the one before, and gives up on answers that take too long, so a
//! single lost packet would silence a leader for as long as its followers have patience. Therefore a heartbeat that is
//! not answered within an interval is sent again beside the first, on a connection of its own, until one is answered.
//! None of them is given up when another was answered: a connection whose answer nobody awaits is lost, and dialling
//! takes longer than an answer.
//!
//! openraft counts the lease from the moment that it asked for the heartbeat. Whichever attempt is answered was sent
//! after that, so the lease never lasts longer than what the follower has promised.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use crate::QuorumConfig;
use crate::Transport;
use crate::election::is_alone;
use crate::network::{Connection, RpcError};
use crate::runtime;
use crate::types::{Metrics, Raft, TypeConfig};

/// Attempts to one member whose answers are awaited, of all its heartbeats together. A round trip of 100 ms keeps two or
/// three under way, and some more may be held up by losses. One that is stopped gets no more than these.
const UNDER_WAY: usize = 8;

/// The attempts that may be made at one member.
pub(crate) type Attempts = Arc<Semaphore>;

pub(crate) fn attempts() -> Attempts {
    Arc::new(Semaphore::new(UNDER_WAY))
}

/// Sends a heartbeat until it is answered. The caller ends it when that takes too long.
pub(crate) async fn send<T: Transport>(
    peer: &Connection<T>,
    attempts: &Attempts,
    request: AppendEntriesRequest<TypeConfig>,
) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
    let request = Arc::new(request);
    let (tell, mut answers) = mpsc::channel::<Result<_, RpcError>>(UNDER_WAY);
    let mut awaited = 0;
    let mut again = interval(Duration::from_millis(peer.config.heartbeat_ms));
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Some(answer) = answers.recv() => {
                awaited -= 1;
                if awaited == 0 || answer.is_ok() {
                    return answer;
                }
            }
            _ = again.tick() => {
                let Ok(slot) = Arc::clone(attempts).try_acquire_owned() else { continue };
                awaited += 1;
                let (peer, request, tell) = (peer.clone(), Arc::clone(&request), tell.clone());
                runtime::spawn(async move {
                    let answer = peer.append(&request, peer.config.lease() * 2).await;
                    drop(slot);
                    // Another attempt may have been answered before.
                    drop(tell.send(answer).await);
                });
            }
        }
    }
}

/// Has openraft send heartbeats as often as the configuration says while this node leads others. openraft's own interval
/// is the time that it waits for an answer, which must be longer.
pub(crate) async fn keep_beating(raft: Raft, config: Arc<QuorumConfig>) {
    let leads_others = |now: &Metrics| now.state == ServerState::Leader && !is_alone(now);
    let mut changes = raft.metrics();
    let mut beat = interval(Duration::from_millis(config.heartbeat_ms));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if changes.wait_until(leads_others).await.is_err() {
            return;
        }
        beat.tick().await;
        if raft.trigger().heartbeat().await.is_err() {
            return;
        }
    }
}
