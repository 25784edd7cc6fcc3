//! Faults of single connections (F13): whoever dials anew is served.

use super::{Family, Fault};
use crate::party::Party;
use crate::queue::{Event, MS};
use crate::world::World;

impl World {
    pub(super) fn connections(&mut self, family: Family) -> bool {
        let (node, party) = (Party::Node(self.any_node()), self.any_party());
        match family {
            Family::HalfOpen | Family::Resets if node == party => return false,
            Family::HalfOpen => {
                self.say(|| format!("connections between {node:?} and {party:?} are half open"));
                let last_request = self.out.id();
                self.network.half_open(node, party, last_request);
            }
            Family::Resets => {
                let left = self.out.random.between(1, 12) as u32;
                self.reset(node, party, left);
            }
            Family::Mute => {
                let party = if matches!(party, Party::Client(_)) { node } else { party };
                self.say(|| format!("{party:?} acts and does not answer"));
                self.network.connections.mute(party);
                self.later(100, 2_500, Fault::Speaks { party });
            }
            _ => {
                self.say(|| format!("{party:?} reads slowly"));
                let step = self.out.random.between(1, 40) * MS;
                self.network.connections.slow_down(party, step);
                self.later(200, 3_000, Fault::ReadsOn { party });
            }
        }
        true
    }

    /// All that is under way between the two is lost, and again so many times. Producers and followers dial anew at once, the
    /// others when their patience ends.
    pub(super) fn reset(&mut self, one: Party, other: Party, left: u32) {
        self.say(|| format!("connections between {one:?} and {other:?} are reset"));
        self.network.lost += self.queue.drop_between(one, other);
        self.network.break_streams(one, other);
        for (of, to) in [(one, other), (other, one)] {
            match (of, to) {
                (Party::Client(client), Party::Node(node)) => self.clients[client].connection_lost(node),
                (Party::Node(follower), Party::Node(leader)) => {
                    self.nodes[follower].connection_lost(leader, &mut self.out);
                }
                _ => {}
            }
        }
        if left > 0 {
            let pause = self.out.random.between(1, 250) * MS;
            self.queue.push(self.out.now + pause, Event::Fault(Fault::Reset { one, other, left: left - 1 }));
        }
    }
}
