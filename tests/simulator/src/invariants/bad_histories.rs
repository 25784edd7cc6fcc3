//! Bad histories, one for each property: its checker must fail on it, and on nothing before it.

mod quorum;

use super::{Invariants, Violation};
use crate::history::{ClientEvent, Digest, ServerEvent};

enum Told {
    Client(ClientEvent),
    Server(ServerEvent),
    End,
}

use Told::{Client, End, Server};

/// What the last event violates; the ones before it violate nothing.
fn violated(history: Vec<Told>) -> &'static str {
    violated_of(Invariants::all(), history)
}

fn violated_of(mut invariants: Invariants, history: Vec<Told>) -> &'static str {
    let last = history.len() - 1;
    for (at, told) in history.into_iter().enumerate() {
        let violation: Option<Violation> = match told {
            Client(event) => invariants.client(&event),
            Server(event) => invariants.server(&event),
            End => invariants.end(),
        };
        match (violation, at == last) {
            (Some(violation), true) => return violation.property,
            (None, false) => {}
            (found, _) => panic!("event {at}: {found:?}"),
        }
    }
    "nothing"
}

fn acked(value: u64, sequence: i32, offset: i64) -> Told {
    Client(ClientEvent::Acked { producer: 7, epoch: 0, partition: 0, sequence, value, offset })
}

fn polled(position: i64, records: &[(i64, u64)]) -> Told {
    Client(ClientEvent::Polled { consumer: 2, partition: 0, position, records: records.to_vec() })
}

fn batch(base: i64, next: i64) -> Digest {
    Digest {
        base,
        next,
        epoch: 1,
        hash: base as u64,
        producer: 7,
        producer_epoch: 0,
        sequence: base as i32,
        is_sound: true,
    }
}

fn committed(batches: &[Digest]) -> Told {
    visible(0, true, batches)
}

fn followed(batches: &[Digest]) -> Told {
    visible(1, false, batches)
}

fn visible(node: usize, leads: bool, batches: &[Digest]) -> Told {
    let from = batches.first().map_or(0, |first| first.base);
    behind(node, leads, from, batches)
}

fn behind(node: usize, leads: bool, from: i64, batches: &[Digest]) -> Told {
    let (end, batches) = (batches.last().map_or(0, |last| last.next), batches.to_vec());
    Server(ServerEvent::Visible { node, partition: 0, leads, from, end, batches })
}

fn elected(node: usize, process: u32, epoch: i32, log: &[Digest]) -> Told {
    elected_from(0, node, process, epoch, log)
}

fn elected_from(start: i64, node: usize, process: u32, epoch: i32, log: &[Digest]) -> Told {
    let (log, end) = (log.to_vec(), log.last().map_or(start, |last| last.next));
    Server(ServerEvent::Elected { node, process, partition: 0, epoch, is_current: true, start, end, log })
}

fn final_records(records: &[(i64, u64)]) -> Told {
    Server(ServerEvent::FinalRecords { partition: 0, records: records.to_vec() })
}

#[test]
fn s1_a_follower_that_differs_below_its_high_watermark() {
    let other = Digest { hash: 99, ..batch(2, 4) };
    let history = vec![committed(&[batch(0, 2), batch(2, 4)]), followed(&[batch(0, 2)]), followed(&[other])];
    assert_eq!(violated(history), "S1 log matching");
}

#[test]
fn s1_what_a_leader_cannot_read_is_compared_between_those_who_can() {
    let unread = ServerEvent::Visible {
        node: 0,
        partition: 0,
        leads: true,
        from: 0,
        end: 4,
        batches: vec![batch(0, 2)],
    };
    let other = Digest { hash: 99, ..batch(2, 4) };
    let differs = visible(2, false, &[batch(0, 2), other]);
    let history = vec![Server(unread), followed(&[batch(0, 2), batch(2, 4)]), differs];
    assert_eq!(violated(history), "S1 log matching");
}

#[test]
fn s1_a_replica_that_cannot_be_read_at_the_end() {
    let unread =
        ServerEvent::FinalLog { node: 1, partition: 0, start: 0, end: 4, batches: vec![batch(0, 2)] };
    let history = vec![committed(&[batch(0, 2), batch(2, 4)]), followed(&[batch(0, 2)]), Server(unread)];
    assert_eq!(violated(history), "S1 log matching");
}

