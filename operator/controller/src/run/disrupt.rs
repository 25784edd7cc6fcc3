//! Takes nodes away and back, one at a time, with the controller's permission.

use klamm_operator_api::status::RollState;
use klamm_operator_plan::observed::Refusal;
use klamm_operator_plan::{Action, Plan};
use kube::ResourceExt;
use tokio::time::Instant;
use tracing::info;

use super::brokers::{Answer, Grant};
use super::cache;
use super::destructive::{self, Consent, Denied, ServesNobody};
use super::round::Round;
use crate::admin::disruptions::Granted;

impl Round<'_> {
    /// Carries out what the plan says about disruptions. What is denied is tried again at a later look.
    pub async fn disrupt(&mut self, plan: &Plan) {
        for action in &plan.actions {
            let outcome = match action {
                Action::RequestDisruption { node, .. } => self.request(*node, action).await,
                Action::RestartNode { node, .. } => self.restart(*node, action).await,
                Action::EndDisruption { node } => self.end(*node, action).await,
                _ => Ok(()),
            };
            if let Err(denied) = outcome {
                self.memory.ask = true;
                self.context.metrics.failed("disruption");
                info!(cluster = %self.key, "{} waits: {denied}", action.name());
            }
        }
    }

    async fn request(&mut self, node: i32, action: &Action) -> Result<(), Denied> {
        let (holder, reason) = (self.holder(), action.to_string());
        // Else it may be the renewal of one that has been used.
        let is_first = self.memory.holds_none(&holder);
        let answer = self.memory.brokers.begin(&self.at, node, &holder, &reason).await?;
        self.memory.ask = true;
        match answer {
            Answer::Granted { id } => {
                self.memory.unused = Some(id).filter(|_| is_first);
                self.memory.refusals.remove(&node);
                // The grant is seen, and used, at the next look at what the controller says.
                self.memory.asked = None;
                self.acted(action);
            }
            Answer::Refused(blockers) => {
                let refusal = Refusal { blockers, stale: false };
                self.memory.refusals.insert(node, (refusal, Instant::now()));
            }
        }
        Ok(())
    }

    async fn restart(&mut self, node: i32, action: &Action) -> Result<(), Denied> {
        let (Some(set), Some(pod)) = (self.gathered.set.clone(), self.gathered.pods.get(&node).cloned())
        else {
            return Err(Denied::Changed("there is nothing to restart".into()));
        };
        if !self.gathered.set_is_settled || self.progressed {
            return Err(Denied::Changed("the StatefulSet is being changed".into()));
        }
        let granted = self.observed.disruption.as_ref().is_some_and(|grant| grant.node == node);
        let consent = if granted {
            let holder = self.holder();
            let granted = Granted::confirm(&mut *self.memory.brokers, &self.at, &holder, node).await?;
            Consent::Granted(
                granted.ok_or_else(|| Denied::Changed(format!("no grant for node {node} is out")))?,
            )
        } else {
            let (client, known) = (&self.context.client, self.observed.serving());
            Consent::ServesNobody(ServesNobody::confirm(client, self.key, &set, known, node).await?)
        };
        let unused = self.memory.unused.take();
        let outcome = destructive::restart(&self.context.client, &set, &pod, consent).await;
        if matches!(outcome, Err(Denied::Changed(_))) {
            self.memory.unused = unused;
        }
        if let Some(mut gone) = outcome?.filter(|gone| gone.uid() == pod.uid()) {
            cache::strip(&mut gone);
            self.context.cache.lock().pods.put(gone);
        }
        self.acted(action);
        Ok(())
    }

    async fn end(&mut self, node: i32, action: &Action) -> Result<(), Denied> {
        let Some(grant) = self.observed.disruption.clone() else { return Ok(()) };
        self.memory.brokers.end(&self.at, node, grant.id).await?;
        (self.memory.ask, self.memory.asked) = (true, None);
        self.acted(action);
        Ok(())
    }

    /// Keeps the grant of a node that is still on its way from running out.
    pub async fn renew(&mut self, plan: &Plan) -> Result<(), crate::admin::AdminError> {
        const HALF_MS: i32 = crate::admin::disruptions::DURATION_MS / 2;
        let holder = self.holder();
        let grants = self.memory.seen.as_ref().and_then(|seen| seen.grants.clone()).unwrap_or_default();
        let away = |node: i32| plan.roll.get(&node).is_some_and(|step| step.state == RollState::Restarting);
        let due =
            |grant: &&Grant| grant.holder == holder && grant.expires_in_ms < HALF_MS && away(grant.node);
        for grant in grants.iter().filter(due) {
            self.memory.brokers.begin(&self.at, grant.node, &holder, "on its way back").await?;
        }
        Ok(())
    }
}
