//! Disruption grants: who may stop, who may not and why, and how a grant ends.

use klamm_metadata::controller::VoterState::{Behind, CaughtUp, Silent};
use klamm_wire::ErrorCode;
use klamm_wire::messages::begin_disruption_response::BeginDisruptionResponse;

use crate::cluster::{Cluster, code};

const MIN_ISR_2: [(&str, &str); 1] = [("min.insync.replicas", "2")];

/// Three brokers, all voters, and `t-0` on all of them with min ISR 2.
fn three() -> Cluster {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &MIN_ISR_2);
    for id in 0..3 {
        cluster.voter(id, CaughtUp);
    }
    cluster
}

fn kinds(answer: &BeginDisruptionResponse) -> Vec<&str> {
    assert!(!answer.granted && answer.grant_id == -1 && answer.expires_in_ms == -1, "{answer:?}");
    answer.blockers.iter().map(|blocker| &*blocker.kind).collect()
}

#[test]
fn a_node_that_all_can_spare_may_stop() {
    let mut cluster = three();
    let answer = cluster.begin(1);
    assert!(answer.granted && answer.grant_id >= 0 && answer.blockers.is_empty(), "{answer:?}");
    assert_eq!((answer.error_code, answer.expires_in_ms), (0, 10_000));
    let grants = cluster.grants();
    assert_eq!((grants[0].node_id, grants[0].grant_id), (1, answer.grant_id));
    assert_eq!((&*grants[0].holder, &*grants[0].reason), ("operator", "config changed"));
    assert!(!grants[0].restored, "it has not even stopped");
}

#[test]
fn the_same_holder_gets_its_grant_again_and_its_full_time() {
    let mut cluster = three();
    let first = cluster.begin(1);
    cluster.now_ms = 4_000;
    assert_eq!(cluster.grants()[0].expires_in_ms, 6_000);
    let again = cluster.begin_with(1, |request| request.reason = "image changed".into());
    assert_eq!((again.grant_id, again.expires_in_ms), (first.grant_id, 10_000));
    let grants = cluster.grants();
    assert_eq!((grants.len(), grants[0].expires_in_ms, &*grants[0].reason), (1, 10_000, "image changed"));
}

#[test]
fn one_disruption_at_a_time() {
    let mut cluster = three();
    let first = cluster.begin(1);
    let second = cluster.begin(2);
    assert_eq!(kinds(&second), ["OtherDisruption"]);
    let message = &*second.blockers[0].message;
    assert!(
        message.contains("Node 1") && message.contains("operator") && message.contains("10 s"),
        "{message}"
    );
    let other_holder = cluster.begin_with(1, |request| request.holder = "somebody else".into());
    assert_eq!(kinds(&other_holder), ["OtherDisruption"]);
    cluster.end(1, first.grant_id + 1);
    cluster.end(2, first.grant_id);
    assert_eq!(
        kinds(&cluster.begin(2)),
        ["OtherDisruption"],
        "another grant was ended, which changes nothing"
    );
    cluster.end(1, first.grant_id);
    cluster.end(1, first.grant_id);
    let third = cluster.begin(2);
    assert!(third.granted && third.grant_id != first.grant_id);
}

#[test]
fn a_partition_at_its_min_isr_keeps_its_members() {
    let mut cluster = three();
    cluster.kill(0);
    let answer = cluster.begin(1);
    assert_eq!(kinds(&answer), ["MinIsr"]);
    let blocker = &answer.blockers[0];
    assert_eq!((blocker.topic.as_deref(), blocker.partition), (Some("t"), 0));
    assert_eq!((blocker.have, blocker.need), (1, 2));
    assert!(blocker.message.contains("t-0 would have 1"), "{}", blocker.message);
    assert!(cluster.begin(0).granted, "it is down already");
}

#[test]
fn a_replica_that_others_wait_for_is_not_stopped_again() {
    let mut cluster = three();
    cluster.kill(0);
    cluster.start(0);
    let answer = cluster.begin(0);
    assert_eq!(kinds(&answer), ["CatchingUp"]);
    assert_eq!((answer.blockers[0].have, answer.blockers[0].need), (2, 2));
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    assert!(cluster.begin(0).granted);
}

#[test]
fn a_member_that_is_stopping_by_itself_does_not_count() {
    let mut cluster = three();
    cluster.topic_called("u", &[1, 2, 0], &MIN_ISR_2);
    cluster.heartbeat_with(2, |request| request.want_shut_down = true);
    assert_eq!(kinds(&cluster.begin(1)), ["MinIsr", "MinIsr"]);
}

#[test]
fn what_no_single_node_can_leave_stands_against_nothing() {
    let mut cluster = three();
    cluster.topic_called("one", &[1], &[]);
    cluster.topic_called("two", &[1, 2], &MIN_ISR_2);
    cluster.topic_called("three", &[0, 1, 2], &[("min.insync.replicas", "3")]);
    assert!(cluster.begin(1).granted);
}

