//! P18: who has been replaced gets nothing done any more: no member commits in a generation after another member was given
//! partitions in a later one.
//!
//! What fenced leaders and controllers get done shows elsewhere: as P1, P3 and P19.

use super::Verdict;
use crate::clock::Moment;
use crate::history::{Line, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    // Generations and since when somebody has had partitions in them, both ascending.
    let mut begun: Vec<(i32, Moment)> = Vec::new();
    for line in lines.0 {
        match line {
            Line::Assigned(given) if begun.last().is_none_or(|last| last.0 < given.generation) => {
                begun.push((given.generation, given.at));
            }
            Line::Commit(commit) if commit.ok => {
                let later = begun.iter().rev().find(|(generation, _)| *generation > commit.generation);
                if let Some((generation, since)) = later
                    && *since < commit.at
                {
                    return Err(format!("{commit:?} when generation {generation} had begun"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
