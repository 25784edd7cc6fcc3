//! P4: the producers are idempotent: no value stands at two offsets.

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut places = HashMap::new();
    for poll in lines.polls() {
        let before = *places.entry(poll.value).or_insert((poll.partition, poll.offset));
        if before != (poll.partition, poll.offset) {
            let (partition, offset) = before;
            return Err(format!(
                "{} at {offset} of partition {partition} and at {} of {}",
                poll.value, poll.offset, poll.partition
            ));
        }
    }
    Ok(())
}
