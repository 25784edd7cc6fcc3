//! Carries out what concerns topics: all changes of a look in a few requests.

use std::collections::BTreeMap;

use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Action, Plan, Subject};
use tokio::time::Instant;

use super::brokers::{Change, Results};
use super::round::Round;
use crate::admin::AdminError;

/// More topics than this in one look are told as a number.
const TOLD_SINGLY: usize = 16;

impl Round<'_> {
    /// Carries out what is due.
    pub async fn change_topics(&mut self, plan: &Plan) {
        let now = Instant::now().into_std();
        let due = |action: &&Action| self.memory.attempts.is_due(action, now);
        let due: Vec<(&Action, &str, Change)> = plan
            .actions
            .iter()
            .filter(due)
            .filter_map(|action| Some((action, action.topic()?, change(action)?)))
            .collect();
        if due.is_empty() {
            return;
        }
        // A topic may have to grow and to be configured: that is two requests.
        let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
        for (_, topic, change) in &due {
            let into = if first.contains_key(*topic) { &mut second } else { &mut first };
            into.insert((*topic).to_owned(), change.clone());
        }
        let mut results = vec![(self.send(&first).await, first)];
        if !second.is_empty() {
            results.push((self.send(&second).await, second));
        }
        let mut done = Vec::new();
        for (action, topic, change) in &due {
            let result = results.iter_mut().find(|(_, sent)| sent.get(*topic) == Some(change));
            let result = result.and_then(|(results, _)| results.remove(*topic));
            match result.unwrap_or_else(|| Err(AdminError::Protocol("it does not mention the topic".into())))
            {
                Ok(()) => done.push(*action),
                Err(error) => self.topic_failed(action, topic, &error),
            }
        }
        self.topics_changed(&done);
    }

    async fn send(&mut self, changes: &BTreeMap<String, Change>) -> Results {
        match self.memory.brokers.change(&self.at, changes).await {
            Ok(results) => results,
            Err(error) => changes.keys().map(|topic| (topic.clone(), Err(error.clone()))).collect(),
        }
    }

    fn topics_changed(&mut self, done: &[&Action]) {
        (self.memory.ask, self.memory.asked) = (true, None);
        self.progressed |= !done.is_empty();
        let now = Instant::now().into_std();
        for action in done {
            let subject = self.subject_of(action);
            self.memory.attempts.succeeded(action, subject, now);
            self.context.metrics.acted(action.name(), 1);
            if done.len() <= TOLD_SINGLY
                && let Some(Ok(resource)) = self.resource_of(action).map(|resource| &resource.0)
            {
                self.context.events.done(resource, action.name(), action.to_string());
            }
        }
        if done.len() > TOLD_SINGLY {
            let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
            done.iter().for_each(|action| *by_name.entry(action.name()).or_default() += 1);
            for (name, count) in by_name {
                self.context.events.done(self.resource, name, format!("{name}: {count} topics"));
            }
        }
    }

    fn topic_failed(&mut self, action: &Action, topic: &str, error: &AdminError) {
        let subject = self.subject_of(action);
        let reason = error.reason();
        let failure = Failure { reason, message: error.detail() };
        let news = self.memory.attempts.failed(action, subject, failure, Instant::now().into_std());
        self.memory.ask = true;
        self.context.metrics.failed(reason.as_str());
        if news {
            tracing::warn!(cluster = %self.key, topic, "{action} failed: {error}");
            if let Some(Ok(resource)) = self.resource_of(action).map(|resource| &resource.0) {
                self.context.events.failed(resource, action.name(), reason.as_str(), error.to_string());
            }
        }
    }

    fn subject_of(&self, action: &Action) -> Subject {
        let topic = action.topic().and_then(|name| self.desired.topics.get(name));
        topic.map_or_else(|| self.desired.cluster.subject(), |topic| topic.subject())
    }

    fn resource_of(&self, action: &Action) -> Option<&super::cache::Written<klamm_operator_api::KafkaTopic>> {
        let topic = self.desired.topics.get(action.topic()?)?;
        self.topics.present.get(&topic.resource).map(|resource| &**resource)
    }
}

fn change(action: &Action) -> Option<Change> {
    match action.clone() {
        Action::CreateTopic { partitions, replicas, config, .. } => {
            Some(Change::Create { partitions, replicas, config })
        }
        Action::GrowTopic { to, .. } => Some(Change::Grow { to }),
        Action::AlterTopicConfig { set, reset, .. } => Some(Change::Configure { set, reset }),
        _ => None,
    }
}
