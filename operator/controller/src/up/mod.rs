//! `up`: runs a cluster as processes of this computer and keeps it as the manifest says.
//!
//! A loop of gather, plan, execute, status. [`edit`] takes up edits of the manifest, [`attempts`] keeps the loop from
//! spinning, [`execute`] carries actions out, [`summary`] writes what is known, [`signals`] end it, and [`detach`]
//! leaves it running in the background.

mod attempts;
mod detach;
mod edit;
mod execute;
pub mod progress;
mod signals;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use klamm_operator_api::conditions::Reason;
use klamm_operator_plan::observed::{NodeState, ObservedTopic};
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
use attempts::Attempts;
use progress::Progress;
use signals::StopSignals;

/// How long to wait between two looks while something moves, and at rest.
const BUSY: Duration = Duration::from_millis(50);
const AT_REST: Duration = Duration::from_millis(500);
/// How often topics are looked at while nothing happens, and at most.
const TOPICS_AT_REST: Duration = Duration::from_secs(10);
const TOPICS_BUSY: Duration = Duration::from_millis(200);
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
    /// Topics as last seen; none if nobody could be asked.
    topics: Option<BTreeMap<String, ObservedTopic>>,
    active_controller: Option<i32>,
    topics_asked: Option<Instant>,
    /// Something happened after which topics should be looked at again.
    look_at_topics: bool,
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
            topics: None,
            active_controller: None,
            topics_asked: None,
            look_at_topics: true,
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
            self.look_at_topics = true;
            self.tell(node, change)?;
        }
        let fresh = self.ask_about_topics().await;
        let observed = self.gather();
        let plan = plan(&self.manifest.desired, &observed);
        self.attempts.keep_only(&plan.actions, observed.topics.is_some());
        self.execute(&plan.actions, fresh).await?;
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

    /// Asks the cluster about its topics if there is a reason to; whether what is known is fresh.
    async fn ask_about_topics(&mut self) -> bool {
        let ports = self.ready_ports();
        if ports.is_empty() {
            self.topics = None;
            return false;
        }
        let age = self.topics_asked.map(|at| at.elapsed());
        let patience = if self.look_at_topics { TOPICS_BUSY } else { TOPICS_AT_REST };
        if age.is_some_and(|age| age < patience) {
            return false;
        }
        let managed: Vec<&str> = self.manifest.desired.topics.keys().map(String::as_str).collect();
        self.topics = self.admin.topics(&ports, &managed).await.ok();
        self.active_controller = self.admin.active_controller(&ports).await.ok().flatten();
        self.topics_asked = Some(Instant::now());
        self.look_at_topics = self.topics.is_none();
        self.topics.is_some()
    }

    /// The ports of the first listener of every node that is ready.
    fn ready_ports(&self) -> Vec<u16> {
        let now = Instant::now();
        let ready = |id: &i32| self.nodes.node(*id).is_some_and(|node| node.state(now) == NodeState::Ready);
        let first = self.manifest.desired.cluster.listeners.first();
        let port = |id: i32| self.nodes.state.ports.get(&id)?.listeners.get(&first?.name).copied();
        self.nodes.ids().into_iter().filter(ready).filter_map(port).collect()
    }

    fn gather(&self) -> Observed {
        Observed {
            cluster_id: self.nodes.state.cluster_id.clone(),
            voters: self.nodes.state.voters.clone(),
            places: self.nodes.places(),
            nodes: self.nodes.observed(),
            active_controller: self.active_controller,
            topics: self.topics.clone(),
        }
    }

    fn is_busy(&mut self, plan: &Plan) -> bool {
        let rolling = plan.held.iter().any(|held| held.reason == Reason::RollBlocked);
        let waiting = plan.held.iter().any(|held| held.reason == Reason::ClusterNotReady);
        let in_work = |action: &&Action| action.topic().is_some() && !self.attempts.has_failed(action);
        let topics = plan.actions.iter().any(|action| in_work(&action));
        self.look_at_topics |= rolling || waiting || topics;
        !self.nodes.all_ready()
            || self.look_at_topics
            || plan.actions.iter().any(|action| self.is_due(action))
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
        for id in self.nodes.stop_order(self.active_controller) {
            if self.nodes.node(id).is_some_and(|node| node.pid().is_some()) {
                self.nodes.stop_and_wait(id).await;
                self.progress.say(format_args!("node {id} has stopped"));
            }
        }
    }
}
