//! The image: records add up to it, snapshots hold all of it, differences follow the change.

use std::sync::Arc;

use klamm_metadata::{ConfigResource, Image, Record, UnknownRecord, decode_records, encode_records};
use klamm_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use klamm_wire::messages::config_record::ConfigRecord;
use klamm_wire::messages::disruption_end_record::DisruptionEndRecord;
use klamm_wire::messages::disruption_grant_record::DisruptionGrantRecord;
use klamm_wire::messages::feature_level_record::FeatureLevelRecord;
use klamm_wire::messages::founding_record::FoundingRecord;
use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use klamm_wire::messages::partition_record::PartitionRecord;
use klamm_wire::messages::producer_ids_record::ProducerIdsRecord;
use klamm_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
use klamm_wire::messages::remove_topic_record::RemoveTopicRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use klamm_wire::messages::unregister_broker_record::UnregisterBrokerRecord;
use uuid::Uuid;

fn broker(id: i32, epoch: i64) -> Record {
    let endpoint = BrokerEndpoint {
        name: "PLAINTEXT".into(),
        host: "localhost".into(),
        port: u16::MAX,
        security_protocol: 3,
        ..BrokerEndpoint::default()
    };
    let feature = BrokerFeature {
        name: "f".into(),
        min_supported_version: 1,
        max_supported_version: 2,
        ..Default::default()
    };
    let record = RegisterBrokerRecord {
        broker_id: id,
        broker_epoch: epoch,
        incarnation_id: Uuid::from_u128(9),
        end_points: vec![endpoint],
        features: vec![feature],
        rack: Some("r".into()),
        log_dirs: vec![Uuid::from_u128(5)],
        ..RegisterBrokerRecord::default()
    };
    record.into()
}

fn topic(name: &'static str, id: u128) -> Record {
    TopicRecord { name: name.into(), topic_id: Uuid::from_u128(id), ..TopicRecord::default() }.into()
}

fn partition(topic: u128, partition_id: i32) -> Record {
    let record = PartitionRecord {
        partition_id,
        topic_id: Uuid::from_u128(topic),
        replicas: vec![1, 2, 3],
        isr: vec![1],
        removing_replicas: vec![3],
        adding_replicas: vec![2],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 5,
        leader_recovery_state: 1,
        eligible_leader_replicas: Some(vec![2]),
        last_known_elr: Some(vec![3]),
        ..PartitionRecord::default()
    };
    record.into()
}

fn config(kind: i8, resource: &'static str, value: Option<&'static str>) -> Record {
    let record = ConfigRecord {
        resource_type: kind,
        resource_name: resource.into(),
        name: "retention.ms".into(),
        value: value.map(Into::into),
        ..ConfigRecord::default()
    };
    record.into()
}

fn grant(node_id: i32, grant_id: i64) -> Record {
    let record = DisruptionGrantRecord {
        grant_id,
        node_id,
        holder: "operator".into(),
        reason: "image changed".into(),
        duration_ms: 60_000,
        broker_epoch: 11,
        ..DisruptionGrantRecord::default()
    };
    record.into()
}

fn founding(id: u128) -> Record {
    FoundingRecord { founding_id: Uuid::from_u128(id), ..FoundingRecord::default() }.into()
}

fn full_image() -> Image {
    let mut image = Image::empty();
    let records = [
        broker(1, 10),
        broker(2, 11),
        topic("a", 1),
        partition(1, 0),
        partition(1, 1),
        topic("b", 2),
        partition(2, 0),
        config(2, "a", Some("1")),
        config(4, "", Some("2")),
        config(4, "1", Some("3")),
        config(32, "group", Some("4")),
        FeatureLevelRecord { name: "metadata.version".into(), feature_level: 7, ..Default::default() }.into(),
        ProducerIdsRecord { next_producer_id: 3_000, ..Default::default() }.into(),
        grant(2, 70),
        grant(5, 71),
        DisruptionEndRecord { node_id: 5, grant_id: 71, ..Default::default() }.into(),
    ];
    image.apply(41, 6, &records);
    image
}

