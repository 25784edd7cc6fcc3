//! A broker's heartbeats on their way. None waits for another: behind a lost packet TCP holds back whatever follows on the
//! connection, for longer than a session lasts if it is lost again, so the next heartbeat takes another connection.

use std::future::Future;
use std::time::Duration;

use klamm_wire::Message;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::controller::channel::{Channel, NoController};

/// What became of a heartbeat.
pub type Outcome = Result<BrokerHeartbeatResponse, NoController>;

/// Carries one heartbeat at a time to the active controller.
pub trait Line: Send + 'static {
    /// Sends a heartbeat and awaits its answer.
    fn beat(
        &mut self,
        request: &BrokerHeartbeatRequest,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send;
}

impl Line for Channel {
    async fn beat(&mut self, request: &BrokerHeartbeatRequest, timeout: Duration) -> Outcome {
        self.call(BrokerHeartbeatRequest::MAX, request, |r| r.error_code, timeout).await
    }
}

/// A heartbeat that has been answered or given up.
pub struct Beat {
    /// When it was sent.
    pub sent: Instant,
    /// Whether it asked for leave to stop.
    pub wanted_to_stop: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// Heartbeats over several lines.
pub struct Pulse<L> {
    /// The one that was used last is last: as long as nothing is late, only one is used.
    idle: Vec<L>,
    under_way: JoinSet<(u64, L, Beat)>,
    sent: u64,
    newest: u64,
}

impl<L: Line> Pulse<L> {
    /// Nothing is on its way on `lines` yet.
    pub fn new(lines: Vec<L>) -> Self {
        Self { idle: lines, under_way: JoinSet::new(), sent: 0, newest: 0 }
    }

    /// Sends a heartbeat, unless there is one under way on every line.
    pub fn send(&mut self, request: BrokerHeartbeatRequest, timeout: Duration) {
        let Some(mut line) = self.idle.pop() else { return };
        self.sent += 1;
        let number = self.sent;
        let sent = Instant::now();
        self.under_way.spawn(async move {
            let outcome = line.beat(&request, timeout).await;
            (number, line, Beat { sent, wanted_to_stop: request.want_shut_down, outcome })
        });
    }

    /// What became of the next heartbeat; `None` when `patience` ends first. What is older than one that was answered
    /// before says nothing any more.
    pub async fn next(&mut self, patience: Duration) -> Option<Beat> {
        let until = Instant::now() + patience;
        loop {
            let Ok(ended) = timeout_at(until, self.under_way.join_next()).await else { return None };
            // With nothing under way there is nothing to wait for but the next interval.
            let Some(ended) = ended else {
                tokio::time::sleep_until(until).await;
                return None;
            };
            let Ok((number, line, beat)) = ended else { continue };
            self.idle.push(line);
            if number > self.newest {
                self.newest = number;
                return Some(beat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use klamm_wire::ErrorCode;
    use parking_lot::Mutex;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);
    const WAY: Duration = Duration::from_millis(50);

    /// Heartbeats arrive after some time each, and the answers take the usual time back.
    #[derive(Clone)]
    struct Slow {
        way: fn(usize) -> Duration,
        sent: Arc<Mutex<usize>>,
        arrivals: Arc<Mutex<Vec<Instant>>>,
    }

    impl Slow {
        fn pulse(way: fn(usize) -> Duration) -> (Pulse<Slow>, Slow) {
            let line = Slow { way, sent: Arc::default(), arrivals: Arc::default() };
            (Pulse::new(vec![line.clone(), line.clone(), line.clone()]), line)
        }
    }

    impl Line for Slow {
        async fn beat(&mut self, request: &BrokerHeartbeatRequest, timeout: Duration) -> Outcome {
            let number = {
                let mut sent = self.sent.lock();
                *sent += 1;
                *sent
            };
            let arrives = async {
                tokio::time::sleep((self.way)(number)).await;
                self.arrivals.lock().push(Instant::now());
                tokio::time::sleep(WAY).await;
            };
            let refused = || NoController { waited: timeout, last: String::new() };
            tokio::time::timeout(timeout, arrives).await.map_err(|_| refused())?;
            let is_fenced = request.current_metadata_offset == 0;
            Ok(BrokerHeartbeatResponse {
                is_fenced,
                error_code: ErrorCode::None.code(),
                ..Default::default()
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_that_is_held_up_silences_nobody() {
        // Every third is lost twice.
        let (mut pulse, line) =
            Slow::pulse(|number| if number % 3 == 0 { Duration::from_millis(950) } else { WAY });
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            pulse.send(BrokerHeartbeatRequest::default(), Duration::from_secs(1));
            if pulse.next(INTERVAL).await.is_some() {
                tokio::time::sleep(INTERVAL).await;
            }
        }
        let arrivals = line.arrivals.lock().clone();
        let longest = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().expect("heartbeats");
        assert!(longest <= INTERVAL * 3, "{longest:?} of silence");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_overtaken_heartbeat_is_told_is_old() {
        let (mut pulse, line) =
            Slow::pulse(|number| if number == 1 { Duration::from_millis(400) } else { WAY });
        let beat = |current_metadata_offset| BrokerHeartbeatRequest {
            current_metadata_offset,
            ..BrokerHeartbeatRequest::default()
        };
        pulse.send(beat(0), Duration::from_secs(1));
        assert!(pulse.next(INTERVAL).await.is_none());
        pulse.send(beat(7), Duration::from_secs(1));
        let newer = pulse.next(INTERVAL).await.expect("it overtakes").outcome.expect("answered");
        assert!(!newer.is_fenced);
        assert!(pulse.next(INTERVAL * 5).await.is_none(), "the other one is answered meanwhile");
        assert_eq!(line.arrivals.lock().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_controller_gets_no_more_heartbeats_than_there_are_lines() {
        let (mut pulse, line) = Slow::pulse(|_| Duration::from_secs(3600));
        let mut given_up = 0;
        for _ in 0..4 {
            pulse.send(BrokerHeartbeatRequest::default(), Duration::from_secs(1));
            given_up += usize::from(pulse.next(INTERVAL).await.is_some());
        }
        assert_eq!((*line.sent.lock(), given_up), (3, 0));
        let beat = pulse.next(INTERVAL * 2).await.expect("the first is given up");
        assert!(beat.outcome.is_err() && !beat.wanted_to_stop);
    }
}
