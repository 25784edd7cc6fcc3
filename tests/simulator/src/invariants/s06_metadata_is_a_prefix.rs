//! S6: what a broker knows of the metadata is a prefix of the controllers' log, which has its registration before anybody
//! is sent there (KIP-631), and no leader takes an ISR for committed that is not in the log. Controllers apply the same entries,
//! forward, and come to the same images.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct MetadataIsAPrefix {
    /// Epoch and hash of each entry that a controller applied.
    entries: BTreeMap<i64, (i32, u64)>,
    /// Hash of the image at each offset at which a controller had one.
    images: BTreeMap<i64, u64>,
    /// Process of each controller, and the offset that it has reached.
    reached: BTreeMap<usize, (u32, i64)>,
}

impl MetadataIsAPrefix {
    fn reach(&mut self, controller: usize, process: u32, offset: i64, hash: u64) -> Verdict {
        if let Some((_, before)) = self
            .reached
            .insert(controller, (process, offset))
            .filter(|(same, before)| *same == process && *before > offset)
        {
            return Err(format!("controller {controller} had applied {before}, and now it has {offset}"));
        }
        match *self.images.entry(offset).or_insert(hash) == hash {
            true => Ok(()),
            false => Err(format!("controller {controller} has another image at offset {offset} than others")),
        }
    }
}

impl Invariant for MetadataIsAPrefix {
    fn name(&self) -> &'static str {
        "S6 metadata is a prefix"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::ImageApplied { node, offset, is_prefix: false } => {
                Err(format!("the image of node {node} at offset {offset} is not that of the log"))
            }
            ServerEvent::Unfenced { node, epoch, knows_itself: false } => Err(format!(
                "node {node} is unfenced in broker epoch {epoch}, and its metadata does not reach that far"
            )),
            ServerEvent::IsrTaken { partition, partition_epoch, is_committed: false } => Err(format!(
                "an ISR of partition {partition} in partition epoch {partition_epoch} was never committed"
            )),
            ServerEvent::ImageReached { controller, process, offset, hash } => {
                self.reach(*controller, *process, *offset, *hash)
            }
            ServerEvent::EntryApplied { controller, offset, epoch, hash } => {
                let known = *self.entries.entry(*offset).or_insert((*epoch, *hash));
                if known == (*epoch, *hash) {
                    return Ok(());
                }
                Err(format!(
                    "controller {controller} applied another entry at offset {offset} in epoch {epoch} than others in epoch {}",
                    known.0
                ))
            }
            _ => Ok(()),
        }
    }
}
