//! What the clients did and saw, as they wrote it down: see `client/klamm/chaos/Journal.java`.

use serde::Deserialize;

use crate::clock::Moment;

/// One line of a client's journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum Line {
    /// A send that has ended.
    Send(Send),
    /// A record that a consumer got.
    Poll(Poll),
    /// A partition that a member of the group was given.
    Assigned(Assigned),
    /// Offsets that a member of the group committed.
    Commit(Commit),
    /// Where a partition starts and ends.
    Offsets(Offsets),
    /// A metadata change that has ended.
    Change(Change),
    /// A change of an object that administrators share, which has ended.
    Admin(Admin),
    /// A send to the compacted topic that has ended.
    Keyed(Keyed),
    /// A record of the compacted topic that was there in the end.
    Kept(Keyed),
    /// An exception that a consumer got.
    Trouble(Trouble),
    /// The answer to a command.
    Done(Done),
}

/// A send that has ended: at an offset, or with an error.
#[derive(Clone, Debug, Deserialize)]
pub struct Send {
    /// Partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// What was sent: unique in the run; of one producer, ascending.
    #[serde(rename = "v")]
    pub value: i64,
    /// When it was sent.
    pub at: Moment,
    /// When it had ended.
    pub end: Moment,
    /// The offset that was acknowledged; -1 if the broker knew only that it had the record already.
    #[serde(rename = "ok")]
    pub offset: Option<i64>,
    /// The class of the error.
    pub error: Option<String>,
    /// The record is nowhere: the error came before anything was sent.
    #[serde(default)]
    pub definite: bool,
}

impl Send {
    /// Number of the producer.
    pub fn producer(&self) -> i64 {
        self.value / 1_000_000_000
    }
}

/// A record that a consumer got.
#[derive(Clone, Debug, Deserialize)]
pub struct Poll {
    /// `tail`, `final` or a member of the group.
    #[serde(rename = "c")]
    pub consumer: String,
    /// Partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// Offset.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The value, or -1 if no producer wrote it so.
    #[serde(rename = "v")]
    pub value: i64,
}

/// A partition that a member of the group was given.
#[derive(Clone, Debug, Deserialize)]
pub struct Assigned {
    /// The member.
    #[serde(rename = "c")]
    pub consumer: String,
    /// Partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// Generation of the group.
    #[serde(rename = "g")]
    pub generation: i32,
    /// When it was given.
    pub at: Moment,
}

/// An offset that a member of the group committed.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// The next offset to read.
    #[serde(rename = "o")]
    pub offset: i64,
    /// The member's generation.
    #[serde(rename = "g")]
    pub generation: i32,
    /// When it was asked for.
    pub at: Moment,
    /// Acknowledged; otherwise it may have taken effect or not.
    pub ok: bool,
}

/// A change of an object that administrators share: a topic that is there or not.
#[derive(Clone, Debug, Deserialize)]
pub struct Admin {
    /// The topic.
    pub object: String,
    /// What was asked for.
    pub change: Wish,
    /// When it was asked for.
    pub at: Moment,
    /// When the answer came.
    pub end: Moment,
    /// The answer.
    pub outcome: Outcome,
}

/// What an administrator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// The topic shall be there.
    Create,
    /// It shall be gone.
    Delete,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was made.
    Done,
    /// It was not, as the topic was there already.
    Present,
    /// It was not, as there was no such topic.
    Absent,
    /// It may have been made, or may be made later.
    Unknown,
}

/// A record of the compacted topic: one whose send has ended, or one that was there in the end.
#[derive(Clone, Debug, Deserialize)]
pub struct Keyed {
    /// Key.
    #[serde(rename = "k")]
    pub key: i64,
    /// Unique in the run, and ascending as they are sent.
    #[serde(rename = "n")]
    pub number: i64,
    /// Where it is; -1 if nobody knows whether it is anywhere.
    #[serde(rename = "o")]
    pub offset: i64,
}

/// Where a partition starts and ends, as its leader said.
#[derive(Clone, Debug, Deserialize)]
pub struct Offsets {
    /// Partition.
    #[serde(rename = "p")]
    pub partition: i32,
    /// When it was asked.
    pub at: Moment,
    /// Log start offset.
    pub start: i64,
    /// High watermark.
    pub end: i64,
}

/// A metadata change that has ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Change {
    /// When it was asked for.
    pub at: Moment,
    /// When it had ended.
    pub end: Moment,
    /// Whether it was done.
    pub ok: bool,
}

/// An exception that a consumer got.
#[derive(Clone, Debug, Deserialize)]
pub struct Trouble {
    /// Which consumer.
    pub who: String,
    /// The class of the exception.
    pub error: String,
}

/// The answer to a command.
#[derive(Clone, Debug, Deserialize)]
pub struct Done {
    /// The command.
    pub what: String,
    /// The figure that it asked for.
    #[serde(rename = "n")]
    pub figure: i64,
}

/// Lines of a run, in the order in which they were written: all, or the latest.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a>(pub &'a [Line]);

impl<'a> Lines<'a> {
    /// The sends, in the order in which they ended.
    pub fn sends(self) -> impl Iterator<Item = &'a Send> {
        self.0.iter().filter_map(|line| if let Line::Send(send) = line { Some(send) } else { None })
    }

    /// The sends that were acknowledged with an offset.
    pub fn acknowledged(self) -> impl Iterator<Item = (&'a Send, i64)> {
        let offset = |send: &Send| send.offset.filter(|offset| *offset >= 0);
        self.sends().filter_map(move |send| offset(send).map(|offset| (send, offset)))
    }

    /// What consumers got, in their order.
    pub fn polls(self) -> impl Iterator<Item = &'a Poll> {
        self.0.iter().filter_map(|line| if let Line::Poll(poll) = line { Some(poll) } else { None })
    }

    /// What the last consumer of all got, which read everything when nothing was produced any more.
    pub fn final_read(self) -> impl Iterator<Item = &'a Poll> {
        self.polls().filter(|poll| poll.consumer == "final")
    }

    /// The metadata changes, in the order in which they ended.
    pub fn changes(self) -> impl Iterator<Item = &'a Change> {
        self.0.iter().filter_map(|line| if let Line::Change(change) = line { Some(change) } else { None })
    }

    /// Where partitions started and ended.
    pub fn offsets(self) -> impl Iterator<Item = &'a Offsets> {
        self.0.iter().filter_map(|line| if let Line::Offsets(offsets) = line { Some(offsets) } else { None })
    }
    /// Changes of shared objects, in the order in which they ended.
    pub fn administered(self) -> impl Iterator<Item = &'a Admin> {
        self.0.iter().filter_map(|line| if let Line::Admin(change) = line { Some(change) } else { None })
    }

    /// Sends to the compacted topic.
    pub fn keyed(self) -> impl Iterator<Item = &'a Keyed> {
        self.0.iter().filter_map(|line| if let Line::Keyed(sent) = line { Some(sent) } else { None })
    }

    /// What was in the compacted topic in the end.
    pub fn kept(self) -> impl Iterator<Item = &'a Keyed> {
        self.0.iter().filter_map(|line| if let Line::Kept(record) = line { Some(record) } else { None })
    }
}
