//! P10: what a producer sent later to a partition lies at a higher offset.

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut last: HashMap<(i64, i32), (i64, i64)> = HashMap::new();
    let mut acknowledged: Vec<_> = lines.acknowledged().collect();
    acknowledged.sort_by_key(|(send, _)| send.value);
    for (send, offset) in acknowledged {
        let (value, before) =
            last.insert((send.producer(), send.partition), (send.value, offset)).unwrap_or((-1, -1));
        if offset <= before {
            return Err(format!(
                "{value} at {before} of partition {}, but {}, sent later, at {offset}",
                send.partition, send.value
            ));
        }
    }
    Ok(())
}
