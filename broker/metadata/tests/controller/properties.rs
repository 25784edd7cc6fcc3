//! What holds after every sequence of commands, whatever they are.

use std::collections::BTreeSet;

use klamm_metadata::controller::{Command, Reply};
use klamm_metadata::{Image, Partition, decode_records, encode_records};
use klamm_wire::Str;
use klamm_wire::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use klamm_wire::messages::alter_partition_reassignments_request as reassignments;
use klamm_wire::messages::alter_partition_request as alter_partition;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::messages::create_topics_request::CreateTopicsRequest;
use klamm_wire::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_wire::messages::elect_leaders_request::ElectLeadersRequest;
use klamm_wire::messages::incremental_alter_configs_request as configs;
use proptest::prelude::*;

use crate::cluster::{Cluster, creatable, listener};

#[derive(Clone, Debug)]
enum Step {
    Register { id: i32, clean: bool, elsewhere: bool, other_disk: bool },
    Heartbeat { id: i32, behind: bool, fence: bool, stop: bool },
    Gone { id: i32 },
    AlterPartition { topic: usize, isr: Vec<i32>, epochs: i32, raw: bool },
    CreateTopic { topic: usize, partitions: i32, replicas: i16, min_isr: i32 },
    DeleteTopic { topic: usize },
    Grow { topic: usize, count: i32 },
    Reassign { topic: usize, replicas: Option<Vec<i32>>, may_change_factor: bool },
    CatchUp { topic: usize },
    Configure { topic: usize, key: usize, operation: i8, value: i32 },
    Elect { unclean: bool },
    AllocateProducerIds { id: i32 },
    Wait { ms: i64 },
    NewController,
}

const TOPICS: [&str; 4] = ["a", "b.c", "b_c", "not/allowed"];
const KEYS: [&str; 4] =
    ["min.insync.replicas", "unclean.leader.election.enable", "cleanup.policy", "no.such.key"];

fn step() -> impl Strategy<Value = Step> {
    let id = -1..4i32;
    let topic = 0..TOPICS.len();
    let target = prop::option::weighted(0.8, prop::collection::vec(-1..5i32, 0..4));
    prop_oneof![
        3 => (id.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.3)).prop_map(
            |(id, clean, elsewhere, other_disk)| Step::Register { id, clean, elsewhere, other_disk }
        ),
        8 => (id.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.2))
            .prop_map(|(id, behind, fence, stop)| Step::Heartbeat { id, behind, fence, stop }),
        3 => id.prop_map(|id| Step::Gone { id }),
        8 => (topic.clone(), prop::collection::vec(-1..5i32, 0..4), -1..2i32, any::<bool>())
            .prop_map(|(topic, isr, epochs, raw)| Step::AlterPartition { topic, isr, epochs, raw }),
        4 => (topic.clone(), -2..5i32, -2..5i16, 0..4i32).prop_map(|(topic, partitions, replicas, min_isr)| {
            Step::CreateTopic { topic, partitions, replicas, min_isr }
        }),
        1 => topic.clone().prop_map(|topic| Step::DeleteTopic { topic }),
        1 => (topic.clone(), -1..8i32).prop_map(|(topic, count)| Step::Grow { topic, count }),
        6 => (topic.clone(), target, prop::bool::weighted(0.8)).prop_map(
            |(topic, replicas, may_change_factor)| Step::Reassign { topic, replicas, may_change_factor }
        ),
        4 => topic.clone().prop_map(|topic| Step::CatchUp { topic }),
        2 => (topic, 0..KEYS.len(), -1..5i8, 0..4i32)
            .prop_map(|(topic, key, operation, value)| Step::Configure { topic, key, operation, value }),
        1 => any::<bool>().prop_map(|unclean| Step::Elect { unclean }),
        1 => (0..3i32).prop_map(|id| Step::AllocateProducerIds { id }),
        2 => (0..12_000i64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::NewController),
    ]
}

