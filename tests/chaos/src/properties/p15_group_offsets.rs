//! P15: a member goes on where the group has committed: not before what was acknowledged, not behind what was read.

use std::collections::{HashMap, HashSet};

use super::Verdict;
use crate::history::{Line, Lines};

#[derive(Default)]
struct Committed {
    acknowledged: i64,
    attempted: i64,
}

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let mut committed: HashMap<i32, Committed> = HashMap::new();
    let mut fresh: HashSet<(&str, i32)> = HashSet::new();
    for line in lines.0 {
        match line {
            Line::Commit(commit) => {
                let known = committed.entry(commit.partition).or_default();
                known.attempted = known.attempted.max(commit.offset);
                if commit.ok {
                    known.acknowledged = known.acknowledged.max(commit.offset);
                }
            }
            Line::Assigned(assigned) => {
                fresh.insert((&assigned.consumer, assigned.partition));
            }
            Line::Poll(poll) if fresh.remove(&(poll.consumer.as_str(), poll.partition)) => {
                let known = committed.entry(poll.partition).or_default();
                if poll.offset < known.acknowledged || poll.offset > known.attempted {
                    return Err(format!(
                        "{} started at {} in partition {}, where {} was committed and at most {} could be",
                        poll.consumer, poll.offset, poll.partition, known.acknowledged, known.attempted
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
