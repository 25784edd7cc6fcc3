//! `down`: stops the cluster of a data directory.

use std::time::{Duration, Instant};

use crate::cli;
use crate::data::state::State;
use crate::data::status::Status;
use crate::data::{DataDir, DataError, lock};
use crate::local::node::STOP_BOUND;
use crate::local::process::ProcessId;
use crate::local::supervisor::Supervisor;

const POLL: Duration = Duration::from_millis(50);
/// What `up` may need beside the stopping of its nodes.
const MARGIN: Duration = Duration::from_secs(10);

/// Why the cluster could not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// The directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// `up` does not end.
    #[error(
        "klamm-operator up with pid {0} does not stop: look at it, or end it with kill -9 {0} and run down again"
    )]
    Stuck(u32),
    /// The system refused something.
    #[error("cannot stop the cluster: {0}")]
    System(#[from] std::io::Error),
}

/// Asks the `up` that holds the directory to stop, else stops the nodes that one left behind.
///
/// # Errors
/// If the directory cannot be used or `up` does not end.
pub fn run(args: &cli::Down) -> Result<(), DownError> {
    let dir = DataDir::existing(&args.data)?;
    match lock::holder(&dir).and_then(ProcessId::of) {
        Some(up) => stop_up(&dir, &up),
        None => stop_orphans(&dir),
    }
}

fn stop_up(dir: &DataDir, up: &ProcessId) -> Result<(), DownError> {
    let nodes = State::load(dir)?.map_or(0, |state| state.nodes.len());
    let bound = STOP_BOUND.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX)) + MARGIN;
    println!("stopping the cluster of {} (klamm-operator up, pid {})", dir.path().display(), up.pid);
    up.terminate();
    let deadline = Instant::now() + bound;
    while lock::holder(dir).is_some() {
        if Instant::now() >= deadline {
            return Err(DownError::Stuck(up.pid));
        }
        std::thread::sleep(POLL);
    }
    println!("stopped; the data stays");
    Ok(())
}

/// Stops nodes whose `up` was killed.
fn stop_orphans(dir: &DataDir) -> Result<(), DownError> {
    let lock = lock::acquire(dir)?;
    let state = State::load(dir)?.unwrap_or_default();
    let (mut nodes, adopted) = Supervisor::open(dir.clone(), "klamm-broker".into(), state, Instant::now());
    if adopted.is_empty() {
        println!("nothing runs in {}", dir.path().display());
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for id in nodes.stop_order(None) {
        println!("stopping node {id}");
        runtime.block_on(nodes.stop_and_wait(id));
    }
    if let Some(mut status) = Status::load(dir) {
        (status.ready, status.operator) = (false, None);
        for broker in &mut status.brokers {
            (broker.pid, broker.state) = (None, "Stopped".into());
        }
        status.store(dir)?;
    }
    drop(lock);
    println!("stopped; the data stays");
    Ok(())
}
