//! P1: every acknowledged record is there in the end, at the offset that was acknowledged.

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let found: HashMap<_, _> = lines.final_read().map(|p| ((p.partition, p.offset), p.value)).collect();
    let mut lost =
        lines.acknowledged().filter(|(send, at)| found.get(&(send.partition, *at)) != Some(&send.value));
    let Some((send, at)) = lost.next() else { return Ok(()) };
    let there = found.get(&(send.partition, at));
    let rest = lost.count();
    Err(format!(
        "{} was acknowledged at {at} of partition {}, where {there:?} is now; {rest} more",
        send.value, send.partition
    ))
}
