//! Histories that each break one property, to show that it is noticed, and that a good one breaks none.

use super::{is_of_the_past, violations};
use crate::history::{Line, Lines};

/// Two sends, read by the consumer that follows, by a member and in the end.
const GOOD: &[&str] = &[
    r#"{"t":"assigned","c":"member-1","p":0,"g":1,"at":1}"#,
    r#"{"t":"send","p":0,"v":1,"at":2,"end":5,"ok":0}"#,
    r#"{"t":"send","p":0,"v":2,"at":3,"end":7,"ok":1}"#,
    r#"{"t":"poll","c":"tail","p":0,"o":0,"v":1,"at":8}"#,
    r#"{"t":"poll","c":"tail","p":0,"o":1,"v":2,"at":9}"#,
    r#"{"t":"poll","c":"member-1","p":0,"o":0,"v":1,"at":9}"#,
    r#"{"t":"commit","c":"member-1","p":0,"o":1,"g":1,"ok":true,"at":10}"#,
    r#"{"t":"offsets","p":0,"at":10,"start":0,"end":2}"#,
    r#"{"t":"poll","c":"final","p":0,"o":0,"v":1,"at":11}"#,
    r#"{"t":"poll","c":"final","p":0,"o":1,"v":2,"at":11}"#,
];

fn broken_by(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let lines: Vec<Line> =
        lines.into_iter().map(|line| serde_json::from_str(line.as_ref()).expect("a line")).collect();
    let names = violations(Lines(&lines)).into_iter();
    names.map(|found| found.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// The good history with a line in place of another, which is told by its beginning.
fn with(line: &str, instead: &[&str]) -> Vec<String> {
    let start = GOOD.iter().position(|l| *l == line).expect("a line of the good history");
    broken_by(GOOD[..start].iter().chain(instead).chain(&GOOD[start + 1..]))
}

/// The good history and one line more.
fn and(line: &str) -> Vec<String> {
    broken_by(GOOD.iter().chain([&line]))
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(broken_by(GOOD), Vec::<String>::new());
}

#[test]
fn an_acknowledged_record_that_is_gone_is_lost() {
    assert_eq!(with(GOOD[9], &[]), ["P1"]);
    assert_eq!(with(GOOD[4], &[]), ["P2"]);
}

#[test]
fn two_values_at_an_offset_are_noticed() {
    let other = r#"{"t":"poll","c":"tail","p":0,"o":1,"v":3,"at":9}"#;
    assert_eq!(with(GOOD[4], &[GOOD[4], other]), ["P3", "P9"]);
}

#[test]
fn a_value_at_two_offsets_is_a_duplicate() {
    assert_eq!(and(r#"{"t":"poll","c":"final","p":0,"o":2,"v":2,"at":12}"#), ["P4"]);
}

#[test]
fn a_value_that_failed_or_was_never_sent_may_not_be_read() {
    assert_eq!(and(r#"{"t":"poll","c":"final","p":0,"o":2,"v":9,"at":12}"#), ["P5"]);
    let failed =
        r#"{"t":"send","p":0,"v":9,"at":4,"end":6,"error":"RecordTooLargeException","definite":true}"#;
    let read = r#"{"t":"poll","c":"final","p":0,"o":2,"v":9,"at":12}"#;
    assert_eq!(broken_by(GOOD.iter().chain([&failed, &read])), ["P5"]);
}

#[test]
fn a_consumer_that_skips_or_goes_back_is_noticed() {
    assert_eq!(and(r#"{"t":"poll","c":"member-1","p":0,"o":3,"v":7,"at":12}"#), ["P8"]);
    assert_eq!(and(GOOD[3]), ["P9"]);
}

#[test]
fn a_later_send_at_a_lower_offset_is_noticed() {
    let swapped = [
        r#"{"t":"send","p":0,"v":2,"at":2,"end":5,"ok":0}"#,
        r#"{"t":"send","p":0,"v":1,"at":3,"end":7,"ok":1}"#,
    ];
    let found = with(GOOD[2], &[]).into_iter().chain(broken_by(swapped));
    assert!(found.into_iter().any(|name| name == "P10"));
}

#[test]
fn an_end_that_goes_back_or_lies_is_noticed() {
    assert_eq!(and(r#"{"t":"offsets","p":0,"at":6,"start":0,"end":1}"#), ["P13"]);
    assert_eq!(and(r#"{"t":"offsets","p":1,"at":12,"start":0,"end":0}"#), Vec::<String>::new());
    assert_eq!(with(GOOD[7], &[r#"{"t":"offsets","p":0,"at":10,"start":0,"end":1}"#]), ["P14"]);
}

#[test]
fn only_an_end_that_rises_again_may_be_of_a_leader_of_the_past() {
    let ends = |ends: &[i64]| {
        let asked = ends
            .iter()
            .enumerate()
            .map(|(at, end)| format!(r#"{{"t":"offsets","p":0,"at":{at},"start":0,"end":{end}}}"#));
        let lines: Vec<Line> = asked.map(|line| serde_json::from_str(&line).unwrap()).collect();
        violations(Lines(&lines)).iter().any(|what| is_of_the_past(what))
    };
    assert!(ends(&[3, 1, 3]) && ends(&[3, 1, 4]));
    assert!(!ends(&[3, 1, 2]) && !ends(&[3, 4]));
}

#[test]
fn a_member_that_starts_before_or_behind_what_was_committed_is_noticed() {
    let again = r#"{"t":"assigned","c":"member-2","p":0,"g":2,"at":12}"#;
    for (offset, value) in [(0, 1), (2, 3)] {
        let poll = format!(r#"{{"t":"poll","c":"member-2","p":0,"o":{offset},"v":{value},"at":13}}"#);
        assert_eq!(broken_by(GOOD.iter().chain([&again, &poll.as_str()])), ["P15"]);
    }
}

#[test]
fn a_consumer_whose_place_is_said_to_be_gone_is_noticed() {
    assert_eq!(and(r#"{"t":"trouble","who":"tail","error":"OffsetOutOfRangeException","at":12}"#), ["P20"]);
}

#[test]
fn a_commit_of_a_generation_that_is_over_is_noticed() {
    let given = r#"{"t":"assigned","c":"member-2","p":1,"g":2,"at":12}"#;
    let commit =
        |at: i64| format!(r#"{{"t":"commit","c":"member-1","p":0,"o":2,"g":1,"ok":true,"at":{at}}}"#);
    assert_eq!(broken_by(GOOD.iter().chain([&given, &commit(13).as_str()])), ["P18"]);
    assert_eq!(broken_by(GOOD.iter().chain([&given, &commit(11).as_str()])), Vec::<String>::new());
}

#[test]
fn a_key_whose_latest_record_is_gone_or_that_nobody_sent_is_noticed() {
    let sent = [r#"{"t":"keyed","k":3,"n":1,"o":10}"#, r#"{"t":"keyed","k":3,"n":2,"o":12}"#];
    let [old, new] = [r#"{"t":"kept","k":3,"n":1,"o":10}"#, r#"{"t":"kept","k":3,"n":2,"o":12}"#];
    assert_eq!(broken_by([sent[0], sent[1], new]), Vec::<String>::new());
    assert_eq!(broken_by([sent[0], sent[1], old]), ["P17"]);
    assert_eq!(broken_by([sent[0], new]), ["P17"]);
    assert_eq!(broken_by([sent[0], r#"{"t":"kept","k":3,"n":1,"o":11}"#]), ["P17"]);
}

fn administered(changes: &[(&str, i64, i64, &str)]) -> Vec<String> {
    broken_by(changes.iter().map(|(change, at, end, outcome)| {
        format!(
            r#"{{"t":"admin","object":"x","change":"{change}","at":{at},"end":{end},"outcome":"{outcome}"}}"#
        )
    }))
}

#[test]
fn changes_that_no_order_explains_are_noticed() {
    let created_twice = [("create", 1, 2, "done"), ("create", 3, 4, "done")];
    assert_eq!(administered(&created_twice), ["P19"]);
    let gone_by_itself = [("create", 1, 2, "done"), ("delete", 3, 4, "absent")];
    assert_eq!(administered(&gone_by_itself), ["P19"]);
}

#[test]
fn changes_at_one_time_may_have_happened_in_either_order() {
    let at_once = [("create", 1, 9, "present"), ("create", 2, 8, "done"), ("delete", 10, 11, "done")];
    assert_eq!(administered(&at_once), Vec::<String>::new());
    // The deletion that nobody heard of came late, between the two creations.
    let late = [("create", 1, 2, "done"), ("delete", 1, 3, "unknown"), ("create", 20, 21, "done")];
    assert_eq!(administered(&late), Vec::<String>::new());
    // The second attempt met what the first had done.
    let twice = [("create", 1, 200_000_000, "present"), ("delete", 200_000_001, 200_000_002, "done")];
    assert_eq!(administered(&twice), Vec::<String>::new());
    // So did the second attempt at a deletion: it met what another had created meanwhile.
    let deleted_twice = [
        ("create", 1, 2, "done"),
        ("delete", 3, 300_000_000, "done"),
        ("create", 4, 5, "done"),
        ("delete", 300_000_001, 300_000_002, "absent"),
    ];
    assert_eq!(administered(&deleted_twice), Vec::<String>::new());
    let too_late = [("create", 1, 2, "done"), ("create", 20, 21, "done"), ("delete", 30, 31, "unknown")];
    assert_eq!(administered(&too_late), ["P19"]);
}
