//! P14: the latest offset lies behind everything that was acknowledged before it was asked for.

use std::collections::HashMap;

use super::Verdict;
use crate::clock::Moment;
use crate::history::{Line, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    // By partition: the highest offset acknowledged so far, and when, in the order of the journal.
    let mut acknowledged: HashMap<i32, Vec<(Moment, i64)>> = HashMap::new();
    for line in lines.0 {
        match line {
            Line::Send(send) => {
                let highest = acknowledged.entry(send.partition).or_default();
                if send.offset > highest.last().map(|(_, offset)| *offset) {
                    highest.extend(send.offset.map(|offset| (send.end, offset)));
                }
            }
            Line::Offsets(asked) => {
                let before = acknowledged.get(&asked.partition).map_or(&[][..], Vec::as_slice);
                let known = before.iter().rev().find(|(at, _)| *at < asked.at);
                if known.is_some_and(|(_, offset)| asked.end <= *offset) {
                    return Err(format!(
                        "partition {} ends at {}, after {known:?} was acknowledged",
                        asked.partition, asked.end
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
