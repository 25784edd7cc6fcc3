//! Asks brokers over the Kafka protocol.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use klamm_operator_plan::observed::HostPort;

use super::brokers::{Answer, Brokers, Change, Controller, Grant, Results, Seen};
use crate::admin::changes::NewTopic;
use crate::admin::{Admin, AdminError};

/// How many topics go into one request: brokers bound the size of a frame, and the time that one may take.
const TOPICS_AT_ONCE: usize = 500;

/// The way to the brokers of one cluster.
#[derive(Debug, Default)]
pub struct Connections {
    admin: Admin,
}

impl Controller for Connections {
    fn grants<'a>(&'a mut self, at: &'a [HostPort]) -> BoxFuture<'a, Result<Vec<Grant>, AdminError>> {
        self.admin.grants(at)
    }
}

impl Brokers for Connections {
    fn expect(&mut self, cluster_id: Option<&str>) {
        self.admin.expect_cluster(cluster_id);
    }

    fn look<'a>(
        &'a mut self,
        at: &'a [HostPort],
        managed: &'a [String],
    ) -> BoxFuture<'a, Result<Seen, AdminError>> {
        async move {
            let managed: Vec<&str> = managed.iter().map(String::as_str).collect();
            let topics = self.admin.topics(at, &managed).await?;
            let active_controller = self.admin.active_controller(at).await.ok().flatten();
            let grants = self.admin.disruptions(at).await.ok();
            Ok(Seen { topics, active_controller, grants })
        }
        .boxed()
    }

    fn begin<'a>(
        &'a mut self,
        at: &'a [HostPort],
        node: i32,
        holder: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Answer, AdminError>> {
        self.admin.begin_disruption(at, node, holder, reason).boxed()
    }

    fn end<'a>(
        &'a mut self,
        at: &'a [HostPort],
        node: i32,
        grant: i64,
    ) -> BoxFuture<'a, Result<(), AdminError>> {
        self.admin.end_disruption(at, node, grant).boxed()
    }

    fn change<'a>(
        &'a mut self,
        at: &'a [HostPort],
        changes: &'a BTreeMap<String, Change>,
    ) -> BoxFuture<'a, Result<Results, AdminError>> {
        async move {
            let mut results = Results::new();
            let all: Vec<(&str, &Change)> =
                changes.iter().map(|(name, change)| (name.as_str(), change)).collect();
            for some in all.chunks(TOPICS_AT_ONCE) {
                results.extend(self.change_some(at, some).await?);
            }
            Ok(results)
        }
        .boxed()
    }

    fn delete_topics<'a>(
        &'a mut self,
        at: &'a [HostPort],
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Results, AdminError>> {
        async move {
            let mut results = Results::new();
            for some in topics.chunks(TOPICS_AT_ONCE) {
                results.extend(self.admin.delete_topics(at, some).await?);
            }
            Ok(results)
        }
        .boxed()
    }
}

impl Connections {
    async fn change_some(
        &mut self,
        at: &[HostPort],
        changes: &[(&str, &Change)],
    ) -> Result<Results, AdminError> {
        let mut new = Vec::new();
        let (mut grow, mut configure) = (BTreeMap::new(), BTreeMap::new());
        for (name, change) in changes {
            match change {
                Change::Create { partitions, replicas, config } => {
                    new.push(NewTopic { name, partitions: *partitions, replicas: *replicas, config });
                }
                Change::Grow { to } => drop(grow.insert(*name, *to)),
                Change::Configure { set, reset } => {
                    configure.insert(*name, (set.clone(), reset.clone()));
                }
            }
        }
        let mut results = Results::new();
        if !new.is_empty() {
            results.extend(self.admin.create_topics(at, &new).await?);
        }
        if !grow.is_empty() {
            results.extend(self.admin.grow_topics(at, &grow).await?);
        }
        if !configure.is_empty() {
            results.extend(self.admin.alter_topic_configs(at, &configure).await?);
        }
        Ok(results)
    }
}
