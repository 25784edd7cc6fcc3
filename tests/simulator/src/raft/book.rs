//! What is written down of a run: its trace, what the invariants say, and what all controllers together have applied.

use std::collections::BTreeMap;
use std::fmt::Arguments;

use crate::history::{ClientEvent, ServerEvent};
use crate::invariants::{Invariants, Violation};
use crate::raft::faults::Fault;
use crate::trace::Trace;

/// Kinds of events in the trace.
pub(super) mod kind {
    pub(crate) const MESSAGE: u64 = 1;
    pub(crate) const CLIENT: u64 = 2;
    pub(crate) const SERVER: u64 = 3;
    pub(crate) const STRIKE: u64 = 4;
}

/// The book of one run.
pub(super) struct Book {
    pub(super) trace: Trace,
    invariants: Invariants,
    pub(super) violation: Option<Violation>,
    pub(super) committed: u64,
    pub(super) installed: u64,
    /// Damaged disks over which a process did not start.
    pub(super) noticed: u64,
    pub(super) strikes: BTreeMap<Fault, u64>,
    /// Values by offset, of all entries that any controller applied.
    pub(super) applied: BTreeMap<i64, Vec<u64>>,
}

impl Book {
    pub(super) fn new(prints: bool) -> Self {
        Self {
            trace: Trace::new(prints),
            invariants: Invariants::of_the_quorum(),
            violation: None,
            committed: 0,
            installed: 0,
            noticed: 0,
            strikes: BTreeMap::new(),
            applied: BTreeMap::new(),
        }
    }

    pub(super) fn client(&mut self, at: i64, client: u64, event: &ClientEvent) {
        self.trace.event(at, kind::CLIENT, client);
        self.say(at, format_args!("client {client}: {event:?}"));
        let verdict = self.invariants.client(event);
        self.judge(at, verdict);
    }

    pub(super) fn server(&mut self, at: i64, controller: u64, event: &ServerEvent) {
        self.trace.event(at, kind::SERVER, controller);
        self.say(at, format_args!("{event:?}"));
        let verdict = self.invariants.server(event);
        self.judge(at, verdict);
    }

    pub(super) fn panicked(&mut self, what: &str) {
        self.server(0, 0, &ServerEvent::Panicked { what: what.to_owned() });
    }

    pub(super) fn end(&mut self, at: i64) {
        let verdict = self.invariants.end();
        self.judge(at, verdict);
    }

    pub(super) fn say(&self, at: i64, text: Arguments<'_>) {
        self.trace.say(at, text);
    }

    fn judge(&mut self, at: i64, verdict: Option<Violation>) {
        if self.violation.is_none()
            && let Some(violation) = verdict
        {
            self.say(at, format_args!("VIOLATION {violation:?}"));
            self.violation = Some(violation);
        }
    }
}
