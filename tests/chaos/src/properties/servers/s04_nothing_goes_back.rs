//! S4: the epoch that a controller knows and the position up to which its log is committed never go back, restarts included.

use std::collections::BTreeMap;

use super::{Look, Verdict};

pub fn check(looks: &[Look]) -> Verdict {
    let mut last: BTreeMap<i32, &Look> = BTreeMap::new();
    for look in looks {
        if let Some(before) = last.insert(look.node, look)
            && (look.epoch < before.epoch || look.committed < before.committed)
        {
            return Err(format!("{before:?}, later {look:?}"));
        }
    }
    Ok(())
}
