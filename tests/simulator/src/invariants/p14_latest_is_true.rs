//! P14: the latest offset lies behind every record that the asking client knew to be acknowledged.

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct LatestIsTrue;

impl Invariant for LatestIsTrue {
    fn name(&self) -> &'static str {
        "P14 latest is true"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Listed { client, partition, acked_end, latest, .. } if latest < acked_end => {
                Err(format!(
                    "client {client} is told {latest} for partition {partition} and had been acknowledged up to {acked_end}"
                ))
            }
            _ => Ok(()),
        }
    }
}
