//! S7: what is read from a log fits its checksums, whoever reads it.

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, Digest, ServerEvent};

#[derive(Default)]
pub(super) struct ChecksumsFit;

fn sound(node: usize, partition: usize, batches: &[Digest]) -> Verdict {
    match batches.iter().find(|batch| !batch.is_sound) {
        Some(batch) => Err(format!("node {node} has a damaged batch in partition {partition}: {batch:?}")),
        None => Ok(()),
    }
}

impl Invariant for ChecksumsFit {
    fn name(&self) -> &'static str {
        "S7 checksums fit"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::DamagedBatch { partition, position } => {
                Err(format!("a consumer got a damaged batch of partition {partition} at {position}"))
            }
            _ => Ok(()),
        }
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Visible { node, partition, batches, .. }
            | ServerEvent::FinalLog { node, partition, batches, .. } => sound(*node, *partition, batches),
            ServerEvent::Elected { node, partition, log, .. } => sound(*node, *partition, log),
            _ => Ok(()),
        }
    }
}