#[test]
fn the_controllers_need_a_majority_of_all_of_them() {
    for state in [Behind, Silent] {
        let mut cluster = three();
        cluster.voter(0, state);
        let answer = cluster.begin(1);
        assert_eq!(kinds(&answer), ["Quorum"]);
        assert_eq!((answer.blockers[0].have, answer.blockers[0].need), (1, 2));
        assert!(answer.blockers[0].message.ends_with("not caught up: 0."), "{}", answer.blockers[0].message);
    }
}

#[test]
fn a_silent_controller_may_be_restarted_and_one_that_catches_up_may_not() {
    let mut cluster = three();
    cluster.voter(1, Behind);
    cluster.voter(2, Silent);
    assert_eq!(kinds(&cluster.begin(1)), ["Quorum"]);
    assert!(cluster.begin(2).granted);
}

#[test]
fn one_or_two_controllers_are_restarted_all_the_same() {
    let mut cluster = Cluster::of(1);
    cluster.voter(0, CaughtUp);
    let alone = cluster.begin(0);
    assert!(alone.granted);
    cluster.end(0, alone.grant_id);
    cluster.voter(1, Behind);
    assert_eq!(kinds(&cluster.begin(0)), ["Quorum"]);
    cluster.voter(1, CaughtUp);
    assert!(cluster.begin(0).granted);
}

#[test]
fn a_node_that_does_nothing_may_always_go() {
    let mut cluster = three();
    cluster.kill(0);
    cluster.voter(0, Silent);
    assert!(cluster.begin(7).granted, "never seen");
    let grant = cluster.grants()[0].grant_id;
    cluster.end(7, grant);
    assert!(cluster.begin(0).granted, "dead");
}

#[test]
fn a_node_is_restored_when_it_is_in_every_isr_again() {
    let mut cluster = three();
    cluster.begin(1);
    cluster.heartbeat_with(1, |request| request.want_shut_down = true);
    cluster.kill(1);
    assert!(!cluster.grants()[0].restored, "down");
    let previous = cluster.epoch(1);
    cluster.register(1, previous);
    assert!(!cluster.grants()[0].restored, "fenced");
    cluster.heartbeat(1);
    assert!(!cluster.grants()[0].restored, "catching up");
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    cluster.voter(1, Behind);
    assert!(!cluster.grants()[0].restored, "its controller is behind");
    cluster.voter(1, CaughtUp);
    assert!(cluster.grants()[0].restored);
}

#[test]
fn a_disruption_that_takes_too_long_ends() {
    let mut cluster = three();
    cluster.begin(1);
    assert!(cluster.controller.next_deadline().unwrap() <= 10_000);
    cluster.advance_to(9_999);
    assert_eq!(cluster.grants()[0].expires_in_ms, 1);
    cluster.advance_to(10_000);
    assert_eq!(cluster.grants(), []);
}

#[test]
fn a_new_controller_keeps_the_grant_and_starts_its_time_anew() {
    let mut cluster = three();
    let granted = cluster.begin(1);
    cluster.now_ms = 9_000;
    cluster.new_controller();
    for id in 0..3 {
        cluster.heartbeat(id);
    }
    cluster.advance_to(18_999);
    let grants = cluster.grants();
    assert_eq!((grants[0].grant_id, grants[0].expires_in_ms), (granted.grant_id, 1));
    assert_eq!(cluster.begin(1).grant_id, granted.grant_id);
    cluster.advance_to(28_999);
    assert_eq!(cluster.grants(), []);
}

#[test]
fn blockers_are_counted_beyond_the_first_twenty() {
    let mut cluster = three();
    for n in 0..24 {
        cluster.topic_called(&format!("more-{n}"), &[0, 1, 2], &MIN_ISR_2);
    }
    cluster.kill(0);
    let answer = cluster.begin(1);
    assert_eq!((answer.blockers.len(), answer.more_blockers), (20, 5));
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_the_reason() {
    let mut cluster = three();
    let mut refused = |node, adjust: &dyn Fn(&mut _), needle: &str| {
        let answer = cluster.begin_with(node, |request| adjust(request));
        assert_eq!(answer.error_code, code(ErrorCode::InvalidRequest));
        let message = answer.error_message.unwrap();
        assert!(!answer.granted && message.contains(needle), "{message}");
    };
    type Request = klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
    refused(-1, &|_: &mut Request| {}, "-1 is no node id");
    refused(1, &|request| request.duration_ms = 0, "0 ms");
    refused(1, &|request| request.holder = "".into(), "holder is empty");
    refused(1, &|request| request.reason = "x".repeat(513).into(), "512 bytes");
    assert_eq!(cluster.grants(), []);
    let day = cluster.begin_with(1, |request| request.duration_ms = 86_400_000);
    assert_eq!(day.expires_in_ms, 3_600_000);
}
