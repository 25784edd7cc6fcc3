//! What may strike a quorum.

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process dies after one of its calls to the disk.
    Crash,
    /// All processes die.
    CrashAll,
    /// A machine loses power, and what was not synced is gone.
    Power,
    /// All machines lose power.
    PowerAll,
    /// Nobody reaches a controller, and it reaches nobody.
    Isolation,
    /// Nothing arrives from one controller at another.
    OneWay,
    /// Two controllers do not reach each other, and both reach the rest.
    Bridge,
    /// Messages are lost.
    Loss,
    /// Messages are late, and overtake each other.
    Delay,
    /// Messages come twice.
    Twice,
    /// Messages of one kind are late by far.
    KindHeld,
    /// Messages of one kind come twice, far from each other.
    KindTwice,
    /// Answers to messages of one kind are lost.
    KindUnanswered,
    /// A process stands still, and does not know it when it goes on.
    Pause,
    /// A disk takes long.
    SlowDisk,
    /// A sync fails.
    FailedSync,
    /// An empty disk takes the place of another.
    DiskLost,
    /// Voters are added and removed.
    Voters,
    /// The leader hands over.
    Transfer,
    /// A bit of a file flips.
    FlippedBit,
    /// A file ends earlier than it did.
    ShortFile,
    /// A block of a file is zeros.
    ZeroedBlock,
    /// A block of a file is what it was before.
    OldBlock,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::Crash,
        Self::CrashAll,
        Self::Power,
        Self::PowerAll,
        Self::Isolation,
        Self::OneWay,
        Self::Bridge,
        Self::Loss,
        Self::Delay,
        Self::Twice,
        Self::KindHeld,
        Self::KindTwice,
        Self::KindUnanswered,
        Self::Pause,
        Self::SlowDisk,
        Self::FailedSync,
        Self::DiskLost,
        Self::Voters,
        Self::Transfer,
        Self::FlippedBit,
        Self::ShortFile,
        Self::ZeroedBlock,
        Self::OldBlock,
    ];

    /// The name on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name().eq_ignore_ascii_case(name))
    }
}
