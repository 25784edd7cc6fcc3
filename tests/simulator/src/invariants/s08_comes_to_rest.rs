//! S8: once faults have stopped, all brokers are unfenced, every ISR is full, every send is answered, and replicas and
//! consumers are at the end, within a stated time.

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct ComesToRest;

impl Invariant for ComesToRest {
    fn name(&self) -> &'static str {
        "S8 comes to rest"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::NotAtRest { reason } => Err(reason.clone()),
            _ => Ok(()),
        }
    }
}
