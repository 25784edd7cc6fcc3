//! SIGTERM and Ctrl-C.

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Both signals, from the moment it is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Cancels `stopping` at the first signal; a second one ends the process at once.
    pub(super) async fn wait(mut self, stopping: CancellationToken) {
        self.next().await;
        stopping.cancel();
        self.next().await;
        warn!("told to stop twice: leaving at once, the logs are recovered at the next start");
        std::process::exit(1);
    }

    /// The next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