fn whole() -> Vec<Digest> {
    vec![batch(0, 2), batch(2, 4), batch(4, 6)]
}

#[test]
fn s1_a_replica_with_a_hole_below_its_high_watermark() {
    let within = followed(&[batch(0, 2), batch(4, 6)]);
    assert_eq!(violated(vec![committed(&whole()), within]), "S1 log matching");
    let between = behind(1, false, 2, &[batch(4, 6)]);
    assert_eq!(violated(vec![committed(&whole()), followed(&[batch(0, 2)]), between]), "S1 log matching");
}

#[test]
fn s1_a_replica_with_a_hole_at_the_end() {
    for batches in [vec![batch(0, 2), batch(4, 6)], vec![batch(2, 4), batch(4, 6)]] {
        let last = ServerEvent::FinalLog { node: 1, partition: 0, start: 0, end: 6, batches };
        assert_eq!(violated(vec![committed(&whole()), Server(last)]), "S1 log matching");
    }
}

#[test]
fn s2_a_leader_with_a_hole_in_its_log() {
    for log in [[batch(0, 2), batch(4, 6)], [batch(2, 4), batch(4, 6)]] {
        assert_eq!(violated(vec![committed(&whole()), elected(1, 1, 5, &log)]), "S2 leader completeness");
    }
}

#[test]
fn p20_who_counts_as_dead_says_that_a_batch_is_out_of_order() {
    let refused = |counts_as_dead| ServerEvent::SequenceRefused { node: 0, partition: 0, counts_as_dead };
    assert_eq!(violated(vec![Server(refused(false)), Server(refused(true))]), "P20 honest errors");
}

#[test]
fn s1_a_follower_whose_high_watermark_is_ahead_of_every_leader() {
    assert_eq!(violated(vec![committed(&[batch(0, 2)]), followed(&[batch(2, 4)])]), "S1 log matching");
}

#[test]
fn s2_a_leader_and_a_candidate_without_what_is_committed() {
    let ledger = || committed(&[batch(0, 2), batch(2, 4)]);
    let short = vec![ledger(), elected(1, 1, 5, &[batch(0, 2)])];
    assert_eq!(violated(short), "S2 leader completeness");
    let candidate = Server(ServerEvent::Candidate { node: 2, partition: 0, start: None, end: 3 });
    assert_eq!(violated(vec![ledger(), candidate]), "S2 leader completeness");
}

#[test]
fn s3_two_processes_in_one_leader_epoch() {
    let history = vec![elected(1, 1, 5, &[]), elected(1, 1, 5, &[]), elected(1, 2, 5, &[])];
    assert_eq!(violated(history), "S3 one leader");
    let active = |controller| Server(ServerEvent::ControllerElected { controller, epoch: 4 });
    assert_eq!(violated(vec![active(0), active(1)]), "S3 one leader");
}

#[test]
fn s4_epochs_that_fall() {
    let changed = |leader_epoch, partition_epoch| {
        Server(ServerEvent::PartitionChanged { partition: 0, leader_epoch, partition_epoch })
    };
    assert_eq!(violated(vec![changed(2, 5), changed(2, 6), changed(1, 7)]), "S4 epochs rise");
    assert_eq!(violated(vec![changed(2, 5), changed(3, 5)]), "S4 epochs rise");
    let registered = |epoch| Server(ServerEvent::Registered { node: 0, epoch });
    assert_eq!(violated(vec![registered(9), registered(8)]), "S4 epochs rise");
}

#[test]
fn s6_metadata_that_the_controllers_do_not_have() {
    let applied = |is_prefix| Server(ServerEvent::ImageApplied { node: 0, offset: 3, is_prefix });
    assert_eq!(violated(vec![applied(true), applied(false)]), "S6 metadata is a prefix");
    let taken =
        |is_committed| Server(ServerEvent::IsrTaken { partition: 0, partition_epoch: 3, is_committed });
    assert_eq!(violated(vec![taken(true), taken(false)]), "S6 metadata is a prefix");
}

