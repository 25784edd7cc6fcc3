//! S9: nothing panics, whatever strikes.

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct NoPanic;

impl Invariant for NoPanic {
    fn name(&self) -> &'static str {
        "S9 no panic"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Panicked { what } => Err(what.clone()),
            _ => Ok(()),
        }
    }
}
