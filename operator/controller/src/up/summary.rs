//! Writes what is known to `status.json`, whenever it changes.

use klamm_operator_api::conditions::{self, ConditionStatus, ConditionType, Reason, Verdict};
use klamm_operator_plan::status::{self, Failure, Failures};
use klamm_operator_plan::{Observed, Plan};

use super::progress::now;
use super::{Up, UpError};
use crate::data::status::{BrokerStatus, Status, TopicStatus};

impl Up {
    /// Writes the status if it changed; whether the cluster is ready.
    pub(super) fn summarise(&mut self, observed: &Observed, plan: &Plan) -> Result<bool, UpError> {
        let failures = self.failures();
        let desired = &self.manifest.desired;
        let verdicts = status::cluster(desired, observed, plan, &failures);
        let is_ready = |v: &Verdict| v.type_ == ConditionType::Ready && v.status == ConditionStatus::True;
        let nodes_ready = verdicts.iter().any(is_ready);
        let mut conditions = self.status.conditions.clone();
        conditions::update(&mut conditions, verdicts, None, &now());
        let topics = self.topics_status(observed, plan, &failures);
        let ready = nodes_ready && topics.iter().all(is_settled);
        let next = Status {
            cluster: desired.cluster.name.clone(),
            cluster_id: observed.cluster_id.clone(),
            bootstrap: self.bootstrap(),
            ready,
            brokers: self.brokers(observed),
            conditions,
            operations: status::operations(desired, observed, plan),
            topics,
            operator: Some(std::process::id()),
        };
        self.write(next)?;
        Ok(ready)
    }

    /// Writes that everything has stopped.
    pub(super) fn write_stopped(&mut self) -> Result<(), UpError> {
        let observed = self.gather();
        let stopped = |type_, status| Verdict {
            type_,
            status,
            reason: Reason::Stopped,
            message: "the cluster was stopped; its data stays".into(),
        };
        let verdicts = vec![
            stopped(ConditionType::Ready, ConditionStatus::False),
            stopped(ConditionType::Reconciling, ConditionStatus::False),
            stopped(ConditionType::Stalled, ConditionStatus::False),
        ];
        let mut next = Status { ready: false, operations: None, operator: None, ..self.status.clone() };
        conditions::update(&mut next.conditions, verdicts, None, &now());
        next.brokers = self.brokers(&observed);
        self.write(next)
    }

    fn write(&mut self, next: Status) -> Result<(), UpError> {
        if next != self.status || !self.dir.file(crate::data::status::FILE).exists() {
            next.store(&self.dir)?;
            self.status = next;
        }
        Ok(())
    }

    fn failures(&self) -> Failures {
        let mut failures = self.attempts.failures();
        let subject = self.manifest.desired.cluster.subject();
        if let Some(message) = self.node_errors.values().next() {
            let failure = Failure { reason: Reason::NodeCannotStart, message: message.clone() };
            failures.insert(subject.clone(), failure);
        }
        if let Some(message) = &self.refused_edit {
            failures.insert(subject, Failure { reason: Reason::InvalidSpec, message: message.clone() });
        }
        failures
    }

    /// The first listener of every node.
    fn bootstrap(&self) -> String {
        let addresses = self.nodes.ids().into_iter().map(|id| self.kafka_address(id));
        addresses.filter(|address| !address.is_empty()).collect::<Vec<_>>().join(",")
    }

    fn kafka_address(&self, node: i32) -> String {
        let listener = self.manifest.desired.cluster.listeners.first();
        let ports = self.nodes.state.ports.get(&node);
        let port = ports.zip(listener).and_then(|(ports, listener)| ports.listeners.get(&listener.name));
        port.map_or_else(String::new, |port| format!("127.0.0.1:{port}"))
    }

    fn brokers(&self, observed: &Observed) -> Vec<BrokerStatus> {
        let broker = |(id, is): (&i32, &klamm_operator_plan::observed::ObservedNode)| BrokerStatus {
            id: *id,
            pid: self.nodes.node(*id).and_then(|node| node.pid()),
            kafka: self.kafka_address(*id),
            http: observed.places.get(id).map_or_else(String::new, |place| place.http.to_string()),
            roles: is.roles.names().into_iter().map(str::to_owned).collect(),
            state: is.state.as_str().to_owned(),
            restarts: self.nodes.node(*id).map_or(0, |node| node.restarts),
        };
        observed.nodes.iter().map(broker).collect()
    }

    fn topics_status(&self, observed: &Observed, plan: &Plan, failures: &Failures) -> Vec<TopicStatus> {
        let mut all = Vec::new();
        for topic in self.manifest.desired.topics.values() {
            let is = observed.topics.as_ref().and_then(|topics| topics.get(&topic.name));
            let before = self.status.topics.iter().find(|status| status.name == topic.resource);
            let mut conditions = before.map(|status| status.conditions.clone()).unwrap_or_default();
            conditions::update(&mut conditions, vec![status::topic(topic, plan, failures)], None, &now());
            all.push(TopicStatus {
                name: topic.resource.clone(),
                topic_name: topic.name.clone(),
                topic_id: is.map(|is| is.id.clone()),
                partitions: is.map(|is| is.partition_count()),
                replicas: is.map(|is| is.replication_factor()),
                conditions,
            });
        }
        all
    }
}

/// Whether nothing more will happen to the topic by itself: it is applied, or waits for a person.
fn is_settled(topic: &TopicStatus) -> bool {
    topic.conditions.iter().all(|condition| {
        condition.status == ConditionStatus::True
            || matches!(
                condition.reason,
                Reason::InvalidConfig
                    | Reason::ReplicasNotSatisfiable
                    | Reason::PartitionDecreaseRefused
                    | Reason::ReplicasChangeRefused
            )
    })
}
