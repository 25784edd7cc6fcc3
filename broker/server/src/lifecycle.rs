//! The broker's life at the controller: registration, heartbeats, controlled shutdown (BrokerRegistration 62,
//! BrokerHeartbeat 63).

use std::sync::Arc;
use std::time::Duration;

use klamm_wire::ErrorCode;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use klamm_wire::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use klamm_wire::{Message, Str};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::controller::channel::Channel;
use crate::node::Node;
use crate::pulse::Pulse;

/// Time after which a registration without an answer is sent again.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(2);
/// Time after which a heartbeat without an answer is given up for the next one.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);
/// The same when the broker wants to stop, which is decided and recorded before it is answered.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Time in which an answered registration is in the metadata log that this node follows, if it ever is.
const REGISTRATION_PULLED: Duration = Duration::from_secs(5);
/// Connections for heartbeats. One is enough where nothing is lost; of three in use at a time it takes several losses in a
/// row to hold up all.
const LINES: usize = 3;
/// Pause between heartbeats while the broker is not yet running or is stopping.
const EAGER_INTERVAL: Duration = Duration::from_millis(10);

/// Where the broker stands; the names are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not registered, or not caught up with the metadata log.
    Starting,
    /// Caught up, still fenced.
    Recovery,
    /// Unfenced.
    Running,
    /// Asked to stop; leaderships move away.
    PendingControlledShutdown,
    /// The controller let it go, or the wait ended.
    ShuttingDown,
}

/// Shared view of the lifecycle.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// Epoch of the registration; -1 before.
    pub broker_epoch: i64,
    /// When the newest heartbeat was sent that the controller answered with this broker not fenced.
    pub confirmed: Option<Instant>,
}

impl Standing {
    /// Before anything is known.
    pub fn unknown() -> Self {
        Self { state: State::Starting, broker_epoch: -1, confirmed: None }
    }

    /// Whether nobody can have taken this broker for dead: its session, counted from what the controller has heard, lasts.
    pub fn is_confirmed(&self, session: Duration) -> bool {
        self.confirmed.is_some_and(|sent| sent.elapsed() < session)
    }
}

/// Registers and sends heartbeats until the controller lets the broker go after `stopping`, or `give_up` is cancelled.
pub async fn run(
    node: Arc<Node>,
    channel: impl Fn() -> Channel,
    standing: watch::Sender<Standing>,
    stopping: CancellationToken,
    give_up: CancellationToken,
) {
    tokio::select! {
        () = live(&node, channel, &standing, &stopping) => {}
        () = give_up.cancelled() => {}
    }
    standing.send_modify(|s| s.state = State::ShuttingDown);
}

async fn live(
    node: &Node,
    channel: impl Fn() -> Channel,
    standing: &watch::Sender<Standing>,
    stopping: &CancellationToken,
) {
    loop {
        let mut first = channel();
        let registered = tokio::select! {
            epoch = register(node, &mut first) => epoch,
            // Who is not registered leads nothing and needs nobody's leave.
            () = stopping.cancelled() => return,
        };
        if let Some(epoch) = registered {
            standing.send_modify(|s| s.broker_epoch = epoch);
            info!(broker_epoch = epoch, "registered");
            let mut lines: Vec<Channel> = (1..LINES).map(|_| channel()).collect();
            lines.push(first);
            if heartbeats(node, Pulse::new(lines), standing, stopping, epoch).await {
                return;
            }
            standing.send_modify(|s| s.state = State::Starting);
        }
        tokio::select! {
            () = tokio::time::sleep(node.config.heartbeat_interval.min(Duration::from_millis(100))) => {}
            () = stopping.cancelled() => return,
        }
    }
}

async fn register(node: &Node, channel: &mut Channel) -> Option<i64> {
    let request = registration(node);
    let version = BrokerRegistrationRequest::MAX;
    match channel.call(version, &request, |r| r.error_code, REGISTRATION_TIMEOUT).await {
        Ok(r) if r.error_code == ErrorCode::None.code() => Some(r.broker_epoch),
        Ok(r) => {
            warn!(error = %ErrorCode::from_code(r.error_code), "registration refused; trying again");
            None
        }
        Err(error) => {
            info!(%error, "waiting for a controller to register with");
            None
        }
    }
}

/// Whether the image has come to this registration. A broker epoch is its offset, or a little before: an image that is
/// further and stays without it is not of this quorum's log, because every controller lost its disk and they began anew.
fn has_registration(node: &Node, broker_epoch: i64, since: Instant) -> bool {
    let image = node.image();
    if node.is_known_to(&image) {
        return true;
    }
    if image.offset() >= broker_epoch && since.elapsed() > REGISTRATION_PULLED {
        let offset = image.offset();
        node.kept
            .disown(format!("this registration is at offset {broker_epoch}, the image at {offset} lacks it"));
    }
    false
}

