//! P5: nobody reads what definitely failed, nor what nobody sent.

use std::collections::HashMap;

use super::Verdict;
use crate::history::Lines;

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let sent: HashMap<i64, bool> = lines.sends().map(|send| (send.value, send.definite)).collect();
    for poll in lines.final_read() {
        let found = match sent.get(&poll.value) {
            Some(false) => continue,
            Some(true) => "whose send failed",
            None => "which nobody sent",
        };
        return Err(format!("{} at {} of partition {}, {found}", poll.value, poll.offset, poll.partition));
    }
    Ok(())
}
