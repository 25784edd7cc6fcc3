//! The follower's rules, one test each.

use super::*;

fn log(end: i64, durable_end: i64, last_epoch: i32) -> LogEnds {
    LogEnds { start: 0, end, durable_end, last_epoch }
}

fn follower(end: i64, last_epoch: i32) -> FollowerState {
    FollowerState::new(FollowerStart {
        leader: 1,
        leader_epoch: 5,
        log: log(end, end, last_epoch),
        high_watermark: 0,
    })
}

fn answer(follower: &mut FollowerState, answer: Answer) -> FollowerEffects {
    let asked = follower.position();
    follower.step(FollowerEvent::Answered { asked, answer }, 0)
}

fn records(high_watermark: i64) -> Answer {
    Answer::Records { high_watermark, log_start_offset: 0, is_empty: false }
}

#[test]
fn a_fetch_names_the_end_its_epoch_and_the_leaders_epoch() {
    let expected = FetchPosition { offset: 10, last_fetched_epoch: 4, current_leader_epoch: 5 };
    assert_eq!(follower(10, 4).next_fetch(0), NextFetch::Now(expected));
}

#[test]
fn the_next_fetch_waits_until_the_end_is_durable() {
    let mut follower = follower(10, 4);
    assert_eq!(answer(&mut follower, records(12)).log, Some(LogAction::Append));
    let _ = follower.step(FollowerEvent::LogChanged(log(15, 10, 5)), 0);
    assert_eq!(follower.next_fetch(0), NextFetch::AfterFlush);
    let _ = follower.step(FollowerEvent::LogChanged(log(15, 15, 5)), 0);
    assert!(matches!(follower.next_fetch(0), NextFetch::Now(position) if position.offset == 15));
}

#[test]
fn the_high_watermark_is_the_leaders_but_not_past_the_own_end() {
    let mut follower = follower(10, 4);
    assert_eq!(answer(&mut follower, records(12)).high_watermark, Some(10));
    let effects = follower.step(FollowerEvent::LogChanged(log(15, 15, 5)), 0);
    assert_eq!(effects.high_watermark, Some(12));
    assert_eq!(answer(&mut follower, records(11)).high_watermark, None, "it does not move back");
}

#[test]
fn a_diverging_epoch_truncates_to_the_smaller_end() {
    let leader = EpochEnd { epoch: 3, end_offset: 8 };
    let own = |epoch, end_offset| Some(EpochEnd { epoch, end_offset });
    let truncation =
        |own| answer(&mut follower(10, 4), Answer::Diverging { leader, own, leader_start: 0 }).log;
    assert_eq!(truncation(own(3, 9)), Some(LogAction::TruncateTo(8)));
    assert_eq!(truncation(own(3, 6)), Some(LogAction::TruncateTo(6)));
    assert_eq!(truncation(own(2, 5)), Some(LogAction::TruncateTo(5)));
}

#[test]
fn logs_that_part_where_the_leaders_starts_or_before_have_nothing_in_common() {
    let diverging = |leader_end, own: Option<i64>| Answer::Diverging {
        leader: EpochEnd { epoch: 3, end_offset: leader_end },
        own: own.map(|end_offset| EpochEnd { epoch: 3, end_offset }),
        leader_start: 7,
    };
    for (leader_end, own, action) in [
        (7, Some(9), LogAction::RestartAt(7)),
        (8, Some(5), LogAction::RestartAt(7)),
        (8, None, LogAction::RestartAt(7)),
        (8, Some(9), LogAction::TruncateTo(8)),
    ] {
        let mut follower = follower(10, 4);
        let _ = answer(&mut follower, records(9));
        let effects = answer(&mut follower, diverging(leader_end, own));
        assert_eq!(effects, FollowerEffects { log: Some(action), ..FollowerEffects::default() });
        assert!(follower.high_watermark() <= 8, "{}", follower.high_watermark());
    }
}

