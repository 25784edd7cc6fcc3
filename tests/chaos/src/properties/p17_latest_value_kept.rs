//! P17: of every key of a compacted topic the latest record is there in the end, and nothing else than what was sent.

use std::collections::{BTreeMap, HashMap};

use super::Verdict;
use crate::history::{Keyed, Lines};

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    let sent: HashMap<i64, &Keyed> = lines.keyed().map(|sent| (sent.number, sent)).collect();
    let mut latest: BTreeMap<i64, i64> = BTreeMap::new();
    for kept in lines.kept() {
        let Some(sent) = sent.get(&kept.number) else {
            return Err(format!("nobody sent {} at {}", kept.number, kept.offset));
        };
        if sent.key != kept.key || sent.offset >= 0 && sent.offset != kept.offset {
            return Err(format!("{sent:?} stands as {kept:?}"));
        }
        let of_key = latest.entry(kept.key).or_insert(kept.offset);
        *of_key = kept.offset.max(*of_key);
    }
    for sent in lines.keyed() {
        let left = latest.get(&sent.key).copied().unwrap_or(-1);
        if left < sent.offset {
            return Err(format!(
                "of key {} offset {left} is left, but {} was acknowledged",
                sent.key, sent.offset
            ));
        }
    }
    Ok(())
}