fn name(topic: usize) -> Str {
    Str::from(TOPICS[topic])
}

fn take(cluster: &mut Cluster, step: Step) {
    let command = match step {
        Step::Wait { ms } => return cluster.advance_to(cluster.now_ms + ms),
        Step::NewController => return cluster.new_controller(),
        Step::Register { id, clean, elsewhere, other_disk } => {
            let mut request = cluster.registration(id.max(0), if clean { cluster.epoch(id) } else { -1 });
            request.broker_id = id;
            let known = cluster.image.broker(id).map(|broker| broker.directories.clone()).unwrap_or_default();
            request.log_dirs =
                if other_disk || known.is_empty() { vec![request.incarnation_id] } else { known };
            if elsewhere {
                request.listeners = vec![listener(1)];
            }
            Command::RegisterBroker(request)
        }
        Step::Heartbeat { id, behind, fence, stop } => Command::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: cluster.epoch(id),
            current_metadata_offset: if behind { 0 } else { cluster.image.offset() },
            want_fence: fence,
            want_shut_down: stop,
            ..BrokerHeartbeatRequest::default()
        }),
        Step::Gone { id } => Command::BrokerGone { id, epoch: cluster.epoch(id) },
        Step::AlterPartition { topic, isr, epochs, raw } => propose(cluster, topic, isr, epochs, raw),
        Step::CreateTopic { topic, partitions, replicas, min_isr } => {
            let min_isr = min_isr.to_string();
            let topic = creatable(TOPICS[topic], partitions, replicas, &[("min.insync.replicas", &min_isr)]);
            Command::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() })
        }
        Step::DeleteTopic { topic } => Command::DeleteTopics(DeleteTopicsRequest {
            topic_names: vec![name(topic)],
            ..Default::default()
        }),
        Step::Grow { topic, count } => {
            let topic = CreatePartitionsTopic { name: name(topic), count, ..Default::default() };
            Command::CreatePartitions(CreatePartitionsRequest { topics: vec![topic], ..Default::default() })
        }
        Step::Reassign { topic, replicas, may_change_factor } => reassign(topic, replicas, may_change_factor),
        Step::CatchUp { topic } => {
            let partition = cluster.image.topic(TOPICS[topic]).and_then(|topic| topic.partitions.get(&0));
            let active = |id: &i32| cluster.image.broker(*id).is_some_and(|broker| broker.is_active());
            let everybody = partition.map(|partition| partition.replicas.iter().copied().filter(active));
            let isr = everybody.map(Iterator::collect).unwrap_or_default();
            propose(cluster, topic, isr, 0, false)
        }
        Step::Configure { topic, key, operation, value } => configure(topic, key, operation, value),
        Step::AllocateProducerIds { id } => Command::AllocateProducerIds(AllocateProducerIdsRequest {
            broker_id: id,
            broker_epoch: cluster.epoch(id),
            ..Default::default()
        }),
        Step::Elect { unclean } => Command::ElectLeaders(ElectLeadersRequest {
            election_type: i8::from(unclean),
            topic_partitions: None,
            ..Default::default()
        }),
    };
    let expects_silence = matches!(command, Command::BrokerGone { .. });
    let reply = cluster.run(command);
    assert_eq!(reply == Reply::None, expects_silence);
}

fn propose(cluster: &Cluster, topic: usize, mut isr: Vec<i32>, epochs: i32, raw: bool) -> Command {
    let found = cluster.image.topic(TOPICS[topic]);
    let partition = found.and_then(|topic| topic.partitions.get(&0)).map(|partition| (**partition).clone());
    let partition = partition.unwrap_or_default();
    if !raw {
        isr.retain(|id| *id != partition.leader && partition.replicas.contains(id));
        isr.push(partition.leader);
        isr.dedup();
    }
    let member = |id: i32| alter_partition::BrokerState {
        broker_id: id,
        broker_epoch: cluster.epoch(id),
        ..Default::default()
    };
    let proposal = alter_partition::PartitionData {
        leader_epoch: partition.leader_epoch + epochs.max(0),
        partition_epoch: partition.partition_epoch + epochs,
        new_isr_with_epochs: isr.into_iter().map(member).collect(),
        ..Default::default()
    };
    let topic = alter_partition::TopicData {
        topic_id: found.map(|topic| topic.id).unwrap_or_default(),
        partitions: vec![proposal.clone(), proposal],
        ..Default::default()
    };
    Command::AlterPartition(alter_partition::AlterPartitionRequest {
        broker_id: partition.leader,
        broker_epoch: cluster.epoch(partition.leader),
        topics: vec![topic],
        ..Default::default()
    })
}