#[test]
fn a_snapshot_holds_everything() {
    let image = full_image();
    let restored = Image::from_snapshot(image.to_snapshot()).unwrap();
    assert_eq!(restored, image);
    assert_eq!((restored.offset(), restored.epoch(), restored.next_producer_id()), (41, 6, 3_000));
    assert_eq!(restored.features()["metadata.version"], 7);
    assert_eq!(restored.config(&ConfigResource::Other(32, "group".to_owned()))["retention.ms"], "4");
    let broker = restored.broker(1).unwrap();
    assert_eq!(
        (broker.listeners[0].port, broker.rack.as_deref(), broker.fenced),
        (u16::MAX, Some("r"), true)
    );
    let granted = restored.disruptions().next().unwrap();
    assert_eq!((granted.id, granted.node, granted.duration_ms, granted.broker_epoch), (70, 2, 60_000, 11));
    assert_eq!((&*granted.holder, &*granted.reason), ("operator", "image changed"));
    assert_eq!(restored.disruptions().count(), 1);
    assert_eq!(Image::from_snapshot(Image::empty().to_snapshot()).unwrap(), Image::empty());
}

#[test]
fn without_a_grant_a_snapshot_is_what_earlier_versions_wrote() {
    let mut image = full_image();
    let end = DisruptionEndRecord { node_id: 2, grant_id: 70, ..Default::default() };
    image.apply(42, 6, &[end.into()]);
    let snapshot = image.to_snapshot();
    // Behind format, offset and epoch.
    let records = decode_records(snapshot.slice(13..)).unwrap();
    assert!(records.iter().all(|record| record.kind() < 1_000), "{records:?}");
    assert_eq!(Image::from_snapshot(snapshot).unwrap(), image);
}

#[test]
fn every_cut_of_a_snapshot_is_an_error_or_a_shorter_image() {
    let image = full_image();
    let snapshot = image.to_snapshot();
    for cut in 0..snapshot.len() {
        if let Ok(part) = Image::from_snapshot(snapshot.slice(..cut)) {
            assert_ne!(part, image);
        }
    }
}

#[test]
fn records_about_what_does_not_exist_change_nothing() {
    let image = full_image();
    let stranger = Uuid::from_u128(77);
    let mut after = image.clone();
    let records = [
        PartitionChangeRecord { partition_id: 0, topic_id: stranger, leader: 2, ..Default::default() }.into(),
        PartitionChangeRecord {
            partition_id: 9,
            topic_id: Uuid::from_u128(1),
            leader: 2,
            ..Default::default()
        }
        .into(),
        partition(77, 0),
        RemoveTopicRecord { topic_id: stranger, ..Default::default() }.into(),
        BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 9, fenced: -1, ..Default::default() }
            .into(),
        UnregisterBrokerRecord { broker_id: 1, broker_epoch: 9, ..Default::default() }.into(),
        config(2, "zzz", None),
        DisruptionEndRecord { node_id: 2, grant_id: 71, ..Default::default() }.into(),
        DisruptionEndRecord { node_id: 3, grant_id: 70, ..Default::default() }.into(),
    ];
    after.apply(image.offset(), image.epoch(), &records);
    assert_eq!(after, image);
}

#[test]
fn a_record_of_an_unknown_kind_changes_nothing_but_is_remembered() {
    let image = full_image();
    assert!(!image.has_skipped_records());
    let mut after = image.clone();
    let unknown = UnknownRecord { kind: 99, version: 0, body: encode_records(&[]) };
    after.apply(image.offset(), image.epoch(), &[Record::Unknown(unknown)]);
    assert_eq!(after.to_snapshot(), image.to_snapshot());
    assert!(after.has_skipped_records());
}

