//! P13: the start and the high watermark of a partition that any client sees never go back.
//!
//! A leader that was cut off and has been replaced shows an end of the past for a while: see [`for_a_while`].

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut highest: HashMap<i32, (i64, i64)> = HashMap::new();
    let mut now: HashMap<i32, i64> = HashMap::new();
    let mut dip = None;
    for seen in lines.offsets() {
        let (start, end) = highest.entry(seen.partition).or_default();
        if seen.start < *start {
            return Err(format!(
                "the start of partition {} went from {start} back to {}",
                seen.partition, seen.start
            ));
        }
        if seen.end < *end {
            dip = dip.or(Some((seen.partition, *end, seen.end)));
        }
        (*start, *end) = (seen.start, seen.end.max(*end));
        now.insert(seen.partition, seen.end);
    }
    let is_behind = |(partition, end): (&i32, &i64)| {
        let before = highest.get(partition)?.1;
        (*end < before).then(|| format!("partition {partition} ended at {before}, and in the end at {end}"))
    };
    if let Some(what) = now.iter().find_map(is_behind) {
        return Err(what);
    }
    match dip {
        Some((partition, from, to)) => {
            Err(format!("partition {partition} ended at {from}, then at {to} {FOR_A_WHILE}"))
        }
        None => Ok(()),
    }
}

const FOR_A_WHILE: &str = "for a while";

/// Whether the violation is an end that went back and rose again, as a replaced leader shows it.
pub(super) fn for_a_while(what: &str) -> bool {
    what.starts_with("P13 ") && what.ends_with(FOR_A_WHILE)
}
