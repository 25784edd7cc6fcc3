//! P19: to administrators every topic is there or not: their changes have an order in which each answer is right, and which
//! keeps to the order of changes of which one had ended when the other began.
//!
//! The order is searched for as Wing and Gong do ("Testing and Verifying Concurrent Objects", 1993), and what has been
//! searched is remembered as Lowe does ("Testing for linearizability", 2017).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::Verdict;
use crate::history::{Admin, Lines, Outcome, Wish};

/// A broker asks the next controller when one has fallen silent, as Kafka's do, and the first may have made the change, too:
/// what took at least this long may have been done once more than the answer says.
const TRIED_TWICE: Duration = Duration::from_millis(20);
/// Changes of an object that can be told apart.
const MOST: usize = 64;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut objects: BTreeMap<&str, Vec<&Admin>> = BTreeMap::new();
    for change in lines.administered() {
        objects.entry(&change.object).or_default().push(change);
    }
    for (object, changes) in objects {
        let tried_before = |change: &&&Admin| change.end.since(change.at) >= TRIED_TWICE;
        let before = |change: &&Admin| Admin { outcome: Outcome::Unknown, ..(*change).clone() };
        let attempts: Vec<Admin> = changes.iter().filter(tried_before).map(before).collect();
        let changes: Vec<&Admin> = changes.into_iter().chain(&attempts).collect();
        if changes.len() > MOST {
            return Err(format!("{object} was changed {} times, which is too often to judge", changes.len()));
        }
        if !has_order(&changes) {
            return Err(format!("no order explains {changes:?}"));
        }
    }
    Ok(())
}

/// Whether the topic is there after a change that found it so; nothing if the answer is wrong then.
fn after(change: &Admin, is_there: bool) -> Option<bool> {
    let wished = change.change == Wish::Create;
    match change.outcome {
        Outcome::Done => (is_there != wished).then_some(wished),
        Outcome::Present => is_there.then_some(true),
        Outcome::Absent => (!is_there).then_some(false),
        Outcome::Unknown => Some(wished),
    }
}

/// Whether there is an order, beginning with no such topic.
fn has_order(changes: &[&Admin]) -> bool {
    let decided = |index: &usize| changes[*index].outcome != Outcome::Unknown;
    let to_place: u64 = (0..changes.len()).filter(decided).map(|index| 1 << index).sum();
    let mut searched: HashSet<(u64, bool)> = HashSet::new();
    let mut open: Vec<(u64, bool)> = vec![(0, false)];
    while let Some((placed, is_there)) = open.pop() {
        if placed & to_place == to_place {
            return true;
        }
        if !searched.insert((placed, is_there)) {
            continue;
        }
        let waits = |index: &usize| placed & (1 << *index) == 0;
        // Nothing that began after another one had ended may come before it; what nobody knows never ends.
        let first_end =
            (0..changes.len()).filter(waits).filter(decided).map(|index| changes[index].end).min();
        for index in (0..changes.len()).filter(waits) {
            let may_be_next = first_end.is_none_or(|end| changes[index].at <= end);
            if let (true, Some(is_there)) = (may_be_next, after(changes[index], is_there)) {
                open.push((placed | 1 << index, is_there));
            }
        }
    }
    false
}
