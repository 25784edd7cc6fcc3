//! S10: at rest nobody waits for what has happened, and nothing grows without end.

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct NothingLeaks;

impl Invariant for NothingLeaks {
    fn name(&self) -> &'static str {
        "S10 nothing leaks"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Leaked { what } => Err(what.clone()),
            _ => Ok(()),
        }
    }
}
