//! P13: the latest offset that a client is told never goes back, and nobody's position is lost.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct NothingGoesBack {
    latest: BTreeMap<(usize, usize), i64>,
}

impl Invariant for NothingGoesBack {
    fn name(&self) -> &'static str {
        "P13 nothing goes back"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Listed { client, partition, latest, .. } => {
                let known = self.latest.insert((*client, *partition), *latest).unwrap_or(-1);
                if *latest < known {
                    return Err(format!(
                        "client {client} was told {known}, then {latest} for partition {partition}"
                    ));
                }
                Ok(())
            }
            ClientEvent::PositionLost { consumer, partition, position } => Err(format!(
                "the position {position} of consumer {consumer} in partition {partition} is not in the log any more"
            )),
            _ => Ok(()),
        }
    }
}
