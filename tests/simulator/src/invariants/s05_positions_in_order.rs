//! S5: on every controller, purged <= snapshot <= applied <= committed <= end of the log.

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct PositionsInOrder;

impl Invariant for PositionsInOrder {
    fn name(&self) -> &'static str {
        "S5 positions in order"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        let ServerEvent::ControllerStands { controller, log, .. } = event else { return Ok(()) };
        let in_order = [log.purged, log.snapshot, log.applied, log.committed, log.log_end];
        if in_order.is_sorted() { Ok(()) } else { Err(format!("controller {controller} has {log:?}")) }
    }
}
