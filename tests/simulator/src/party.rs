//! Who can send and receive, and be cut off from whom.

/// A party of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// A broker's process, by node id.
    Node(usize),
    /// A voter of the metadata quorum.
    Controller(usize),
    /// A producer or consumer.
    Client(usize),
}

/// Who is no client of the list.
pub(crate) const ADMINISTRATOR: Party = Party::Client(900);

impl Party {
    /// A number that no other party has.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Node(id) => id as u64,
            Self::Controller(id) => 1_000 + id as u64,
            Self::Client(id) => 2_000 + id as u64,
        }
    }
}
