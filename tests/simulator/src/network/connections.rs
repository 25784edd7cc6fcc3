//! Connections that are not what they look like (F13): dead without a sign, without answers, read too slowly.

use std::collections::BTreeMap;

use crate::message::Message;
use crate::party::Party;
use crate::queue::{MS, Micros};

/// Who has heard nothing for so long has given the connection up and made another: the shortest patience that anybody has.
const RENEWAL: Micros = 250 * MS;
/// How late a message at a slow reader is at most.
const LATEST: Micros = 3_000 * MS;

/// What is wrong with the connections of whom.
#[derive(Default)]
pub(crate) struct Connections {
    dead: BTreeMap<(Party, Party), Dead>,
    mute: BTreeMap<Party, u32>,
    slow: BTreeMap<Party, Slow>,
}

/// The connections that two parties had at some time.
struct Dead {
    /// The last request that can have been sent on one of them.
    last_request: u64,
    /// When the first request was lost, by sender and kind: each kind has a connection of its own.
    noticed: BTreeMap<(Party, u64), Micros>,
}

struct Slow {
    step: Micros,
    lateness: Micros,
}

impl Connections {
    /// What was or is sent on the connections that exist now is lost.
    pub(crate) fn kill(&mut self, one: Party, other: Party, last_request: u64) {
        self.dead.insert(pair(one, other), Dead { last_request, noticed: BTreeMap::new() });
    }

    /// The party's answers are lost.
    pub(crate) fn mute(&mut self, party: Party) {
        *self.mute.entry(party).or_default() += 1;
    }

    pub(crate) fn unmute(&mut self, party: Party) {
        if let Some(count) = self.mute.get_mut(&party) {
            *count -= 1;
            if *count == 0 {
                self.mute.remove(&party);
            }
        }
    }

    /// Each message to the party is so much later than the one before.
    pub(crate) fn slow_down(&mut self, party: Party, step: Micros) {
        self.slow.insert(party, Slow { step, lateness: 0 });
    }

    pub(crate) fn speed_up(&mut self, party: Party) {
        self.slow.remove(&party);
    }

    /// Whether the message is lost.
    pub(super) fn swallow(&mut self, now: Micros, from: Party, to: Party, message: &Message) -> bool {
        if message.is_answer() && self.mute.contains_key(&from) {
            return true;
        }
        let Some(dead) = self.dead.get_mut(&pair(from, to)) else { return false };
        match message {
            // Producers number their connections.
            Message::Produce { .. } => false,
            _ if message.is_answer() => message.id() <= dead.last_request,
            _ => now - *dead.noticed.entry((from, message.kind())).or_insert(now) < RENEWAL,
        }
    }

    /// How much later than usual a message arrives.
    pub(super) fn lateness(&mut self, to: Party) -> Micros {
        self.slow.get_mut(&to).map_or(0, |slow| {
            slow.lateness = (slow.lateness + slow.step).min(LATEST);
            slow.lateness
        })
    }
}

fn pair(one: Party, other: Party) -> (Party, Party) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Party = Party::Node(1);
    const CLIENT: Party = Party::Client(2);

    #[test]
    fn a_dead_connection_takes_all_until_its_user_has_given_it_up() {
        let mut connections = Connections::default();
        connections.kill(NODE, CLIENT, 5);
        let (old, new) = (Message::Metadata { id: 6 }, Message::Metadata { id: 7 });
        assert!(connections.swallow(0, CLIENT, NODE, &old));
        assert!(connections.swallow(RENEWAL - 1, CLIENT, NODE, &old));
        assert!(!connections.swallow(RENEWAL, CLIENT, NODE, &new));
        assert!(connections.swallow(
            RENEWAL,
            CLIENT,
            NODE,
            &Message::List { id: 8, key: 0, leader_epoch: 0 }
        ));
        let answer = |id| Message::MetadataAnswer { id, partitions: Vec::new() };
        assert!(connections.swallow(RENEWAL, NODE, CLIENT, &answer(5)));
        assert!(!connections.swallow(RENEWAL, NODE, CLIENT, &answer(7)));
    }

    #[test]
    fn a_mute_party_asks_and_does_not_answer() {
        let mut connections = Connections::default();
        connections.mute(NODE);
        let answer = Message::MetadataAnswer { id: 1, partitions: Vec::new() };
        assert!(connections.swallow(0, NODE, CLIENT, &answer));
        assert!(!connections.swallow(0, NODE, CLIENT, &Message::Pull { id: 2, next: 0 }));
        assert!(!connections.swallow(0, CLIENT, NODE, &answer));
        connections.unmute(NODE);
        assert!(!connections.swallow(0, NODE, CLIENT, &answer));
    }

    #[test]
    fn a_slow_reader_gets_each_message_later_than_the_last() {
        let mut connections = Connections::default();
        connections.slow_down(CLIENT, 7);
        assert_eq!([(); 3].map(|()| connections.lateness(CLIENT)), [7, 14, 21]);
        assert_eq!(connections.lateness(NODE), 0);
        connections.speed_up(CLIENT);
        assert_eq!(connections.lateness(CLIENT), 0);
    }
}
