//! Networks in which everybody reaches somebody and hardly anybody reaches all (F9). Clients reach everybody.

use super::Fault;
use crate::party::Party;
use crate::queue::{Event, MS, Micros};
use crate::topology::CONTROLLERS;
use crate::world::World;

impl World {
    /// Two halves that one party joins, or a ring in which each reaches its two neighbours.
    pub(super) fn bridge(&mut self) -> bool {
        let members = self.shuffled_members();
        let is_ring = self.out.random.chance(400);
        let middle = 1 + (members.len() - 1) / 2;
        let reaches = |one: usize, other: usize| match is_ring {
            true => other - one == 1 || other - one == members.len() - 1,
            // The first one is the bridge.
            false => one == 0 || (one < middle) == (other < middle),
        };
        let pause = self.out.random.between(300, 3_500) * MS;
        for one in 0..members.len() {
            for other in one + 1..members.len() {
                if !reaches(one, other) {
                    self.cut_for(members[one], members[other], pause);
                    self.cut_for(members[other], members[one], pause);
                }
            }
        }
        let kind = if is_ring { "a ring" } else { "two halves and a bridge" };
        self.say(|| format!("the network is {kind}: {members:?}"));
        self.move_controller(pause);
        true
    }

    fn shuffled_members(&mut self) -> Vec<Party> {
        let nodes = (0..self.nodes.len()).map(Party::Node);
        let mut left: Vec<Party> = nodes.chain((0..CONTROLLERS).map(Party::Controller)).collect();
        (0..left.len()).map(|_| left.swap_remove(self.out.random.index(left.len()))).collect()
    }

    /// Controllers do not talk to each other in this world, so what follows for them is done here: an active one without a
    /// majority is replaced and does not know, or there is none.
    fn move_controller(&mut self, pause: Micros) {
        let has_majority = |world: &Self, at: usize| {
            let others = (0..CONTROLLERS).filter(|other| *other != at);
            others.filter(|other| world.hear_each_other(at, *other)).count() + 1 > CONTROLLERS / 2
        };
        if self.quorum.leader.is_none_or(|leader| has_majority(self, leader)) {
            return;
        }
        let able: Vec<usize> = (0..CONTROLLERS).filter(|at| has_majority(self, *at)).collect();
        match self.out.random.pick(&able) {
            Some(winner) => self.elect(winner, true),
            None => {
                self.quorum.is_stalled = true;
                self.queue.push(self.out.now + pause, Event::Fault(Fault::MajorityAgain));
            }
        }
    }

    fn hear_each_other(&self, one: usize, other: usize) -> bool {
        let (one, other) = (Party::Controller(one), Party::Controller(other));
        self.network.reaches(one, other) && self.network.reaches(other, one)
    }
}
