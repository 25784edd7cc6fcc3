//! P8: a consumer jumps over nothing while its assignment stays: no transaction leaves a mark here, so offsets have no gap.

use std::collections::HashMap;

use super::Verdict;
use crate::history::{Line, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut next: HashMap<(&str, i32), i64> = HashMap::new();
    for line in lines.0 {
        match line {
            Line::Assigned(assigned) => {
                next.remove(&(assigned.consumer.as_str(), assigned.partition));
            }
            Line::Poll(poll) => {
                let expected = next.insert((&poll.consumer, poll.partition), poll.offset + 1);
                if expected.is_some_and(|expected| poll.offset > expected) {
                    return Err(format!(
                        "{} went from {expected:?} to {} in partition {}",
                        poll.consumer, poll.offset, poll.partition
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
