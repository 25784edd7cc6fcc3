//! P9: a consumer never goes back while its assignment stays.

use std::collections::HashMap;

use super::Verdict;
use crate::history::{Line, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut last: HashMap<(&str, i32), i64> = HashMap::new();
    for line in lines.0 {
        match line {
            Line::Assigned(assigned) => {
                last.remove(&(assigned.consumer.as_str(), assigned.partition));
            }
            Line::Poll(poll) => {
                let before = last.insert((&poll.consumer, poll.partition), poll.offset);
                if before.is_some_and(|before| poll.offset <= before) {
                    return Err(format!(
                        "{} went from {before:?} back to {} in partition {}",
                        poll.consumer, poll.offset, poll.partition
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
