//! Carries out what concerns topics: all changes of a kind in one request, with a result for each topic.

use std::collections::BTreeMap;
use std::time::Instant;

use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Action, Subject};

use super::Up;
use crate::admin::AdminError;
use crate::admin::batches::{Configuration, Results};
use crate::admin::changes::NewTopic;

/// How many topics go into one request.
const AT_ONCE: usize = 500;

impl Up {
    /// Carries out changes that are due.
    pub(super) async fn change_topics(&mut self, due: &[&Action]) {
        for name in ["CreateTopic", "GrowTopic", "AlterTopicConfig"] {
            let of_kind: Vec<&Action> = due.iter().copied().filter(|action| action.name() == name).collect();
            for some in of_kind.chunks(AT_ONCE) {
                self.change_some(some).await;
            }
        }
    }

    /// Changes of one kind.
    async fn change_some(&mut self, actions: &[&Action]) {
        let answer = self.send(actions).await;
        let missing = || Err(AdminError::Protocol("it does not mention the topic".into()));
        let mut results = match answer {
            Ok(results) => results,
            Err(error) => {
                let topics = actions.iter().filter_map(|action| action.topic());
                topics.map(|topic| (topic.to_owned(), Err(error.clone()))).collect()
            }
        };
        for action in actions {
            let result = action.topic().and_then(|topic| results.remove(topic)).unwrap_or_else(missing);
            self.note(action, result);
        }
    }

    async fn send(&mut self, actions: &[&Action]) -> Result<Results, AdminError> {
        let at = self.ready_addresses();
        let (mut new, mut grown) = (Vec::new(), BTreeMap::new());
        let mut configured: BTreeMap<&str, Configuration> = BTreeMap::new();
        for action in actions {
            match action {
                Action::CreateTopic { topic, partitions, replicas, config } => {
                    new.push(NewTopic { name: topic, partitions: *partitions, replicas: *replicas, config });
                }
                Action::GrowTopic { topic, to, .. } => drop(grown.insert(topic.as_str(), *to)),
                Action::AlterTopicConfig { topic, set, reset } => {
                    configured.insert(topic, (set.clone(), reset.clone()));
                }
                _ => {}
            }
        }
        match (new.is_empty(), grown.is_empty()) {
            (false, _) => self.admin.create_topics(&at, &new).await,
            (true, false) => self.admin.grow_topics(&at, &grown).await,
            (true, true) => self.admin.alter_topic_configs(&at, &configured).await,
        }
    }

    /// Takes note of the outcome of a change to a topic.
    fn note(&mut self, action: &Action, result: Result<(), AdminError>) {
        self.look_again = true;
        let topic = action.topic().and_then(|name| self.manifest.desired.topics.get(name));
        let subject = topic.map_or_else(|| Subject::Topic(String::new()), |topic| topic.subject());
        match result {
            Ok(()) => {
                self.progress.say(action);
                self.attempts.succeeded(action, subject, Instant::now());
            }
            Err(error) => {
                let failure = Failure { reason: error.reason(), message: error.detail() };
                let line = format!("{action} failed: {error}");
                if self.attempts.failed(action, subject, failure, Instant::now()) {
                    self.progress.say(line);
                }
            }
        }
    }
}
