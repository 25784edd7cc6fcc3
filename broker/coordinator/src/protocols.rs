//! The assignment protocols that the members of a group offer, and the vote that selects one.

use std::collections::BTreeMap;

use klamm_wire::Str;

use crate::member::{Member, Protocol};

/// How many members offer each protocol.
#[derive(Debug, Default)]
pub(crate) struct OfferedProtocols {
    members_by_protocol: BTreeMap<Str, usize>,
}

impl OfferedProtocols {
    pub(crate) fn add(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.members_by_protocol.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            let Some(count) = self.members_by_protocol.get_mut(&*protocol.name) else { continue };
            *count -= 1;
            if *count == 0 {
                self.members_by_protocol.remove(&*protocol.name);
            }
        }
    }

    /// Whether each of `members` members offers `protocol`.
    pub(crate) fn is_offered_by_all(&self, protocol: &str, members: usize) -> bool {
        self.members_by_protocol.get(protocol).is_some_and(|count| *count == members)
    }

    /// The protocol of the next generation: every member votes for the first of its protocols that all offer, the most
    /// votes win, and of equals the first in the members' order.
    pub(crate) fn elect<'a>(&self, members: impl ExactSizeIterator<Item = &'a Member>) -> Option<Str> {
        let count = members.len();
        let mut votes: Vec<(&Str, usize)> = Vec::new();
        for member in members {
            let vote = member.protocols.iter().find(|offered| self.is_offered_by_all(&offered.name, count));
            let Some(vote) = vote else { continue };
            match votes.iter_mut().find(|(name, _)| **name == vote.name) {
                Some((_, votes)) => *votes += 1,
                None => votes.push((&vote.name, 1)),
            }
        }
        votes.into_iter().rev().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.clone())
    }
}