#[test]
fn s7_a_batch_that_does_not_fit_its_checksum() {
    let damaged = Digest { is_sound: false, ..batch(0, 2) };
    assert_eq!(violated(vec![committed(&[damaged])]), "S7 checksums fit");
    let got = Client(ClientEvent::DamagedBatch { partition: 0, position: 4 });
    assert_eq!(violated(vec![got]), "S7 checksums fit");
}

#[test]
fn s6_a_broker_that_does_not_know_itself_is_unfenced() {
    let unfenced = |knows_itself| Server(ServerEvent::Unfenced { node: 1, epoch: 7, knows_itself });
    assert_eq!(violated(vec![unfenced(true), unfenced(false)]), "S6 metadata is a prefix");
}

#[test]
fn s9_a_panic() {
    let panicked = Server(ServerEvent::Panicked { what: "out of range".to_owned() });
    assert_eq!(violated(vec![committed(&[batch(0, 1)]), panicked]), "S9 no panic");
}

#[test]
fn s8_and_s10_a_cluster_that_does_not_come_to_rest() {
    let restless = Server(ServerEvent::NotAtRest { reason: "node 1 is fenced".to_owned() });
    assert_eq!(violated(vec![restless]), "S8 comes to rest");
    let leaked = Server(ServerEvent::Leaked { what: "a producer waits".to_owned() });
    assert_eq!(violated(vec![leaked]), "S10 nothing leaks");
}

#[test]
fn p1_an_acknowledged_record_that_is_gone() {
    let history = vec![acked(1, 0, 0), acked(2, 1, 1), final_records(&[(0, 1)])];
    assert_eq!(violated(history), "P1 no lost write");
}

#[test]
fn p1_two_values_acknowledged_at_one_offset() {
    assert_eq!(violated(vec![acked(1, 0, 0), acked(2, 1, 0)]), "P1 no lost write");
}

#[test]
fn p2_an_acknowledged_record_that_a_consumer_never_saw() {
    let history = vec![acked(1, 0, 0), acked(2, 1, 1), polled(0, &[(0, 1)]), End];
    assert_eq!(violated(history), "P2 everything seen");
    let skipped = Client(ClientEvent::Skipped { consumer: 2, partition: 0, start: 1 });
    let mut history = vec![acked(1, 0, 0), acked(2, 1, 1)];
    history.extend(deleted(1).into_iter().chain([skipped, End]));
    assert_eq!(violated(history), "P2 everything seen", "only one was deleted");
}

#[test]
fn p3_two_values_at_one_offset() {
    assert_eq!(violated(vec![acked(1, 0, 0), polled(0, &[(0, 2)])]), "P3 one value an offset");
}

#[test]
fn p4_one_value_at_two_offsets() {
    assert_eq!(violated(vec![acked(1, 0, 0), polled(0, &[(0, 1), (1, 1)])]), "P4 no duplicate");
}

#[test]
fn p5_a_failed_value_that_is_seen() {
    let failed = Client(ClientEvent::Failed { partition: 0, value: 5 });
    assert_eq!(violated(vec![failed, polled(0, &[(0, 5)])]), "P5 no failed value");
}

#[test]
fn p8_a_poll_that_skips() {
    assert_eq!(violated(vec![polled(0, &[(0, 1)]), polled(1, &[(2, 3)])]), "P8 no skip");
}

#[test]
fn p9_a_poll_that_goes_back() {
    let sought = Client(ClientEvent::Sought { consumer: 2, partition: 0, position: 0 });
    let history = vec![polled(0, &[(0, 1), (1, 2)]), sought, polled(0, &[(0, 1)]), polled(0, &[(0, 1)])];
    assert_eq!(violated(history), "P9 polls move forward");
}

#[test]
fn p10_a_later_send_at_a_smaller_offset() {
    assert_eq!(violated(vec![acked(1, 0, 5), acked(2, 1, 4)]), "P10 sends move forward");
}

#[test]
fn p13_and_p14_latest_offsets_that_go_back_or_lie() {
    let listed = |acked_end, latest| {
        Client(ClientEvent::Listed { client: 0, partition: 0, acked_end, latest, node: 0, leader_epoch: 0 })
    };
    assert_eq!(violated(vec![listed(0, 8), listed(0, 7)]), "P13 nothing goes back");
    assert_eq!(violated(vec![listed(9, 8)]), "P14 latest is true");
    let lost = Client(ClientEvent::PositionLost { consumer: 2, partition: 0, position: 4 });
    assert_eq!(violated(vec![lost]), "P13 nothing goes back");
}