fn registration(node: &Node) -> BrokerRegistrationRequest {
    let listeners = node.advertised.iter().map(|e| Listener {
        name: Str::copy_from(&e.name),
        host: Str::copy_from(&e.host),
        port: e.port,
        security_protocol: 0,
        ..Listener::default()
    });
    BrokerRegistrationRequest {
        broker_id: node.config.node_id,
        cluster_id: node.cluster_id.clone(),
        incarnation_id: node.incarnation,
        listeners: listeners.collect(),
        rack: node.config.rack.as_deref().map(Str::copy_from),
        log_dirs: vec![node.directory_id],
        previous_broker_epoch: node.previous_broker_epoch,
        ..BrokerRegistrationRequest::default()
    }
}

/// True when the broker may stop; false when it must register again.
async fn heartbeats(
    node: &Node,
    mut pulse: Pulse<Channel>,
    standing: &watch::Sender<Standing>,
    stopping: &CancellationToken,
    epoch: i64,
) -> bool {
    let (since, mut is_known) = (Instant::now(), false);
    loop {
        is_known = is_known || has_registration(node, epoch, since);
        // Without its registration an image is behind, however long its log was.
        let offset = node.image().offset();
        let current_metadata_offset = if is_known { offset } else { offset.min(epoch - 1) };
        let want_shut_down = stopping.is_cancelled();
        let request = BrokerHeartbeatRequest {
            broker_id: node.config.node_id,
            broker_epoch: epoch,
            current_metadata_offset,
            want_fence: false,
            want_shut_down,
            ..BrokerHeartbeatRequest::default()
        };
        pulse.send(request, if want_shut_down { STOP_TIMEOUT } else { HEARTBEAT_TIMEOUT });
        // Without an answer by then the next one goes beside it.
        let Some(beat) = pulse.next(node.config.heartbeat_interval).await else { continue };
        match beat.outcome {
            Ok(r) if r.error_code == ErrorCode::None.code() => {
                if r.should_shut_down {
                    info!("the controller lets this broker go");
                    return true;
                }
                confirm(standing, &r, beat.sent);
                advance(standing, &r, stopping.is_cancelled());
            }
            Ok(r) => {
                warn!(error = %ErrorCode::from_code(r.error_code), "heartbeat refused; registering again");
                return false;
            }
            Err(error) if beat.wanted_to_stop => {
                warn!(%error, "stopping without a controller's leave");
                return true;
            }
            Err(error) => debug!(%error, "heartbeat not answered"),
        }
        pause(node, standing, stopping).await;
    }
}

async fn pause(node: &Node, standing: &watch::Sender<Standing>, stopping: &CancellationToken) {
    let eager = standing.borrow().state != State::Running;
    let interval = if eager { EAGER_INTERVAL } else { node.config.heartbeat_interval };
    let mut leader = node.leader.clone();
    leader.mark_unchanged();
    tokio::select! {
        () = tokio::time::sleep(interval) => {}
        // A new controller knows of nobody that lives until it hears of it.
        Ok(()) = leader.changed() => {}
        () = stopping.cancelled(), if !stopping.is_cancelled() => {}
    }
}

/// Moves the state by what the controller says, with the log lines that tools wait for.
fn confirm(standing: &watch::Sender<Standing>, response: &BrokerHeartbeatResponse, sent: Instant) {
    if !response.is_fenced {
        // No news to whoever waits for a change of state.
        standing.send_if_modified(|s| {
            s.confirmed = s.confirmed.max(Some(sent));
            false
        });
    }
}

fn advance(standing: &watch::Sender<Standing>, response: &BrokerHeartbeatResponse, stopping: bool) {
    let state = standing.borrow().state;
    let mut next = state;
    if next == State::Starting && response.is_caught_up {
        info!("The broker has caught up. Transitioning from STARTING to RECOVERY.");
        next = State::Recovery;
    }
    if next == State::Recovery && !response.is_fenced {
        info!("The broker has been unfenced. Transitioning from RECOVERY to RUNNING.");
        next = State::Running;
    }
    if next == State::Running && response.is_fenced && !stopping {
        warn!("The broker has been fenced. Transitioning from RUNNING to RECOVERY.");
        next = State::Recovery;
    }
    if stopping && next < State::PendingControlledShutdown {
        info!("Beginning controlled shutdown.");
        next = State::PendingControlledShutdown;
    }
    if next != state {
        standing.send_modify(|s| s.state = next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_is_sure_of_itself_as_long_as_its_session_lasts_from_what_it_sent() {
        let session = Duration::from_secs(1);
        let (standing, seen) = watch::channel(Standing::unknown());
        assert!(!seen.borrow().is_confirmed(session));
        let sent = Instant::now();
        tokio::time::sleep(Duration::from_millis(600)).await;
        confirm(&standing, &BrokerHeartbeatResponse { is_fenced: true, ..Default::default() }, sent);
        assert!(!seen.borrow().is_confirmed(session), "fenced");
        confirm(&standing, &BrokerHeartbeatResponse { is_fenced: false, ..Default::default() }, sent);
        assert!(seen.borrow().is_confirmed(session));
        // Counted from when the heartbeat left, not from when its answer came.
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(!seen.borrow().is_confirmed(session));
    }
}
