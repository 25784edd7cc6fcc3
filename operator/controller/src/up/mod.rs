//! `up`: runs a cluster as processes of this computer and keeps it as the manifest says.
//!
//! A loop of gather, plan, execute, status. [`edit`] takes up edits of the manifest, [`ask`] asks the cluster,
//! [`attempts`] keeps the loop from spinning, [`execute`] carries actions out, with [`disrupt`] and [`topics`],
//! [`summary`] writes what is known, [`signals`] end it, and [`detach`] leaves it running in the background.

mod ask;
pub mod attempts;
mod detach;
mod disrupt;
mod edit;
mod execute;
pub mod progress;
mod signals;
mod summary;
mod topics;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use klamm_operator_api::conditions::Reason;
use klamm_operator_plan::{Action, Observed, Plan, plan};
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::Admin;
use crate::cli;
use crate::data::lock::{self, Lock};
use crate::data::state::State;
use crate::data::status::Status;
use crate::data::{DataDir, DataError};
use crate::local::binary;
use crate::local::node::{Change, START_BOUND};
use crate::local::supervisor::{NodeError, Supervisor};
use crate::manifest::{Manifest, ManifestError};
use crate::watch::Watch;
use ask::Said;
use attempts::Attempts;
use progress::Progress;
use signals::StopSignals;

/// How long to wait between two looks while something moves, and at rest.
const BUSY: Duration = Duration::from_millis(50);
const AT_REST: Duration = Duration::from_millis(500);
/// A node that dies this often before the cluster was ever ready will not get better by itself.
const HOPELESS: usize = 3;

