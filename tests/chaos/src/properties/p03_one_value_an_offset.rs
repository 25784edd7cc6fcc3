//! P3: an offset has one value, whoever speaks of it.

use std::collections::HashMap;

use super::Verdict;
use crate::history::{Line, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut values = HashMap::new();
    for line in lines.0 {
        let (partition, offset, value) = match line {
            Line::Send(send) => match send.offset {
                Some(offset) if offset >= 0 => (send.partition, offset, send.value),
                _ => continue,
            },
            Line::Poll(poll) => (poll.partition, poll.offset, poll.value),
            _ => continue,
        };
        let before = *values.entry((partition, offset)).or_insert(value);
        if before != value {
            return Err(format!("{before} and {value} at {offset} of partition {partition}"));
        }
    }
    Ok(())
}
