//! Changing configurations, and what follows from it.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::messages::alter_configs_request as legacy;
use klamm_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use klamm_wire::{ErrorCode, Str};

use crate::cluster::{Cluster, code};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn alter(
    cluster: &mut Cluster,
    kind: i8,
    resource: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> (i16, String) {
    let config = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: Str::copy_from(name),
        config_operation: *operation,
        value: value.map(Str::copy_from),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: Str::copy_from(resource),
        configs: changes.iter().map(config).collect(),
        ..AlterConfigsResource::default()
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    match cluster.run(Command::IncrementalAlterConfigs(request)) {
        Reply::IncrementalAlterConfigs(reply) => {
            let response = &reply.responses[0];
            (response.error_code, response.error_message.as_deref().unwrap_or_default().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn topic_value(cluster: &Cluster, name: &str) -> Option<String> {
    cluster.image.topic_config("t").get(name).cloned()
}

#[test]
fn single_keys_are_set_deleted_and_their_lists_changed() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[("retention.ms", "5")]);
    let changes = [("segment.ms", SET, Some("9")), ("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(&mut cluster, TOPIC, "t", &changes).0, 0);
    assert_eq!(topic_value(&cluster, "retention.ms").as_deref(), Some("5"));
    assert_eq!(
        topic_value(&cluster, "cleanup.policy").as_deref(),
        Some("delete,compact"),
        "appended to the default"
    );
    let changes = [("retention.ms", DELETE, None), ("cleanup.policy", SUBTRACT, Some("delete"))];
    assert_eq!(alter(&mut cluster, TOPIC, "t", &changes).0, 0);
    assert_eq!(topic_value(&cluster, "retention.ms"), None);
    assert_eq!(topic_value(&cluster, "cleanup.policy").as_deref(), Some("compact"));
}

#[test]
fn a_bad_change_is_refused_naming_it_and_leaves_all_as_it_was() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[]);
    let before = cluster.image.clone();
    let mut refused = |kind, resource: &str, change, error: ErrorCode, needle: &str| {
        let (refused, message) = alter(&mut cluster, kind, resource, &[("segment.ms", DELETE, None), change]);
        assert_eq!(refused, code(error), "{message}");
        assert!(message.contains(needle), "{message}");
    };
    refused(TOPIC, "t", ("retention.ms", SET, Some("x")), ErrorCode::InvalidConfig, "retention.ms");
    refused(TOPIC, "t", ("retention.ms", APPEND, Some("1")), ErrorCode::InvalidConfig, "not a list");
    refused(TOPIC, "t", ("retention.ms", SET, None), ErrorCode::InvalidRequest, "retention.ms");
    refused(TOPIC, "t", ("retention.ms", 9, Some("1")), ErrorCode::InvalidRequest, "operation 9");
    refused(TOPIC, "t", ("segment.ms", SET, Some("1")), ErrorCode::InvalidRequest, "more than once");
    refused(TOPIC, "t", ("nonsense", SET, Some("1")), ErrorCode::InvalidConfig, "nonsense");
    refused(TOPIC, "nope", ("retention.ms", SET, Some("1")), ErrorCode::UnknownTopicOrPartition, "nope");
    refused(BROKER, "7", ("log.segment.bytes", SET, Some("99")), ErrorCode::BrokerIdNotRegistered, "7");
    refused(BROKER, "x", ("log.segment.bytes", SET, Some("99")), ErrorCode::InvalidRequest, "'x'");
    refused(BROKER, "", ("num.partitions", SET, Some("3")), ErrorCode::InvalidConfig, "num.partitions");
    refused(
        BROKER,
        "",
        ("leader.replication.throttled.rate", SET, Some("3")),
        ErrorCode::InvalidConfig,
        "one broker",
    );
    refused(32, "g", ("x", SET, Some("3")), ErrorCode::InvalidRequest, "type 32");
    assert_eq!(cluster.image, before);
}

#[test]
fn broker_configuration_is_kept_for_one_broker_and_for_all() {
    let mut cluster = Cluster::of(1);
    assert_eq!(alter(&mut cluster, BROKER, "", &[("log.retention.ms", SET, Some("7"))]).0, 0);
    assert_eq!(alter(&mut cluster, BROKER, "0", &[("log.retention.ms", SET, Some("8"))]).0, 0);
    assert_eq!(cluster.image.cluster_default_config()["log.retention.ms"], "7");
    assert_eq!(cluster.image.broker_config(0)["log.retention.ms"], "8");
}

#[test]
fn the_old_call_replaces_everything() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[("retention.ms", "5"), ("segment.ms", "6")]);
    let config =
        legacy::AlterableConfig { name: "segment.ms".into(), value: Some("7".into()), ..Default::default() };
    let resource = legacy::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: vec![config],
        ..Default::default()
    };
    let request = legacy::AlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut dry_run = request.clone();
    dry_run.validate_only = true;
    cluster.run(Command::AlterConfigs(dry_run));
    assert_eq!(topic_value(&cluster, "retention.ms").as_deref(), Some("5"));
    let Reply::AlterConfigs(reply) = cluster.run(Command::AlterConfigs(request)) else { panic!() };
    assert_eq!(reply.responses[0].error_code, 0);
    assert_eq!(topic_value(&cluster, "retention.ms"), None);
    assert_eq!(topic_value(&cluster, "segment.ms").as_deref(), Some("7"));
}

#[test]
fn a_smaller_minimum_ends_eligibility_because_the_high_watermark_moves_again() {
    for (kind, resource) in [(TOPIC, "t"), (BROKER, "")] {
        let mut cluster = Cluster::of(3);
        alter(&mut cluster, BROKER, "", &[("min.insync.replicas", SET, Some("2"))]);
        cluster.topic_on(&[0, 1, 2], &[]);
        cluster.alter_isr(&[0]);
        assert_eq!(cluster.partition().elr, [1, 2]);
        assert_eq!(alter(&mut cluster, kind, resource, &[("min.insync.replicas", SET, Some("1"))]).0, 0);
        assert!(cluster.partition().elr.is_empty());
    }
}

#[test]
fn allowing_unclean_elections_elects_where_nobody_leads() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    cluster.kill(1);
    cluster.kill(0);
    cluster.start(1);
    assert_eq!(cluster.partition().leader, -1);
    alter(&mut cluster, TOPIC, "t", &[("unclean.leader.election.enable", SET, Some("true"))]);
    assert_eq!(cluster.partition().leader, 1);
}

#[test]
fn a_list_cannot_outgrow_what_a_string_holds() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[]);
    let pairs = |from: u32| (from..from + 4_000).map(|n| format!("{n}:0")).collect::<Vec<_>>().join(",");
    let mut append = |value: String| {
        alter(&mut cluster, TOPIC, "t", &[("leader.replication.throttled.replicas", APPEND, Some(&value))])
    };
    assert_eq!(append(pairs(0)).0, 0);
    let (error, message) = append(pairs(10_000));
    assert_eq!(error, code(ErrorCode::InvalidConfig));
    assert!(message.contains("leader.replication.throttled.replicas"), "{message}");
}

#[test]
fn an_error_that_quotes_a_huge_value_still_fits_an_answer() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[]);
    let (error, message) =
        alter(&mut cluster, TOPIC, "t", &[("retention.ms", SET, Some(&"ü".repeat(16_000)))]);
    assert_eq!(error, code(ErrorCode::InvalidConfig));
    assert!(message.len() <= 1_024);
}
