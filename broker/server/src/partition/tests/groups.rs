//! Group coordinators over replicas whose disks fail, that lose their leadership, or that take it over.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use klamm_coordinator::{GroupConfig, GroupReply, GroupRequest, OffsetFetchGroup, RequestContext};
use klamm_metadata::Image;
use klamm_wire::ErrorCode::{self, CoordinatorLoadInProgress, CoordinatorNotAvailable, None, NotCoordinator};
use klamm_wire::Str;
use klamm_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use uuid::Uuid;

use super::cluster::{Cluster, TOPIC};
use super::eventually;
use crate::group::{Groups, OFFSETS_TOPIC};

/// Coordinators over a partition of the offsets topic, the only one.
struct Coordinator {
    groups: Arc<Groups>,
}

impl Coordinator {
    fn new() -> Self {
        let groups = Groups::new(GroupConfig::default());
        groups.set_partition_count(1);
        Self { groups: Arc::new(groups) }
    }

    /// The coordinator of a broker that leads.
    fn of(cluster: &Cluster, broker: i32) -> Self {
        let coordinator = Self::new();
        let partition = cluster.partition(broker);
        coordinator.groups.lead(0, partition.led_epoch().unwrap(), partition);
        coordinator
    }

    /// Commits an offset of the group; what it is told.
    fn commit(&self, offset: i64) -> impl Future<Output = ErrorCode> + Send + 'static {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: Str::from("orders"),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: Str::from("group"),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let groups = Arc::clone(&self.groups);
        async move {
            match groups.ask(1, context(), GroupRequest::OffsetCommit(request)).await {
                GroupReply::OffsetCommit(response) => {
                    ErrorCode::from_code(response.topics[0].partitions[0].error_code)
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The committed offset of the group, -1 for none.
    async fn fetch(&self) -> Result<i64, ErrorCode> {
        let topic = OffsetFetchRequestTopics {
            name: Str::from("orders"),
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: Str::from("group"),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = GroupRequest::OffsetFetch(OffsetFetchGroup { group, require_stable: false });
        match self.groups.ask(1, context(), request).await {
            GroupReply::OffsetFetch(response) => match ErrorCode::from_code(response.error_code) {
                None => Ok(response.topics[0].partitions[0].committed_offset),
                error => Err(error),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The committed offset, as soon as the coordinator tells it.
    async fn fetched(&self) -> i64 {
        for _ in 0..2_000 {
            match self.fetch().await {
                Ok(offset) => return offset,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("the coordinator never answers: {:?}", self.fetch().await);
    }
}

fn context() -> RequestContext {
    RequestContext { version: 8, ..RequestContext::default() }
}

fn cluster_of(brokers: &[i32], properties: &[(&str, &str)], configs: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start(brokers.len(), properties);
    cluster.create_topic(TOPIC, OFFSETS_TOPIC, 1, brokers, configs);
    cluster
}

/// On one thread, so that a coordinator that has something to do does it when the test yields.
async fn let_it_work() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_commit_refused_on_a_full_disk_does_not_end_the_coordinator() {
    let cluster = cluster_of(&[0], &[], &[]);
    let coordinator = Coordinator::of(&cluster, 0);
    assert_eq!(coordinator.commit(1).await, None);
    cluster.disks[0].set_capacity(cluster.disks[0].used());
    let first = tokio::spawn(coordinator.commit(2));
    let partition = cluster.partition(0);
    eventually("the disk is full", || partition.state.lock().disk_full).await;
    let second = tokio::spawn(coordinator.commit(3));
    let_it_work().await;
    cluster.disks[0].set_capacity(u64::MAX);
    assert_eq!(first.await.unwrap(), None, "it was accepted before");
    assert_eq!(second.await.unwrap(), CoordinatorNotAvailable);
    assert_eq!(coordinator.fetched().await, 2, "what was refused is not there");
    assert_eq!(coordinator.commit(4).await, None);
    assert_eq!(coordinator.fetched().await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_refused_below_min_isr_does_not_end_the_coordinator() {
    let cluster = cluster_of(&[0, 1], &[], &[("min.insync.replicas", "2")]);
    let coordinator = Coordinator::of(&cluster, 0);
    assert_eq!(coordinator.commit(1).await, None);
    cluster.kill(1);
    // Its last fetch would bring it back into the ISR.
    cluster.fence(1);
    cluster.set_isr(&[0]);
    assert_eq!(coordinator.commit(2).await, CoordinatorNotAvailable);
    assert_eq!(coordinator.fetched().await, 1, "offsets can be read");
    cluster.start_broker(1);
    eventually("both are in sync", || cluster.isr() == [0, 1]).await;
    assert_eq!(coordinator.fetched().await, 1);
    assert_eq!(coordinator.commit(3).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_error_while_loading_does_not_end_the_coordinator() {
    let cluster = cluster_of(&[0], &[], &[]);
    assert_eq!(Coordinator::of(&cluster, 0).commit(1).await, None);
    cluster.kill(0);
    cluster.start_broker(0);
    cluster.disks[0].fail_reads(1);
    assert_eq!(Coordinator::of(&cluster, 0).fetched().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_of_a_replica_that_follows_answers_no_reads() {
    let cluster = cluster_of(&[0, 1], &[], &[]);
    let coordinator = Coordinator::of(&cluster, 0);
    assert_eq!(coordinator.commit(1).await, None);
    assert_eq!(coordinator.fetch().await, Ok(1));
    cluster.elect(1, &[0, 1]);
    // Nobody has told the coordinator.
    assert_eq!(coordinator.fetch().await, Err(NotCoordinator));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_coordinator_does_not_tell_what_is_not_committed() {
    // The follower stays in sync, however slow this machine is.
    let cluster = cluster_of(&[0, 1], &[("replica.lag.time.max.ms", "3600000")], &[]);
    let old = Coordinator::of(&cluster, 0);
    assert_eq!(old.commit(100).await, None);
    cluster.kill(1);
    let partition = cluster.partition(0);
    let end = partition.log_end_offset();
    let pending = tokio::spawn(old.commit(200));
    eventually("it is in the log", || partition.log_end_offset() > end).await;
    cluster.elect(0, &[0, 1]);
    assert_eq!(pending.await.unwrap(), NotCoordinator);
    let new = Coordinator::of(&cluster, 0);
    assert_eq!(new.fetch().await, Err(CoordinatorLoadInProgress));
    cluster.start_broker(1);
    assert_eq!(new.fetched().await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offsets_topic_that_was_created_again_has_a_coordinator() {
    let cluster = cluster_of(&[0], &[], &[]);
    let coordinator = Coordinator::new();
    let first = cluster.image();
    let follow = |old: &Image, new: &Image| {
        coordinator.groups.follow(0, &cluster.registry(0), &Image::diff(old, new), new);
    };
    follow(&Image::empty(), &first);
    assert_eq!(coordinator.commit(1).await, None);
    cluster.delete_topic(TOPIC);
    cluster.create_topic(Uuid::from_u128(0x71), OFFSETS_TOPIC, 1, &[0], &[]);
    // The image in between was skipped.
    follow(&first, &cluster.image());
    assert_eq!(coordinator.fetched().await, -1, "the offsets went with their topic");
    assert_eq!(coordinator.commit(2).await, None);
}
