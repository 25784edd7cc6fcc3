//! Faults as seeded events: a random part of the families in each window, about a quarter of the windows quiet, and
//! always a repair at the end. Most strike at any time, some at a moment at which the order of things matters.

mod bridge;
mod carry_out;
mod clients;
mod connections;
mod damage;
mod family;
mod moment;
mod old_disk;
mod reassign;
mod spoil;

pub use family::Family;

use std::collections::BTreeMap;

pub(crate) use moment::{Ambush, Moment};

use crate::party::Party;
use crate::queue::{Event, MS, Micros};
use crate::world::World;

/// Something that breaks, or works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One of this family strikes, rather this node than another.
    Strike {
        family: Family,
        node: Option<usize>,
    },
    Resume {
        node: usize,
    },
    Mend {
        from: Party,
        to: Party,
    },
    /// One more time all between two parties is lost.
    Reset {
        one: Party,
        other: Party,
        left: u32,
    },
    Speaks {
        party: Party,
    },
    ReadsOn {
        party: Party,
    },
    UsualLoad,
    Calm,
    FastDisk {
        node: usize,
    },
    /// What a disk holds now is put aside.
    CopyDisk {
        node: usize,
    },
    /// A file is spoilt once the node has stopped; so many looks later it is given up.
    Spoil {
        family: Family,
        node: usize,
        looks: u32,
    },
    SpaceAgain {
        node: usize,
    },
    WholeWrites {
        node: usize,
    },
    MajorityAgain,
    VoterCatchesUp {
        voter: usize,
    },
    VoterGoesOn {
        voter: usize,
    },
}

/// How often each family struck, and how often it could not.
#[derive(Clone, Debug, Default)]
pub struct Strikes {
    /// Times that one struck.
    pub struck: BTreeMap<Family, u64>,
    /// Times that one was due and nothing could be struck.
    pub skipped: BTreeMap<Family, u64>,
}

impl Strikes {
    pub(crate) fn count(&mut self, family: Family, has_struck: bool) {
        let counts = if has_struck { &mut self.struck } else { &mut self.skipped };
        *counts.entry(family).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Strikes) {
        for (into, from) in [(&mut self.struck, &other.struck), (&mut self.skipped, &other.skipped)] {
            from.iter().for_each(|(family, count)| *into.entry(*family).or_default() += count);
        }
    }
}

impl World {
    /// Plans the faults of a window and the next window, until the faults are over.
    pub(crate) fn window(&mut self) {
        let length = self.out.random.between(700, 2_200) * MS;
        let end = self.out.now + length;
        if end >= self.faults_end {
            return;
        }
        self.queue.push(end, Event::Window);
        self.plan_copies(length);
        if self.out.random.chance(250) || self.families.is_empty() {
            return;
        }
        // Of a few families each strikes more often, or a run would be quiet.
        let share = (2_000 / self.families.len() as u64).clamp(170, 600);
        let mut chosen: Vec<Family> =
            self.families.iter().copied().filter(|_| self.out.random.chance(share)).collect();
        if chosen.is_empty() {
            chosen.extend(self.out.random.pick(&self.families));
        }
        for family in chosen {
            for _ in 0..self.out.random.between(1, 2) {
                if self.out.random.chance(300) {
                    self.lie_in_wait(family);
                } else {
                    let at: Micros = self.out.now + self.out.random.between(0, length);
                    self.queue.push(at, Event::Fault(Fault::Strike { family, node: None }));
                }
            }
        }
    }
}