fn reassign(topic: usize, replicas: Option<Vec<i32>>, may_change_factor: bool) -> Command {
    let partition = reassignments::ReassignablePartition { replicas, ..Default::default() };
    let topic = reassignments::ReassignableTopic {
        name: name(topic),
        partitions: vec![partition],
        ..Default::default()
    };
    Command::AlterPartitionReassignments(reassignments::AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: may_change_factor,
        topics: vec![topic],
        ..Default::default()
    })
}

fn configure(topic: usize, key: usize, operation: i8, value: i32) -> Command {
    let value = match KEYS[key] {
        "cleanup.policy" => "compact".to_owned(),
        "unclean.leader.election.enable" => (value % 2 == 0).to_string(),
        _ => value.to_string(),
    };
    let config = configs::AlterableConfig {
        name: Str::from(KEYS[key]),
        config_operation: operation,
        value: Some(Str::from(value)),
        ..Default::default()
    };
    let (resource_type, resource_name) = if topic == 0 { (4, Str::from("")) } else { (2, name(topic)) };
    let resource = configs::AlterConfigsResource {
        resource_type,
        resource_name,
        configs: vec![config],
        ..Default::default()
    };
    Command::IncrementalAlterConfigs(configs::IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    })
}

/// Whoever lost its disks holds nothing, so that nobody waits for it and it leads nothing that another may hold.
fn check_lost_disks(old: &Image, new: &Image) {
    for change in Image::diff(old, new).brokers {
        let (Some(was), Some(is)) = (&change.old, &change.new) else { continue };
        if was.directories.is_empty() || is.directories.iter().any(|id| was.directories.contains(id)) {
            continue;
        }
        for partition in new.topics().flat_map(|topic| topic.partitions.values()) {
            let sets = [&partition.isr, &partition.elr, &partition.last_known_elr];
            let is_forgotten = sets.iter().all(|ids| !ids.contains(&is.id));
            assert!(is_forgotten || partition.replicas == [is.id], "{} lost its disk, {partition:?}", is.id);
        }
    }
}

/// Leaders, ISRs and eligible replicas are consistent with each other and with the brokers.
fn check_image(image: &Image, disks_were_lost: bool) {
    let unfenced = |id: &i32| image.broker(*id).is_some_and(|broker| !broker.fenced);
    for topic in image.topics() {
        for (index, partition) in &topic.partitions {
            let at = format!("{}-{index}: {partition:?}", topic.name);
            assert!(
                partition.leader == -1 || partition.isr.contains(&partition.leader),
                "leader outside ISR, {at}"
            );
            assert!(partition.leader >= -1, "{at}");
            let sets = [&partition.isr, &partition.elr, &partition.last_known_elr];
            assert!(
                sets.iter().all(|ids| ids.iter().all(|id| partition.replicas.contains(id))),
                "not a replica, {at}"
            );
            assert!(partition.isr.iter().all(unfenced), "a fenced broker in the ISR, {at}");
            assert!(!partition.elr.iter().any(|id| partition.isr.contains(id)), "in ISR and ELR, {at}");
            assert!(!partition.isr.is_empty() || partition.leader == -1, "{at}");
            check_reassignment(image, partition, &at);
            assert!(
                disks_were_lost
                    || !partition.isr.is_empty()
                    || !partition.elr.is_empty()
                    || !partition.last_known_elr.is_empty(),
                "nobody could ever lead again, {at}"
            );
        }
    }
}

