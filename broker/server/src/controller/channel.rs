//! A broker's connection to whichever controller is active.

use std::sync::Arc;
use std::time::Duration;

use klamm_wire::{ErrorCode, Request, Str};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::config::listeners::Voter;
use crate::net::client::{CallError, Connection};

/// Time to connect to one controller.
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause after a round in which no controller was active.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What every channel of a process shares.
#[derive(Clone)]
pub struct Directory {
    /// Every controller.
    pub voters: Arc<[Voter]>,
    /// The active controller as far as this process knows.
    pub leader: watch::Receiver<Option<i32>>,
    /// Client id in requests.
    pub client_id: Str,
}

/// No controller answered in time.
#[derive(Debug, thiserror::Error)]
#[error("no active controller within {waited:?}: {last}")]
pub struct NoController {
    /// How long it was tried.
    pub waited: Duration,
    /// The last obstacle.
    pub last: String,
}

/// One connection that follows the active controller. Not shared: each user has its own.
pub struct Channel {
    directory: Directory,
    connection: Option<(i32, Connection)>,
    next: usize,
}

impl Channel {
    /// A channel that dials when it is first used.
    pub fn new(directory: Directory) -> Self {
        Self { directory, connection: None, next: 0 }
    }

    /// Sends `request` to the active controller, trying controllers in turn until one is active or `deadline` passes.
    ///
    /// `error_of` reads the response's top-level error code.
    ///
    /// # Errors
    /// [`NoController`] when the deadline passes first.
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        error_of: impl Fn(&R::Response) -> i16,
        timeout: Duration,
    ) -> Result<R::Response, NoController> {
        let start = Instant::now();
        let mut last = String::from("none was reached");
        let mut failures = 0;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(NoController { waited: timeout, last });
            }
            match self.attempt(version, request, left).await {
                Ok(response) if error_of(&response) != ErrorCode::NotController.code() => {
                    self.next = 0;
                    return Ok(response);
                }
                Ok(_) => last = "the controller that answered is not active".to_owned(),
                Err(error) => {
                    debug!(%error, "controller call failed");
                    last = error.to_string();
                }
            }
            self.connection = None;
            failures += 1;
            if failures % self.directory.voters.len().max(1) == 0 {
                let mut leader = self.directory.leader.clone();
                leader.mark_unchanged();
                // A change of leader ends the pause at once.
                drop(tokio::time::timeout(RETRY_PAUSE, leader.changed()).await);
            }
        }
    }

    async fn attempt<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        left: Duration,
    ) -> Result<R::Response, CallError> {
        let hint = *self.directory.leader.borrow();
        if let (Some(hint), Some((id, _))) = (hint, &self.connection)
            && hint != *id
        {
            self.connection = None;
        }
        if self.connection.is_none() {
            let voter = self.pick(hint);
            let dialled = Connection::connect(
                &voter.host,
                voter.port,
                &self.directory.client_id,
                DIAL_TIMEOUT.min(left),
            )
            .await?;
            self.connection = Some((voter.id, dialled));
        }
        let Some((id, connection)) = self.connection.as_mut() else { return Err(CallError::Timeout(left)) };
        let mut leader = self.directory.leader.clone();
        let asked = *id;
        tokio::select! {
            answer = connection.call(version, request, left) => answer,
            // One that has gone silent never answers.
            Ok(_) = leader.wait_for(|now| *now != hint && now.is_some_and(|now| now != asked)) => {
                self.next = 0;
                Err(CallError::Superseded)
            }
        }
    }

    /// The hinted leader first; after a failure the voters in turn.
    fn pick(&mut self, hint: Option<i32>) -> Voter {
        let voters = &self.directory.voters;
        let turn = self.next;
        self.next = self.next.wrapping_add(1);
        let hinted =
            hint.filter(|_| turn.is_multiple_of(2)).and_then(|id| voters.iter().find(|v| v.id == id));
        let index = (turn / if hint.is_some() { 2 } else { 1 }) % voters.len().max(1);
        hinted.or_else(|| voters.get(index)).cloned().unwrap_or(Voter {
            id: -1,
            host: String::new(),
            port: 0,
        })
    }
}
