//! Hands commands to this node's controller, which decides them one after another.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::ErrorCode;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait.
pub const QUEUE: usize = 1_000;

/// One command and where its reply goes.
pub struct Submission {
    /// The command.
    pub command: Command,
    /// Gets the reply once its records are committed.
    pub reply: oneshot::Sender<Result<Reply, ErrorCode>>,
}

/// The sending side.
#[derive(Clone)]
pub struct ControllerHandle {
    queue: mpsc::Sender<Submission>,
}

impl ControllerHandle {
    /// A handle and the queue it fills.
    pub fn new() -> (Self, mpsc::Receiver<Submission>) {
        let (queue, inbox) = mpsc::channel(QUEUE);
        (Self { queue }, inbox)
    }

    /// Decides `command` if this node is the active controller.
    ///
    /// # Errors
    /// `NOT_CONTROLLER` when it is not, or when it ceased to be before the outcome was known.
    pub async fn submit(&self, command: Command) -> Result<Reply, ErrorCode> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Submission { command, reply }).await.map_err(|_| ErrorCode::NotController)?;
        answer.await.unwrap_or(Err(ErrorCode::NotController))
    }
}
