//! Carries actions out on local processes; those that need the Kafka protocol are handed on.

use std::time::Instant;

use klamm_operator_api::conditions::Reason;
use klamm_operator_plan::Action;
use klamm_operator_plan::status::Failure;
use uuid::Uuid;

use super::{Up, UpError};
use crate::kafka_id;
use crate::local::supervisor::NodeError;

impl Up {
    /// Carries out what is due.
    pub(super) async fn execute(&mut self, actions: &[Action]) -> Result<(), UpError> {
        let due: Vec<&Action> = actions.iter().filter(|action| self.is_due(action)).collect();
        if self.strict {
            // Nodes that were started before the error is found would first have to stop again.
            self.nodes.check_ports(starting(&due))?;
        }
        for action in due.iter().filter(|action| action.topic().is_none()) {
            match action {
                Action::RequestDisruption { .. }
                | Action::RestartNode { .. }
                | Action::EndDisruption { .. } => self.disrupt(action).await,
                _ => self.on_nodes(action)?,
            }
        }
        self.change_topics(&due).await;
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
                self.nodes.state.cluster_id.get_or_insert_with(kafka_id::new_cluster_id);
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
            _ => Ok(()),
        }
    }
}

/// The nodes that these steps start.
fn starting(actions: &[&Action]) -> impl Iterator<Item = i32> {
    let starts = |action: &&&Action| matches!(action, Action::CreateNode { .. } | Action::StartNode { .. });
    actions.iter().filter(starts).filter_map(|action| action.node())
}

/// A random number for the choice of ports.
fn seed() -> u16 {
    let [a, b, ..] = *Uuid::new_v4().as_bytes();
    u16::from_be_bytes([a, b])
}