#[test]
fn a_log_that_starts_behind_the_fork_starts_over_there() {
    let log = LogEnds { start: 500, ..log(1_000, 1_000, 5) };
    let own = [None, Some(EpochEnd { epoch: 3, end_offset: 700 })];
    for own in own {
        let start = FollowerStart { leader: 1, leader_epoch: 7, log, high_watermark: 900 };
        let mut follower = FollowerState::new(start);
        let leader = EpochEnd { epoch: 3, end_offset: 300 };
        let effects = answer(&mut follower, Answer::Diverging { leader, own, leader_start: 100 });
        assert_eq!((effects.log, effects.log_start), (Some(LogAction::RestartAt(300)), None));
        assert_eq!(follower.high_watermark(), 300);
    }
}

#[test]
fn truncation_takes_the_high_watermark_along() {
    let mut follower = follower(10, 4);
    let _ = answer(&mut follower, records(9));
    let diverging = Answer::Diverging {
        leader: EpochEnd { epoch: 3, end_offset: 6 },
        own: Some(EpochEnd { epoch: 3, end_offset: 8 }),
        leader_start: 0,
    };
    assert_eq!(answer(&mut follower, diverging).log, Some(LogAction::TruncateTo(6)));
    assert_eq!(follower.high_watermark(), 6);
}

#[test]
fn out_of_range_truncates_restarts_or_tries_again() {
    let out = |leader_start, leader_end| {
        answer(&mut follower(10, 4), Answer::OutOfRange { leader_start, leader_end }).log
    };
    assert_eq!(out(0, 7), Some(LogAction::TruncateTo(7)));
    assert_eq!(out(20, 30), Some(LogAction::RestartAt(20)));
    assert_eq!(out(5, 30), None);
}

#[test]
fn the_leaders_start_moves_the_own_start_up_to_the_high_watermark() {
    let mut follower = follower(10, 4);
    let trimmed = Answer::Records { high_watermark: 8, log_start_offset: 9, is_empty: true };
    let effects = answer(&mut follower, trimmed);
    assert_eq!((effects.log, effects.log_start), (None, Some(8)));
}

#[test]
fn a_fenced_epoch_waits_for_metadata_and_other_errors_back_off() {
    let mut fenced = follower(10, 4);
    let _ = answer(&mut fenced, Answer::Error(FetchError::FencedLeaderEpoch));
    assert_eq!(fenced.next_fetch(1_000_000), NextFetch::AfterMetadata);
    let mut unknown = follower(10, 4);
    let _ = answer(&mut unknown, Answer::Error(FetchError::Retriable));
    assert_eq!(unknown.next_fetch(0), NextFetch::At(25));
    assert!(matches!(unknown.next_fetch(25), NextFetch::Now(_)));
    let _ = unknown.step(FollowerEvent::AppendFailed, 25);
    assert_eq!(unknown.next_fetch(25), NextFetch::At(75));
    let _ = answer(&mut unknown, records(0));
    assert!(matches!(unknown.next_fetch(0), NextFetch::Now(_)), "success clears the pause");
}

#[test]
fn an_answer_to_an_earlier_fetch_is_ignored() {
    let mut follower = follower(10, 4);
    let asked = follower.position();
    let _ = follower.step(FollowerEvent::LogChanged(log(15, 15, 5)), 0);
    let effects = follower.step(FollowerEvent::Answered { asked, answer: records(12) }, 0);
    assert_eq!(effects, FollowerEffects::default());
}

#[test]
fn a_leader_of_an_earlier_epoch_than_the_log_is_not_followed() {
    let log = LogEnds { start: 0, end: 13, durable_end: 13, last_epoch: 3 };
    let start = |leader_epoch| FollowerStart { leader: 1, leader_epoch, log, high_watermark: 13 };
    assert_eq!(FollowerState::new(start(0)).next_fetch(0), NextFetch::AfterMetadata);
    assert!(matches!(FollowerState::new(start(3)).next_fetch(0), NextFetch::Now(_)));
}
