//! What is looked at every few milliseconds: what each controller has recorded, who leads, and what was applied.

use std::sync::Arc;

use klamm_metadata::decode_records;
use klamm_quorum::{Fetched, Quorum, QuorumError};

use crate::history::{ServerEvent, hash};
use crate::raft::client::value_of;
use crate::raft::controller::Running;
use crate::raft::world::World;

/// Bytes of entries that are looked at at once.
const ENTRIES: usize = 64 * 1024;

impl World {
    /// Looks at every controller that runs.
    pub(super) fn look(self: &Arc<Self>) {
        for controller in 0..self.size {
            self.look_for_panic(controller);
            self.bury(controller);
            let Some((process, _, quorum)) = self.running(controller) else { continue };
            self.look_at(controller, process, &quorum);
            self.look_at_image(controller, process, &quorum);
            self.look_at_entries(controller, &quorum);
        }
    }

    /// Also of a process that has died or stopped over it, or not started yet; what is buried tells nothing any more.
    pub(super) fn look_for_panic(&self, controller: usize) {
        let process =
            self.controllers.lock()[controller].running.as_ref().map(|running| running.process.clone());
        if let Some(what) = process.and_then(|process| process.panicked()) {
            self.tell(controller, &ServerEvent::Panicked { what });
        }
    }

    /// Ends a process that has died over a call to its disk, or stopped because of it; it comes back later.
    fn bury(self: &Arc<Self>, controller: usize) {
        let mut controllers = self.controllers.lock();
        let one = &mut controllers[controller];
        let Some(running) = &one.running else { return };
        let stopped = running.quorum.as_ref().and_then(|quorum| quorum.status().borrow().stopped.clone());
        if !running.fuse.is_burnt() && stopped.is_none() {
            return;
        }
        let (may_stop, power) = (running.may_stop(), running.power);
        one.kill(power);
        drop(controllers);
        if !may_stop {
            let reason = format!("controller {controller} stopped: {}", stopped.unwrap_or_default());
            self.tell(controller, &ServerEvent::NotAtRest { reason });
        }
        self.start_later(controller);
    }

    fn look_at(&self, controller: usize, process: u32, quorum: &Quorum) {
        let status = quorum.status().borrow().clone();
        let vote = quorum.recorded_vote();
        let disk = self.controllers.lock()[controller].number;
        let stands = ServerEvent::ControllerStands { controller, disk, process, vote, log: status.log };
        // Nothing is known of the log before the first status.
        if status.epoch >= 0 {
            self.tell_news(controller, stands);
        }
        if status.is_active {
            let (epoch, log_end) = (status.epoch, status.log.log_end);
            self.tell_news(controller, ServerEvent::ControllerLeads { controller, process, epoch, log_end });
        }
    }

    fn tell_news(&self, controller: usize, event: ServerEvent) {
        let kind = usize::from(matches!(event, ServerEvent::ControllerLeads { .. }));
        let before = self.told.lock().insert((controller, kind), event.clone());
        if before.as_ref() != Some(&event) {
            self.tell(controller, &event);
        }
    }

    fn look_at_image(&self, controller: usize, process: u32, quorum: &Quorum) {
        let image = quorum.image().borrow().clone();
        let shown = self.controllers.lock()[controller].shown.replace(image.clone());
        if shown.is_none_or(|shown| !Arc::ptr_eq(&shown, &image)) {
            let (offset, hash) = (image.offset(), hash(&image.to_snapshot()));
            self.tell(controller, &ServerEvent::ImageReached { controller, process, offset, hash });
        }
    }

    fn look_at_entries(&self, controller: usize, quorum: &Quorum) {
        loop {
            let from = self.controllers.lock()[controller].seen;
            let next = match quorum.read_committed(from, ENTRIES) {
                Ok(Fetched::Batches(entries)) => {
                    for (offset, epoch, records) in &entries {
                        let event = ServerEvent::EntryApplied {
                            controller,
                            offset: *offset,
                            epoch: *epoch,
                            hash: hash(records),
                        };
                        self.tell(controller, &event);
                        let values = decode_records(records.clone()).unwrap_or_default();
                        let values = values.iter().filter_map(value_of).collect();
                        self.book.lock().applied.insert(*offset, values);
                    }
                    entries.last().map_or(from, |(offset, ..)| offset + 1)
                }
                Ok(Fetched::Snapshot { offset, .. }) => {
                    if from > 0 && !has_entry(quorum, offset) {
                        self.book.lock().installed += 1;
                    }
                    // Entries that the snapshot holds may still be in the log, and looked at nowhere else.
                    let first = quorum.status().borrow().log.purged;
                    if first > from && has_entry(quorum, first) { first } else { offset + 1 }
                }
                Err(QuorumError::OffsetOutOfRange { .. }) => from,
                Err(error) => {
                    self.tell_unreadable(controller, from, &error);
                    from
                }
            };
            if next == from {
                return;
            }
            self.controllers.lock()[controller].seen = next;
        }
    }

    fn tell_unreadable(&self, controller: usize, from: i64, error: &QuorumError) {
        let may_stop = self.controllers.lock()[controller].running.as_ref().is_none_or(Running::may_stop);
        if !may_stop {
            let reason =
                format!("controller {controller} cannot read what it applied from {from} on: {error}");
            self.tell(controller, &ServerEvent::NotAtRest { reason });
        }
    }
}

/// Whether the log goes on from before its snapshot, as after a snapshot of its own; one that was installed replaces it.
fn has_entry(quorum: &Quorum, offset: i64) -> bool {
    matches!(quorum.read_committed(offset, 1), Ok(Fetched::Batches(_)))
}
