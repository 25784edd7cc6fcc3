//! Notices at once that the active controller's process is gone: an open connection to it breaks and redials are refused.
//!
//! This only makes this voter stop waiting for the leader that it follows; whether there is an election, and who wins
//! it, stays the quorum's decision.

use std::io;
use std::time::Duration;

use klamm_quorum::{Peer, Quorum, QuorumStatus};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::net::dial::dial_now;

/// A dial that takes longer proves nothing.
const DIAL_TIMEOUT: Duration = Duration::from_millis(300);
/// Pauses before the redials. A dying process closes its sockets one after another; a live one accepts every dial.
const PAUSES_MS: [u64; 5] = [0, 3, 10, 30, 80];
/// Pause before the leader is watched again after it was there all the same.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Watches whichever voter leads until `stop` is cancelled.
pub async fn run(quorum: Quorum, node_id: i32, stop: CancellationToken) {
    let mut status = quorum.status();
    let other_leader = |now: &QuorumStatus| {
        let mut others = now.voters.iter().filter(|voter| voter.id != node_id);
        others.find(|voter| Some(voter.id) == now.leader).map(|voter| voter.address.clone())
    };
    loop {
        let watched = other_leader(&status.borrow_and_update());
        tokio::select! {
            () = stop.cancelled() => return,
            ended = async { status.wait_for(|s| other_leader(s) != watched).await.is_err() } => if ended { return },
            gone = is_gone(watched.as_ref()) => {
                if gone && let Some(leader) = &watched {
                    info!(leader = leader.id, "the controller's process is gone: its address refuses connections");
                    quorum.hint_leader_gone();
                }
                // The next leader is watched from its first moment: it may be killed, too.
                let replaced = status.wait_for(|s| other_leader(s) != watched);
                drop(tokio::time::timeout(RETRY_PAUSE, replaced).await);
            }
        }
    }
}

/// Ends when the connection to the voter does; true when nothing listens there any more.
async fn is_gone(voter: Option<&Peer>) -> bool {
    let Some(voter) = voter else { return std::future::pending().await };
    match dial(voter).await {
        Ok(stream) => until_closed(&stream).await,
        Err(error) => debug!(controller = voter.id, %error, "cannot watch the controller"),
    }
    for pause in PAUSES_MS {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if matches!(dial(voter).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
    }
    false
}

async fn dial(voter: &Peer) -> io::Result<TcpStream> {
    dial_now(&voter.host, voter.port, DIAL_TIMEOUT).await
}

/// Nothing is ever sent on this connection, so whatever can be read is its end.
async fn until_closed(stream: &TcpStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut [0u8; 16]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