#[test]
fn the_first_founding_holds_and_is_part_of_the_snapshot() {
    let mut image = Image::empty();
    image.apply(2, 1, &[founding(1)]);
    image.apply(3, 1, &[founding(2), topic("a", 1)]);
    assert_eq!(image.founding(), Some(Uuid::from_u128(1)));
    assert_eq!(Image::from_snapshot(image.to_snapshot()).unwrap(), image);
}

#[test]
fn an_image_is_foreign_to_a_log_whose_first_record_it_does_not_have() {
    let (ours, theirs) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
    let mut image = Image::empty();
    image.apply(1, 1, &[]);
    assert!(!image.is_foreign_to(theirs), "it has not come to the first record yet");
    image.apply(2, 1, &[founding(1)]);
    assert!(image.is_foreign_to(theirs));
    assert!(!image.is_foreign_to(ours) && !image.is_foreign_to(None));
    assert!(full_image().is_foreign_to(theirs), "a log that was founded before foundings were recorded");
    assert!(!full_image().is_foreign_to(None));
}

#[test]
fn a_founding_is_drawn_for_a_log_without_records_alone() {
    let mut numbers = 0;
    let mut draw = |image: &Image| {
        let mut rng = || {
            numbers += 1;
            numbers
        };
        klamm_metadata::controller::founding(image, &mut rng)
    };
    let mut image = Image::empty();
    image.apply(1, 1, &[]);
    let (first, second) = (draw(&image).unwrap(), draw(&image).unwrap());
    assert_ne!(first, second, "every founding is another");
    image.apply(2, 1, &[first]);
    assert_eq!(draw(&image), None);
    assert_eq!(draw(&full_image()), None, "an older log stays without");
}

#[test]
fn a_difference_names_what_changed_and_shares_the_rest() {
    let old = full_image();
    let mut new = old.clone();
    assert!(Image::diff(&old, &new).is_empty());
    let records = [
        PartitionChangeRecord {
            partition_id: 1,
            topic_id: Uuid::from_u128(1),
            leader: 2,
            ..Default::default()
        }
        .into(),
        RemoveTopicRecord { topic_id: Uuid::from_u128(2), ..Default::default() }.into(),
        topic("c", 3),
        partition(3, 0),
        UnregisterBrokerRecord { broker_id: 2, broker_epoch: 11, ..Default::default() }.into(),
        config(2, "a", Some("8")),
    ];
    new.apply(42, 6, &records);
    let delta = Image::diff(&old, &new);
    let names =
        |topics: &[Arc<klamm_metadata::Topic>]| topics.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&delta.created_topics), names(&delta.deleted_topics)),
        (vec!["c".into()], vec!["b".into()])
    );
    let change = |c: &klamm_metadata::PartitionDelta| {
        (c.topic.name.clone(), c.partition, c.old.is_some(), c.new.is_some())
    };
    let mut changes: Vec<_> = delta.partitions.iter().map(change).collect();
    changes.sort();
    let expected = [("a".into(), 1, true, true), ("b".into(), 0, true, false), ("c".into(), 0, false, true)];
    assert_eq!(changes, expected);
    assert_eq!(delta.brokers.iter().map(|b| (b.id, b.new.is_some())).collect::<Vec<_>>(), [(2, false)]);
    assert_eq!(delta.configs, [ConfigResource::Topic("a".to_owned())]);
    let shared = |image: &Image| image.partition("a", 0).unwrap().clone();
    assert!(Arc::ptr_eq(&shared(&old), &shared(&new)), "what did not change is the same allocation");
}

#[test]
fn a_topic_created_again_is_another_topic() {
    let old = full_image();
    let mut new = old.clone();
    new.apply(42, 6, &[topic("a", 8), partition(8, 0)]);
    let delta = Image::diff(&old, &new);
    assert_eq!((delta.created_topics.len(), delta.deleted_topics.len()), (1, 1));
    assert_eq!(new.topic("a").unwrap().id, Uuid::from_u128(8));
    assert!(new.topic_by_id(Uuid::from_u128(1)).is_none());
    assert!(new.topic_config("a").is_empty());
}
