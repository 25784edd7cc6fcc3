//! S5: on every controller, what is purged is held by a snapshot, what a snapshot holds is applied, what is applied is
//! committed, and what is committed is in the log.

use super::{Look, Verdict};

pub fn check(looks: &[Look]) -> Verdict {
    let in_order =
        |look: &&Look| [look.purged, look.snapshot, look.applied, look.committed, look.log].is_sorted();
    match looks.iter().find(|look| !in_order(look)) {
        None => Ok(()),
        Some(look) => Err(format!("{look:?}")),
    }
}
