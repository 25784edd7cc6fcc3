//! The families of faults.

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// A process is killed; the page cache stays (F1).
    Crash,
    /// A machine loses power, and what was not synced (F22).
    Power,
    /// All machines lose power at once (F23).
    PowerAll,
    /// A process dies again and again while it starts (F5).
    CrashLoop,
    /// A process is told to stop (F2).
    Shutdown,
    /// A process stands still, then goes on: a zombie (F3).
    Pause,
    /// A party is cut off in both directions (F6, F8, F10).
    Cut,
    /// One direction between two parties is cut (F7).
    OneWay,
    /// Messages are lost (F11).
    Loss,
    /// Messages come late (F12).
    Delay,
    /// Messages overtake each other (F12, F14).
    Reorder,
    /// Messages come twice (F14).
    Duplicate,
    /// Leaders' proposals wait on their way, come twice, are not answered (F14).
    Proposals,
    /// Registrations and heartbeats wait on their way, come twice, are not answered (F14).
    SignsOfLife,
    /// What brokers pull of the metadata waits on its way, comes twice, is not answered (F14).
    Metadata,
    /// Bits flip on the way between brokers (F24).
    WireRot,
    /// A disk takes its time (F20).
    SlowDisk,
    /// A sync fails (F18).
    SyncError,
    /// A write fails after part of it (F19).
    WriteError,
    /// Writes take a part of their bytes only (F19, F21).
    ShortWrites,
    /// A disk is full for a while (F17).
    DiskFull,
    /// A bit flips behind the recovery point, while the process is down (F24).
    BitFlip,
    /// A disk is replaced by an empty one (F25).
    DiskLost,
    /// A node's clock jumps by up to some seconds (F15, F16).
    Clock,
    /// Another controller becomes active, the old one knows at once.
    Controller,
    /// Another controller becomes active, the old one does not know.
    ZombieController,
    /// The active controller's process stands still.
    ControllerPause,
    /// The quorum has no majority.
    NoMajority,
    /// A voter's image stands still.
    LaggingVoter,
    /// An administrator gives a partition other replicas, or takes that back (F26).
    Reassignment,
    /// A node is cut from all controllers for longer than its session, and from nobody else.
    NoController,
    /// A bit flips anywhere in a file of a stopped node, of a log below the recovery point too (F24).
    Rot,
    /// A file of a stopped node ends earlier (F24).
    Truncated,
    /// A block of a file of a stopped node is zeros (F24).
    Zeroed,
    /// A block of a file of a stopped node is what it was some time ago (F24).
    StaleBlock,
    /// A node's clock jumps by an hour.
    ClockHour,
    /// Brokers and controllers are in two halves that only one of them joins, or each reaches its neighbours only (F9).
    Bridge,
    /// What is sent on the connections that two parties have now vanishes without a sign; new ones work (F13).
    HalfOpen,
    /// All that is under way between two parties is lost, again and again (F13).
    Resets,
    /// A party acts on what it gets, and its answers vanish (F13).
    Mute,
    /// A party gets each message later than the last (F13).
    SlowReader,
    /// A disk is replaced by a copy of what it held some time ago (F25).
    OldDisk,
    /// Another takes a producer's id with the next epoch, and the producer goes on with the old one (F30).
    ZombieProducer,
    /// Producers send ten times as much, and consumers read everything again (F31).
    Overload,
    /// A node stops in order and returns as the version before, or as this one again (F27).
    OlderVersion,
    /// In some runs an administrator deletes the oldest records of partitions now and then, and one more time at once.
    Deletions,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 46] = [
        Self::Crash,
        Self::Power,
        Self::PowerAll,
        Self::CrashLoop,
        Self::Shutdown,
        Self::Pause,
        Self::Cut,
        Self::OneWay,
        Self::Loss,
        Self::Delay,
        Self::Reorder,
        Self::Duplicate,
        Self::Proposals,
        Self::SignsOfLife,
        Self::Metadata,
        Self::WireRot,
        Self::SlowDisk,
        Self::SyncError,
        Self::WriteError,
        Self::ShortWrites,
        Self::DiskFull,
        Self::BitFlip,
        Self::DiskLost,
        Self::Clock,
        Self::Controller,
        Self::ZombieController,
        Self::ControllerPause,
        Self::NoMajority,
        Self::LaggingVoter,
        Self::Reassignment,
        Self::NoController,
        Self::Rot,
        Self::ClockHour,
        Self::Bridge,
        Self::HalfOpen,
        Self::Resets,
        Self::Mute,
        Self::SlowReader,
        Self::OldDisk,
        Self::ZombieProducer,
        Self::Overload,
        Self::Truncated,
        Self::Zeroed,
        Self::StaleBlock,
        Self::OlderVersion,
        Self::Deletions,
    ];

    /// The families that strike unless others are named.
    pub fn usual() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// Whether it may end a process, or make it look ended, as a registration that comes late does. A node whose log was
    /// damaged must first say that it stopped uncleanly: nobody can know which copy is whole when another does the same at
    /// that time.
    pub(crate) fn stops_nodes(self) -> bool {
        use Family::{BitFlip, Crash, CrashLoop, DiskLost, OldDisk, Power, PowerAll, Rot, Shutdown};
        use Family::{
            OlderVersion, SignsOfLife, SlowReader, StaleBlock, SyncError, Truncated, WriteError, Zeroed,
        };
        let ends = matches!(self, Crash | CrashLoop | Power | PowerAll | Shutdown | SyncError | WriteError);
        let takes_data = matches!(self, BitFlip | DiskLost | OldDisk | Rot | Truncated | Zeroed | StaleBlock);
        ends || takes_data || matches!(self, SignsOfLife | SlowReader | OlderVersion)
    }

    /// The name on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The family of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name().eq_ignore_ascii_case(name.trim()))
    }
}
