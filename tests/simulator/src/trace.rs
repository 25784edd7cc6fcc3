//! What happened, as a hash that two runs of one seed share, and as text when somebody wants to read it.

use std::fmt::Arguments;

use crate::queue::Micros;

/// The trace of one run.
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    prints: bool,
}

impl Trace {
    pub(crate) fn new(prints: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, prints }
    }

    /// Takes a number in.
    pub(crate) fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Takes an event in.
    pub(crate) fn event(&mut self, at: Micros, kind: u64, who: u64) {
        self.events += 1;
        self.mix(at as u64);
        self.mix(kind << 32 | who);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn prints(&self) -> bool {
        self.prints
    }

    pub(crate) fn say(&self, at: Micros, text: Arguments<'_>) {
        if self.prints {
            println!("{:>11.6} {text}", at as f64 / 1e6);
        }
    }
}