#[test]
fn p15_a_committed_offset_that_goes_back() {
    let committed = Client(ClientEvent::Committed { group: 2, partition: 0, offset: 8 });
    let fetched = |offset| Client(ClientEvent::CommittedFetched { group: 2, partition: 0, offset });
    assert_eq!(violated(vec![fetched(-1), committed, fetched(8), fetched(7)]), "P15 group offsets");
}

#[test]
fn p18_a_producer_that_was_fenced_and_appends() {
    let new = Digest { producer_epoch: 1, sequence: 0, ..batch(2, 4) };
    let old = Digest { sequence: 2, ..batch(4, 6) };
    assert_eq!(violated(vec![committed(&[batch(0, 2), new]), committed(&[old])]), "P18 fencing");
}

#[test]
fn p18_a_producer_that_was_fenced_and_is_acknowledged() {
    let acked = |epoch, sequence, offset| {
        let value = offset as u64;
        Client(ClientEvent::Acked { producer: 7, epoch, partition: 0, sequence, value, offset })
    };
    // An answer that comes late is no late record.
    let (new, answered_late) = (acked(1, 0, 5), acked(0, 0, 3));
    assert_eq!(violated(vec![new, answered_late, acked(0, 3, 6)]), "P18 fencing");
    assert_eq!(violated(vec![acked(0, 3, 6), acked(1, 0, 5)]), "P18 fencing");
}

#[test]
fn p20_a_sequence_that_follows_and_is_refused() {
    let refused = Client(ClientEvent::SequenceRefused { producer: 7, partition: 0, sequence: 3, node: 0 });
    assert_eq!(violated(vec![refused]), "P20 honest errors");
}

#[test]
fn p1_a_record_behind_what_was_deleted_that_is_gone() {
    let moved = || Server(ServerEvent::StartMoved { partition: 0, start: 1 });
    let acked = || [acked(1, 0, 0), acked(2, 1, 1)];
    let history = |last| acked().into_iter().chain([moved(), last]).collect::<Vec<_>>();
    assert_eq!(violated(history(final_records(&[]))), "P1 no lost write");
    let mut invariants = Invariants::all();
    for told in history(final_records(&[(1, 2)])) {
        let violation = match told {
            Client(event) => invariants.client(&event),
            Server(event) => invariants.server(&event),
            End => invariants.end(),
        };
        assert_eq!(violation, None);
    }
}

fn deleted(start: i64) -> [Told; 2] {
    let moved = ServerEvent::StartMoved { partition: 0, start };
    [Server(moved), Server(ServerEvent::Deleted { partition: 0, start })]
}

#[test]
fn p21_a_leader_that_begins_before_what_was_deleted() {
    let history =
        |start| deleted(4).into_iter().chain([elected_from(start, 1, 1, 5, &[])]).collect::<Vec<_>>();
    assert_eq!(violated(history(3)), "P21 deleted stays deleted");
}

#[test]
fn p21_a_log_that_begins_behind_what_anybody_deleted() {
    let history: Vec<Told> = deleted(4).into_iter().chain([elected_from(5, 1, 1, 5, &[])]).collect();
    assert_eq!(violated(history), "P21 deleted stays deleted");
    let skipped = Client(ClientEvent::Skipped { consumer: 2, partition: 0, start: 1 });
    assert_eq!(violated(vec![skipped]), "P21 deleted stays deleted");
}

#[test]
fn p21_a_consumer_that_reads_what_was_deleted() {
    let read = |asked| {
        let (consumer, partition, position, leader_epoch) = (2, 0, 3, 1);
        Client(ClientEvent::Read { consumer, partition, position, asked, leader_epoch })
    };
    let told = Client(ClientEvent::RecordsDeleted { partition: 0, start: 4, known: 10 });
    let history: Vec<Told> = deleted(4).into_iter().chain([told, read(9), read(11)]).collect();
    assert_eq!(violated(history), "P21 deleted stays deleted");
}
