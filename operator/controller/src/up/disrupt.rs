//! Takes nodes away and back, one at a time, with the controller's leave.

use std::time::Instant;

use klamm_operator_plan::Action;
use klamm_operator_plan::observed::{NodeState, Refusal};

use super::Up;
use crate::admin::AdminError;
use crate::admin::disruptions::{Answer, Granted};

impl Up {
    /// Carries out a step about a disruption.
    pub(super) async fn disrupt(&mut self, action: &Action) {
        let outcome = match action {
            Action::RequestDisruption { node, .. } => self.request(*node, action).await,
            Action::RestartNode { node, .. } => self.restart(*node, action).await,
            Action::EndDisruption { node } => self.give_back(*node, action).await,
            _ => return,
        };
        if let (Err(error), Some(node)) = (outcome, action.node()) {
            let blockers = vec![format!("the controller cannot be asked: {error}")];
            self.said.refusals.insert(node, (Refusal { blockers, stale: false }, Instant::now()));
        }
        self.look_again = true;
    }

    async fn request(&mut self, node: i32, action: &Action) -> Result<(), AdminError> {
        let (at, holder) = (self.ready_addresses(), self.holder());
        match self.admin.begin_disruption(&at, node, &holder, &action.to_string()).await? {
            Answer::Granted { id } => {
                // Else it may be the renewal of one that has been used.
                self.said.unused = Some(id).filter(|_| self.said.holds_none);
                self.said.refusals.remove(&node);
                self.said.is_outdated();
            }
            Answer::Refused(blockers) => {
                let refusal = Refusal { blockers: blockers.clone(), stale: false };
                let known = self.said.refusals.insert(node, (refusal, Instant::now()));
                if known.is_none_or(|(known, _)| known.blockers != blockers) {
                    self.progress
                        .say(format_args!("the restart of node {node} waits: {}", blockers.join(", ")));
                }
            }
        }
        Ok(())
    }

    async fn restart(&mut self, node: i32, action: &Action) -> Result<(), AdminError> {
        let serves = self.nodes.node(node).is_some_and(|is| is.state(Instant::now()) == NodeState::Ready);
        if serves {
            let (at, holder) = (self.ready_addresses(), self.holder());
            let Some(granted) = Granted::confirm(&mut self.admin, &at, &holder, node).await? else {
                // It has ended since it was seen.
                self.said.is_outdated();
                return Ok(());
            };
            self.said.unused = None;
            self.progress.say(action);
            self.nodes.stop(granted.node());
        } else {
            self.said.unused = None;
            self.progress.say(action);
            self.nodes.stop(node);
        }
        Ok(())
    }

    async fn give_back(&mut self, node: i32, action: &Action) -> Result<(), AdminError> {
        let Some(grant) = self.said.grant.clone() else { return Ok(()) };
        let at = self.ready_addresses();
        self.admin.end_disruption(&at, node, grant.id).await?;
        self.progress.say(action);
        self.said.is_outdated();
        Ok(())
    }
}
