//! P13: the start and the high watermark of a partition that any client sees never go back.

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut seen: HashMap<i32, (i64, i64)> = HashMap::new();
    for now in lines.offsets() {
        let before = seen.insert(now.partition, (now.start, now.end)).unwrap_or_default();
        if now.start < before.0 || now.end < before.1 {
            return Err(format!(
                "partition {} went from {before:?} back to {:?}",
                now.partition,
                (now.start, now.end)
            ));
        }
    }
    Ok(())
}
