//! Bad histories of a quorum of controllers.

use klamm_quorum::LogPositions;

use super::Told::{self, Client, Server};
use super::{Invariants, final_records, violated_of};
use crate::history::{ClientEvent, ServerEvent};

fn violated(history: Vec<Told>) -> &'static str {
    violated_of(Invariants::of_the_quorum(), history)
}

/// Everything is there up to this offset, and nothing is purged.
fn up_to(end: i64) -> LogPositions {
    LogPositions { purged: 0, snapshot: 0, applied: end, committed: end, log_end: end }
}

fn stands(process: u32, vote: Option<(i32, u64, bool)>, log: LogPositions) -> Told {
    Server(ServerEvent::ControllerStands { controller: 0, disk: 0, process, vote, log })
}

fn voted(vote: (i32, u64, bool)) -> Told {
    stands(1, Some(vote), up_to(4))
}

fn leads(controller: usize, process: u32, epoch: i32, log_end: i64) -> Told {
    Server(ServerEvent::ControllerLeads { controller, process, epoch, log_end })
}

fn proposed(value: u64) -> Told {
    Client(ClientEvent::Proposed { value })
}

fn committed(value: u64, offset: i64, epoch: i32) -> Told {
    Client(ClientEvent::ProposalCommitted { value, offset, epoch })
}

#[test]
fn s2_a_controller_that_leads_without_what_was_answered_as_committed() {
    let history = vec![committed(1, 7, 2), leads(0, 1, 2, 7), leads(1, 1, 3, 8), leads(2, 1, 4, 7)];
    assert_eq!(violated(history), "S2 leader completeness");
}

#[test]
fn s3_two_processes_of_controllers_that_lead_in_one_epoch() {
    let history = |second| vec![leads(0, 1, 2, 5), leads(0, 1, 2, 6), second];
    assert_eq!(violated(history(leads(1, 1, 2, 6))), "S3 one leader");
    assert_eq!(violated(history(leads(0, 2, 2, 6))), "S3 one leader");
}

#[test]
fn s4_a_controller_that_votes_twice_in_one_epoch() {
    let first = || voted((3, 10, false));
    assert_eq!(violated(vec![first(), first(), voted((3, 11, false))]), "S4 epochs rise");
    assert_eq!(violated(vec![first(), voted((4, 11, false)), first()]), "S4 epochs rise");
    assert_eq!(violated(vec![first(), stands(2, None, up_to(4))]), "S4 epochs rise");
}

#[test]
fn s4_a_log_that_goes_on_without_what_was_synced() {
    let returned = |log_end| Server(ServerEvent::ControllerReturned { controller: 0, synced: 7, log_end });
    assert_eq!(violated(vec![returned(7), returned(9), returned(6)]), "S4 epochs rise");
}

#[test]
fn s4_a_vote_for_who_was_elected_that_changes() {
    let elected = || vec![voted((3, 10, false)), voted((3, 11, true)), voted((3, 11, true))];
    for vote in [(3, 12, true), (3, 11, false), (3, 10, false)] {
        let mut history = elected();
        history.push(voted(vote));
        assert_eq!(violated(history), "S4 epochs rise", "{vote:?}");
    }
}

#[test]
fn s4_positions_of_a_controller_that_go_back() {
    let at = |process, log| stands(process, None, log);
    assert_eq!(violated(vec![at(1, up_to(4)), at(2, up_to(3)), at(2, up_to(2))]), "S4 epochs rise");
    let purged = LogPositions { purged: 2, snapshot: 3, ..up_to(4) };
    let less_purged = LogPositions { purged: 1, ..purged };
    assert_eq!(violated(vec![at(1, purged), at(2, less_purged)]), "S4 epochs rise");
    let older_snapshot = LogPositions { snapshot: 2, ..purged };
    assert_eq!(violated(vec![at(1, purged), at(2, older_snapshot)]), "S4 epochs rise");
}

#[test]
fn s5_positions_that_overtake_each_other() {
    let good = LogPositions { purged: 1, snapshot: 2, applied: 3, committed: 4, log_end: 5 };
    let bad = [
        LogPositions { purged: 3, ..good },
        LogPositions { snapshot: 4, ..good },
        LogPositions { applied: 5, ..good },
        LogPositions { committed: 6, ..good },
    ];
    for log in bad {
        assert_eq!(violated(vec![stands(1, None, good), stands(1, None, log)]), "S5 positions in order");
    }
}

#[test]
fn s6_a_controller_that_applies_another_entry() {
    let applied =
        |controller, epoch, hash| Server(ServerEvent::EntryApplied { controller, offset: 3, epoch, hash });
    for (epoch, hash) in [(2, 8), (1, 9)] {
        let history = vec![applied(0, 1, 8), applied(1, 1, 8), applied(2, epoch, hash)];
        assert_eq!(violated(history), "S6 metadata is a prefix");
    }
}

#[test]
fn s6_a_controller_that_comes_to_another_image_or_goes_back() {
    let reached = |controller, process, offset, hash| {
        Server(ServerEvent::ImageReached { controller, process, offset, hash })
    };
    let differs = vec![reached(0, 1, 3, 8), reached(1, 1, 3, 8), reached(2, 1, 3, 9)];
    assert_eq!(violated(differs), "S6 metadata is a prefix");
    let goes_back = vec![reached(0, 1, 3, 8), reached(0, 2, 2, 7), reached(0, 2, 1, 6)];
    assert_eq!(violated(goes_back), "S6 metadata is a prefix");
}

#[test]
fn p19_a_change_that_is_before_one_which_was_answered_when_it_was_proposed() {
    let proposals = || vec![proposed(1), proposed(2), committed(1, 7, 2), proposed(3)];
    let mut answered = proposals();
    answered.extend([committed(2, 6, 2), committed(3, 5, 2)]);
    assert_eq!(violated(answered), "P19 order of changes");
    let mut unanswered = proposals();
    unanswered.push(final_records(&[(7, 1), (6, 2), (5, 3)]));
    assert_eq!(violated(unanswered), "P19 order of changes");
}
