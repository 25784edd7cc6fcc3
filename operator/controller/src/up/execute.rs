//! Carries actions out on local processes and through the Kafka protocol.

use std::time::Instant;

use klamm_operator_api::conditions::Reason;
use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Action, Subject};
use klamm_wire::ErrorCode;
use uuid::Uuid;

use super::{Up, UpError};
use crate::admin::AdminError;
use crate::admin::changes::NewTopic;
use crate::kafka_id;
use crate::local::supervisor::NodeError;

impl Up {
    /// Carries out what is due. A restart needs knowledge of the partitions from this very round.
    pub(super) async fn execute(&mut self, actions: &[Action], fresh: bool) -> Result<(), UpError> {
        let due: Vec<&Action> = actions.iter().filter(|action| self.is_due(action)).collect();
        for action in due.iter().filter(|action| action.topic().is_none()) {
            if action.is_disruptive() && !fresh {
                self.look_at_topics = true;
                continue;
            }
            self.on_nodes(action)?;
        }
        let new: Vec<&Action> =
            due.iter().copied().filter(|action| matches!(action, Action::CreateTopic { .. })).collect();
        self.create_topics(&new).await;
        for action in due {
            self.on_topic(action).await;
        }
        Ok(())
    }

    fn on_nodes(&mut self, action: &Action) -> Result<(), UpError> {
        let silent = matches!(action, Action::ReserveAddresses { .. } | Action::StartNode { .. });
        if !silent {
            self.progress.say(action);
        }
        let subject = self.manifest.desired.cluster.subject();
        match self.try_on_nodes(action) {
            Ok(()) => {
                self.attempts.succeeded(action, subject, Instant::now());
                if let Some(node) = action.node() {
                    self.node_errors.remove(&node);
                }
                Ok(())
            }
            Err(error) if self.strict => Err(error.into()),
            Err(error) => {
                let message = error.to_string();
                let known = action.node().and_then(|node| self.node_errors.insert(node, message.clone()));
                if known.as_ref() != Some(&message) {
                    self.progress.say(&message);
                }
                let failure = Failure { reason: Reason::NodeCannotStart, message };
                self.attempts.failed(action, subject, failure, Instant::now());
                Ok(())
            }
        }
    }

    fn try_on_nodes(&mut self, action: &Action) -> Result<(), NodeError> {
        match action {
            Action::FoundQuorum { voters } => {
                self.nodes.state.cluster_id.get_or_insert_with(new_cluster_id);
                self.nodes.state.voters = Some(voters.clone());
                Ok(self.nodes.state.store(&self.dir)?)
            }
            Action::ReserveAddresses { node } => {
                self.nodes.reserve(*node, &self.manifest.desired.cluster.listeners, seed())
            }
            Action::CreateNode { node, roles, properties } => {
                self.nodes.create(*node, *roles, properties)?;
                self.nodes.start(*node)
            }
            Action::UpdateNodeConfig { node, properties } => self.nodes.configure(*node, properties),
            Action::StartNode { node } => self.nodes.start(*node),
            Action::RestartNode { node, .. } => {
                self.nodes.stop(*node);
                Ok(())
            }
            Action::CreateTopic { .. } | Action::GrowTopic { .. } | Action::AlterTopicConfig { .. } => Ok(()),
        }
    }

    async fn create_topics(&mut self, actions: &[&Action]) {
        let topics: Vec<NewTopic<'_>> = actions.iter().filter_map(|action| new_topic(action)).collect();
        if topics.is_empty() {
            return;
        }
        let mut results = match self.admin.create_topics(&self.ready_ports(), &topics).await {
            Ok(results) => results,
            Err(error) => {
                let same = |topic: &NewTopic<'_>| (topic.name.to_owned(), Err(copy(&error)));
                topics.iter().map(same).collect()
            }
        };
        for action in actions {
            let missing = || Err(AdminError::Protocol("it does not mention the topic".into()));
            let result = action.topic().and_then(|topic| results.remove(topic)).unwrap_or_else(missing);
            self.note(action, result);
        }
    }

    async fn on_topic(&mut self, action: &Action) {
        let ports = self.ready_ports();
        let result = match action {
            Action::GrowTopic { topic, to, .. } => self.admin.grow_topic(&ports, topic, *to).await,
            Action::AlterTopicConfig { topic, set, reset } => {
                self.admin.alter_topic_config(&ports, topic, set, reset).await
            }
            _ => return,
        };
        self.note(action, result);
    }

    /// Takes note of the outcome of a change to a topic.
    fn note(&mut self, action: &Action, result: Result<(), AdminError>) {
        self.look_at_topics = true;
        let topic = action.topic().and_then(|name| self.manifest.desired.topics.get(name));
        let subject = topic.map_or_else(|| Subject::Topic(String::new()), |topic| topic.subject());
        match result {
            Ok(()) => {
                self.progress.say(action);
                self.attempts.succeeded(action, subject, Instant::now());
            }
            Err(error) => {
                let failure = Failure { reason: reason(&error), message: error.detail() };
                let line = format!("{action} failed: {error}");
                if self.attempts.failed(action, subject, failure, Instant::now()) {
                    self.progress.say(line);
                }
            }
        }
    }
}

fn new_topic(action: &Action) -> Option<NewTopic<'_>> {
    match action {
        Action::CreateTopic { topic, partitions, replicas, config } => {
            Some(NewTopic { name: topic, partitions: *partitions, replicas: *replicas, config })
        }
        _ => None,
    }
}

fn reason(error: &AdminError) -> Reason {
    match error {
        error if error.is(ErrorCode::InvalidConfig) => Reason::InvalidConfig,
        error if error.is(ErrorCode::InvalidReplicationFactor) => Reason::ReplicasNotSatisfiable,
        AdminError::Unreachable(_) => Reason::ClusterNotReady,
        _ => Reason::KafkaError,
    }
}

/// The same error for every topic of a request that failed as a whole.
fn copy(error: &AdminError) -> AdminError {
    match error {
        AdminError::Unreachable(why) => AdminError::Unreachable(why.clone()),
        AdminError::Protocol(why) => AdminError::Protocol(why.clone()),
        AdminError::Refused { code, detail } => AdminError::Refused { code: *code, detail: detail.clone() },
    }
}

/// A random cluster id that does not start with a dash, which command lines would take for an option.
fn new_cluster_id() -> String {
    loop {
        let id = kafka_id::text(Uuid::new_v4());
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// A random number for the choice of ports.
fn seed() -> u16 {
    let [a, b, ..] = *Uuid::new_v4().as_bytes();
    u16::from_be_bytes([a, b])
}
