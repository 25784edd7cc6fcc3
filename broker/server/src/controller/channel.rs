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
/// Time for an answer of a controller that is not known to be active: it may be silent, and the one that is may be next.
const GUESS_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause after a controller said that it is not active, or after a round in which none was reached.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// What every channel of a process shares.
#[derive(Clone)]
pub struct Directory {
    /// Every controller that is known; nodes come and go.
    pub controllers: watch::Receiver<Arc<[Voter]>>,
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
                Ok(_) => {
                    last = "the controller that answered is not active".to_owned();
                    self.pause().await;
                }
                Err(error) => {
                    debug!(%error, "controller call failed");
                    last = error.to_string();
                }
            }
            self.connection = None;
            failures += 1;
            if failures % self.directory.controllers.borrow().len().max(1) == 0 {
                self.pause().await;
            }
        }
    }

    /// A change of leader ends it at once.
    async fn pause(&self) {
        let mut leader = self.directory.leader.clone();
        leader.mark_unchanged();
        drop(tokio::time::timeout(RETRY_PAUSE, leader.changed()).await);
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
            let limit = DIAL_TIMEOUT.min(left);
            let dial = Connection::connect(&voter.host, voter.port, &self.directory.client_id, limit);
            let dialled = tokio::select! {
                dialled = dial => dialled?,
                () = superseded(self.directory.leader.clone(), hint, voter.id) => {
                    self.next = 0;
                    return Err(CallError::Superseded);
                }
            };
            self.connection = Some((voter.id, dialled));
        }
        let Some((id, connection)) = self.connection.as_mut() else { return Err(CallError::Timeout(left)) };
        let asked = *id;
        let left = if hint == Some(asked) { left } else { left.min(GUESS_TIMEOUT) };
        tokio::select! {
            answer = connection.call(version, request, left) => answer,
            // One that has gone silent never answers.
            () = superseded(self.directory.leader.clone(), hint, asked) => {
                self.next = 0;
                Err(CallError::Superseded)
            }
        }
    }

    /// The hinted leader twice, as it may just have been elected; then the voters in turn, each after the hinted one.
    fn pick(&mut self, hint: Option<i32>) -> Voter {
        let voters = Arc::clone(&self.directory.controllers.borrow());
        let turn = self.next;
        self.next = self.next.wrapping_add(1);
        let hinted = hint.filter(|_| turn % 3 != 2).and_then(|id| voters.iter().find(|v| v.id == id));
        let index = (turn / if hint.is_some() { 3 } else { 1 }) % voters.len().max(1);
        hinted.or_else(|| voters.get(index)).cloned().unwrap_or(Voter {
            id: -1,
            host: String::new(),
            port: 0,
        })
    }
}

/// Ends when another controller than the one that is asked becomes known as the active one.
async fn superseded(mut leader: watch::Receiver<Option<i32>>, hint: Option<i32>, asked: i32) {
    if leader.wait_for(|now| *now != hint && now.is_some_and(|now| now != asked)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
