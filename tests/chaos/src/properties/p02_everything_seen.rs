//! P2: the consumer that followed has seen every acknowledged record, too.

use std::collections::HashSet;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let seen: HashSet<i64> = lines.polls().filter(|p| p.consumer == "tail").map(|p| p.value).collect();
    match lines.sends().find(|send| send.offset.is_some() && !seen.contains(&send.value)) {
        Some(send) => Err(format!("{send:?} was acknowledged and never polled")),
        None => Ok(()),
    }
}