/// What is added and removed are replicas, there is something to go back to and to arrive at, and what has arrived is over.
fn check_reassignment(image: &Image, partition: &Partition, at: &str) {
    let distinct: BTreeSet<_> = partition.replicas.iter().collect();
    assert_eq!(distinct.len(), partition.replicas.len(), "a replica twice, {at}");
    let moving = [&partition.adding, &partition.removing];
    assert!(
        moving.iter().all(|ids| ids.iter().all(|id| partition.replicas.contains(id))),
        "not a replica, {at}"
    );
    let target = partition.target_replicas();
    assert!(!target.is_empty() && !partition.original_replicas().is_empty(), "{at}");
    let can_lead = |id: &i32| image.broker(*id).is_some_and(|broker| broker.is_active());
    let has_arrived = target.iter().all(|id| partition.isr.contains(id)) && target.iter().any(can_lead);
    assert!(!has_arrived || !partition.is_reassigning(), "complete and not over, {at}");
}

/// Who comes to lead cleanly was in the ISR or eligible, unless the change said itself that it had caught up.
fn check_leaders(old: &Image, new: &Image) {
    for change in Image::diff(old, new).partitions {
        if let (Some(old), Some(new)) = (&change.old, &change.new) {
            let was_complete = old.isr.contains(&new.leader) || old.elr.contains(&new.leader);
            let clean = new.leader_recovery_state == 0 || old.leader == new.leader;
            assert!(new.leader == -1 || !clean || was_complete, "{change:?}");
        }
    }
}

/// Epochs only rise; the leader epoch exactly when the leader changes.
fn check_progress(old: &Image, new: &Image) {
    for change in Image::diff(old, new).partitions {
        if let (Some(old), Some(new)) = (&change.old, &change.new) {
            assert!(new.partition_epoch > old.partition_epoch, "{change:?}");
            assert!(new.leader_epoch >= old.leader_epoch, "{change:?}");
            assert!(new.leader == old.leader || new.leader_epoch > old.leader_epoch, "{change:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_sequence_of_commands_keeps_the_invariants(steps in prop::collection::vec(step(), 1..80)) {
        let mut cluster = Cluster::of(3);
        cluster.create(creatable("a", 2, 3, &[("min.insync.replicas", "2")]));
        let mut disks_were_lost = false;
        for step in steps {
            let before = cluster.image.clone();
            let loses_disk = matches!(step, Step::Register { clean: false, other_disk: true, .. });
            disks_were_lost |= loses_disk;
            let may_join = matches!(step, Step::AlterPartition { .. } | Step::CatchUp { .. });
            take(&mut cluster, step);
            if !may_join {
                check_leaders(&before, &cluster.image);
            }
            if loses_disk {
                check_lost_disks(&before, &cluster.image);
            }
            check_image(&cluster.image, disks_were_lost);
            check_progress(&before, &cluster.image);
            prop_assert!(Image::diff(&cluster.image, &cluster.image.clone()).is_empty());
        }

        let mut replayed = Image::empty();
        for (offset, records) in (0..).zip(&cluster.log) {
            let records = decode_records(encode_records(records)).unwrap();
            replayed.apply(offset, 1, &records);
        }
        prop_assert_eq!(&replayed, &cluster.image);

        let snapshot = cluster.image.to_snapshot();
        let restored = Image::from_snapshot(snapshot.clone()).unwrap();
        prop_assert_eq!(&restored, &cluster.image);
        prop_assert_eq!(restored.to_snapshot(), snapshot);
        prop_assert!(Image::diff(&restored, &cluster.image).is_empty());
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = bytes::Bytes::from(bytes);
        let _ = Image::from_snapshot(bytes.clone());
        if let Ok(records) = decode_records(bytes) {
            Image::empty().apply(0, 0, &records);
        }
    }
}