/// Why `up` gave up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The manifest cannot be carried out.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is no broker to run.
    #[error(transparent)]
    Binary(#[from] binary::NotFound),
    /// A node cannot be started.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A node dies again and again.
    #[error("node {node} does not stay up ({how}). The end of its log, {}:{tail}", log.display())]
    Dies {
        /// The node.
        node: i32,
        /// How it ended.
        how: String,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// The background process ended before the cluster was ready.
    #[error("the cluster did not come up; see {}", .0.display())]
    Background(PathBuf),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Runs until it is asked to stop.
///
/// # Errors
/// If the manifest, the directory or the broker's program cannot be used, or the cluster cannot be brought up.
pub fn run(args: &cli::Up) -> Result<(), UpError> {
    let manifest = Manifest::read(&args.file)?;
    let program = binary::find(args.broker_binary.as_deref())?;
    let dir = DataDir::create(&args.data)?;
    if args.detach {
        drop(lock::acquire(&dir)?);
        return detach::run(args, &dir, &program);
    }
    if args.background {
        detach::leave_terminal();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| UpError::System { what: "cannot start".into(), source })?;
    runtime.block_on(async {
        let mut up = Up::open(args, manifest, dir, program)?;
        up.run().await
    })
}

struct Up {
    dir: DataDir,
    _lock: Lock,
    manifest: Manifest,
    watch: Watch,
    nodes: Supervisor,
    admin: Admin,
    attempts: Attempts,
    progress: Progress,
    status: Status,
    /// What the cluster said when it was asked last.
    said: Said,
    /// Something happened after which it should be asked again.
    look_again: bool,
    /// Why the last edit of the manifest was not taken up.
    refused_edit: Option<String>,
    /// What keeps nodes from being started.
    node_errors: BTreeMap<i32, String>,
    /// Whether failures while starting end it: until the cluster was ready once, if nothing ran before.
    strict: bool,
    announced: bool,
}

impl Up {
    fn open(args: &cli::Up, manifest: Manifest, dir: DataDir, program: PathBuf) -> Result<Self, UpError> {
        let lock = lock::acquire(&dir)?;
        let wanted = &manifest.desired.cluster.name;
        let state =
            State::load(&dir)?.unwrap_or_else(|| State { cluster: wanted.clone(), ..State::default() });
        if state.cluster != *wanted {
            let (found, wanted) = (state.cluster, wanted.clone());
            return Err(DataError::OtherCluster { dir: dir.path().to_owned(), found, wanted }.into());
        }
        state.store(&dir)?;
        let progress = Progress { stamped: args.background };
        let (nodes, adopted) = Supervisor::open(dir.clone(), program, state, Instant::now());
        progress.say(format_args!(
            "{wanted}: {} nodes and {} topics from {}, data in {}",
            manifest.desired.cluster.nodes.len(),
            manifest.desired.topics.len(),
            args.file.display(),
            dir.path().display()
        ));
        for id in &adopted {
            let pid = nodes.node(*id).and_then(|node| node.pid()).unwrap_or_default();
            progress.say(format_args!("node {id} still runs with pid {pid} and is taken over"));
        }
        Ok(Self {
            watch: Watch::new(&args.file),
            status: Status::load(&dir).unwrap_or_default(),
            strict: adopted.is_empty(),
            dir,
            _lock: lock,
            manifest,
            nodes,
            progress,
            admin: Admin::default(),
            attempts: Attempts::default(),
            said: Said::default(),
            look_again: true,
            refused_edit: None,
            node_errors: BTreeMap::new(),
            announced: false,
        })
    }

    async fn run(&mut self) -> Result<(), UpError> {
        let system = |source| UpError::System { what: "cannot watch for signals".into(), source };
        let mut stop = StopSignals::new().map_err(system)?;
        let mut deaths = signal(SignalKind::child()).map_err(system)?;
        let outcome = loop {
            let pace = tokio::select! {
                tick = self.tick() => match tick {
                    Ok(busy) => if busy { BUSY } else { AT_REST },
                    Err(error) => break Err(error),
                },
                () = stop.next() => break Ok(()),
            };
            tokio::select! {
                () = tokio::time::sleep(pace) => {}
                _ = deaths.recv() => {}
                () = stop.next() => break Ok(()),
            }
        };
        tokio::select! {
            () = self.stop() => {}
            () = stop.next() => {
                self.progress.say("stopping at once");
                self.nodes.kill_all().await;
            }
        }
        self.write_stopped()?;
        outcome
    }

    /// One round; whether something moves.
    async fn tick(&mut self) -> Result<bool, UpError> {
        if self.watch.changed() {
            self.reload();
        }
        for (node, change) in self.nodes.observe().await {
            self.look_again = true;
            self.tell(node, change)?;
        }
        self.ask().await;
        let observed = self.gather();
        let plan = plan(&self.manifest.desired, &observed);
        self.attempts.keep_only(&plan.actions, observed.topics.is_some());
        self.execute(&plan.actions).await?;
        let ready = self.summarise(&observed, &plan)?;
        if ready && !self.announced {
            self.announce();
        }
        Ok(self.is_busy(&plan))
    }

    fn tell(&mut self, node: i32, change: Change) -> Result<(), UpError> {
        match change {
            Change::Ready(after) if after.is_zero() => {
                self.progress.say(format_args!("node {node} is ready again"))
            }
            Change::Ready(after) => {
                let after = after.as_secs_f64();
                self.progress.say(format_args!("node {node} is ready after {after:.1} s"));
            }
            Change::Unready => self.progress.say(format_args!("node {node} is not ready any more")),
            Change::Slow => self.progress.say(format_args!(
                "node {node} is not ready after {} s; see {}",
                START_BOUND.as_secs(),
                self.dir.node_log(node).display()
            )),
            Change::Stopped => self.progress.say(format_args!("node {node} has stopped")),
            Change::Died { how, again_in, in_a_row } => self.tell_death(node, how, again_in, in_a_row)?,
        }
        Ok(())
    }

    fn tell_death(
        &self,
        node: i32,
        how: Option<String>,
        again_in: Duration,
        in_a_row: usize,
    ) -> Result<(), UpError> {
        let how = how.unwrap_or_else(|| "it is gone".into());
        let log = self.dir.node_log(node);
        if self.strict && in_a_row >= HOPELESS {
            let tail = progress::tail(&log, 5);
            return Err(UpError::Dies { node, how, log, tail });
        }
        let again = again_in.as_secs_f64();
        let log = log.display();
        self.progress.say(format_args!(
            "node {node} died ({how}); it is started again in {again} s; its log is {log}"
        ));
        Ok(())
    }

    fn gather(&self) -> Observed {
        Observed {
            cluster_id: self.nodes.state.cluster_id.clone(),
            voters: self.nodes.state.voters.clone(),
            places: self.nodes.places(),
            pending: Vec::new(),
            nodes: self.nodes.observed(),
            active_controller: self.said.active_controller,
            topics: self.said.topics.clone(),
            disruption: self.said.grant.clone(),
            refusals: self.said.refusals(),
        }
    }

    fn is_busy(&mut self, plan: &Plan) -> bool {
        let rolling =
            !plan.roll.is_empty() || plan.actions.iter().any(|action| action.name() == "EndDisruption");
        let waiting = plan.held.iter().any(|held| held.reason == Reason::ClusterNotReady);
        let in_work = |action: &&Action| action.topic().is_some() && !self.attempts.has_failed(action);
        let topics = plan.actions.iter().any(|action| in_work(&action));
        self.look_again |= rolling || waiting || topics;
        !self.nodes.all_ready() || self.look_again || plan.actions.iter().any(|action| self.is_due(action))
    }

    fn is_due(&self, action: &Action) -> bool {
        self.attempts.is_due(action, Instant::now())
    }

    fn announce(&mut self) {
        self.announced = true;
        self.strict = false;
        let foreground = !self.progress.stamped;
        self.progress.say(progress::banner(
            &self.manifest.desired,
            &self.status.bootstrap,
            self.dir.path(),
            foreground,
        ));
    }

    /// Stops the nodes one after another, so that each can hand its leaderships over.
    async fn stop(&mut self) {
        if self.nodes.any_running() {
            self.progress.say("stopping the nodes one after another; once more to stop at once");
        }
        for id in self.nodes.stop_order(self.said.active_controller) {
            if self.nodes.node(id).is_some_and(|node| node.pid().is_some()) {
                self.nodes.stop_and_wait(id).await;
                self.progress.say(format_args!("node {id} has stopped"));
            }
        }
    }
}
