//! Registration, sessions and fencing.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::ErrorCode;
use klamm_wire::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;

use crate::cluster::{Cluster, code, listener};

#[test]
fn a_broker_is_unfenced_once_it_has_applied_its_own_registration() {
    let mut cluster = Cluster::new();
    let epoch = cluster.register(0, -1);
    assert_eq!(epoch, 0, "the epoch is the registration's offset");
    let behind = cluster.heartbeat_with(0, |request| request.current_metadata_offset = epoch - 1);
    assert!(behind.is_fenced && !behind.is_caught_up);
    let wanting = cluster.heartbeat_with(0, |request| request.want_fence = true);
    assert!(wanting.is_fenced && wanting.is_caught_up);
    let there = cluster.heartbeat(0);
    assert!(!there.is_fenced && there.is_caught_up);
}

#[test]
fn a_broker_of_another_cluster_is_refused() {
    let mut cluster = Cluster::new();
    let mut request = cluster.registration(0, -1);
    request.cluster_id = "elsewhere".into();
    assert_eq!(cluster.try_register(request), Err(code(ErrorCode::InconsistentClusterId)));
    let mut silent = cluster.registration(0, -1);
    silent.listeners.clear();
    assert_eq!(cluster.try_register(silent), Err(code(ErrorCode::InvalidRegistration)));
}

#[test]
fn a_second_process_cannot_take_the_id_of_a_live_broker() {
    let mut cluster = Cluster::of(1);
    let mut duplicate = cluster.registration(0, -1);
    duplicate.listeners = vec![listener(7_777)];
    let refused = Err(code(ErrorCode::DuplicateBrokerRegistration));
    assert_eq!(cluster.try_register(duplicate.clone()), refused);
    cluster.kill(0);
    assert!(cluster.try_register(duplicate).is_ok());
}

#[test]
fn a_session_that_ran_out_does_not_defend_the_id() {
    let mut cluster = Cluster::of(1);
    let mut next = cluster.registration(0, -1);
    next.listeners = vec![listener(7_777)];
    cluster.now_ms = 9_000;
    assert!(cluster.try_register(next).is_ok());
}

#[test]
fn a_process_on_the_same_addresses_replaces_the_old_one_at_once() {
    let mut cluster = Cluster::of(1);
    let old = cluster.epoch(0);
    assert!(cluster.register(0, -1) > old);
    let stale = cluster.heartbeat_with(0, |request| request.broker_epoch = old);
    assert_eq!(stale.error_code, code(ErrorCode::StaleBrokerEpoch));
}

#[test]
fn a_session_inherited_from_another_controller_defends_the_id_only_briefly() {
    let mut cluster = Cluster::of(1);
    cluster.now_ms = 1_000_000;
    cluster.new_controller();
    let mut next = cluster.registration(0, -1);
    next.listeners = vec![listener(7_777)];
    assert_eq!(cluster.try_register(next.clone()), Err(code(ErrorCode::DuplicateBrokerRegistration)));
    cluster.now_ms += 3_000;
    assert!(cluster.try_register(next).is_ok());
}

#[test]
fn the_same_process_registers_again_under_the_same_epoch() {
    let mut cluster = Cluster::new();
    let request = cluster.registration(0, -1);
    let epoch = cluster.try_register(request.clone()).unwrap();
    cluster.heartbeat(0);
    let entries = cluster.log.len();
    assert_eq!(cluster.try_register(request.clone()), Ok(epoch));
    assert_eq!(cluster.log.len(), entries, "nothing to record");
    let mut moved = request;
    moved.listeners = vec![listener(9_999)];
    assert_eq!(cluster.try_register(moved), Ok(epoch));
    let broker = cluster.image.broker(0).unwrap();
    assert!(!broker.fenced && broker.listeners[0].port == 9_999);
}

#[test]
fn a_silent_broker_is_fenced_when_its_session_ends_and_not_before() {
    let mut cluster = Cluster::of(2);
    cluster.advance_to(5_000);
    cluster.heartbeat(1);
    assert_eq!(cluster.controller.next_deadline(), Some(9_000));
    cluster.advance_to(8_999);
    assert!(!cluster.image.broker(0).unwrap().fenced);
    cluster.advance_to(9_000);
    assert!(cluster.image.broker(0).unwrap().fenced);
    assert!(!cluster.image.broker(1).unwrap().fenced);
}

#[test]
fn a_new_controller_gives_every_broker_a_full_session() {
    let mut cluster = Cluster::of(1);
    cluster.now_ms = 100_000;
    cluster.new_controller();
    cluster.advance_to(108_999);
    assert!(!cluster.image.broker(0).unwrap().fenced);
    cluster.advance_to(109_000);
    assert!(cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn the_node_of_the_controller_before_has_half_a_session_to_be_heard() {
    let mut cluster = Cluster::of(2);
    cluster.now_ms = 100_000;
    cluster.controller.on_become_active(&cluster.image, Some(1), 100_000);
    cluster.heartbeat(0);
    cluster.advance_to(104_499);
    assert!(!cluster.image.broker(1).unwrap().fenced);
    cluster.advance_to(104_500);
    assert!(cluster.image.broker(1).unwrap().fenced && !cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn nobody_is_fenced_for_a_silence_in_which_the_controller_was_deaf() {
    let mut cluster = Cluster::of(1);
    cluster.controller.on_stall(5_000);
    cluster.advance_to(13_999);
    assert!(!cluster.image.broker(0).unwrap().fenced);
    cluster.advance_to(14_000);
    assert!(cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn two_brokers_that_go_at_once_both_leave_the_isr() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    cluster.advance_to(5_000);
    cluster.heartbeat(2);
    cluster.advance_to(9_000);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (2, &vec![2]));
}

#[test]
fn the_news_of_a_dead_process_fences_only_the_registration_that_was_checked() {
    let mut cluster = Cluster::of(1);
    let old = cluster.epoch(0);
    cluster.start(0);
    cluster.run(Command::BrokerGone { id: 0, epoch: old });
    assert!(!cluster.image.broker(0).unwrap().fenced);
    cluster.kill(0);
    assert!(cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn producer_id_blocks_follow_one_another_and_need_a_current_broker() {
    let mut cluster = Cluster::of(1);
    let ask = |cluster: &mut Cluster, broker_epoch| {
        let request = AllocateProducerIdsRequest { broker_id: 0, broker_epoch, ..Default::default() };
        match cluster.run(Command::AllocateProducerIds(request)) {
            Reply::AllocateProducerIds(reply) => {
                (reply.error_code, reply.producer_id_start, reply.producer_id_len)
            }
            other => panic!("{other:?}"),
        }
    };
    let epoch = cluster.epoch(0);
    assert_eq!(ask(&mut cluster, epoch), (0, 0, 1_000));
    assert_eq!(ask(&mut cluster, epoch), (0, 1_000, 1_000));
    assert_eq!(ask(&mut cluster, epoch + 1).0, code(ErrorCode::StaleBrokerEpoch));
}
