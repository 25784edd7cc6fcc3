//! What must hold: one file and one small checker each. S are properties of the servers, P of what clients see; numbers
//! are those of the catalogue that `tests/simulator` follows.
//!
//! Not here, because what they speak of is not simulated: P6, P7, P11, P12, P16 (transactions), P17 (compaction). Of P19
//! (administration) there is what a quorum owes to who proposes changes.

mod ledger;
mod p01_no_lost_write;
mod p02_everything_seen;
mod p03_one_value_an_offset;
mod p04_no_duplicate;
mod p05_no_failed_value;
mod p08_no_skip;
mod p09_polls_move_forward;
mod p10_sends_move_forward;
mod p13_nothing_goes_back;
mod p14_latest_is_true;
mod p15_group_offsets;
mod p18_fencing;
mod p19_order_of_changes;
mod p20_honest_errors;
mod p21_deleted_stays_deleted;
mod s01_log_matching;
mod s02_leader_completeness;
mod s03_one_leader;
mod s04_epochs_rise;
mod s05_positions_in_order;
mod s06_metadata_is_a_prefix;
mod s07_checksums_fit;
mod s08_comes_to_rest;
mod s09_no_panic;
mod s10_nothing_leaks;

use crate::history::{ClientEvent, ServerEvent};

/// `Err` says what does not hold.
pub type Verdict = Result<(), String>;

/// One property, told everything that happens.
pub trait Invariant: Send {
    /// Its number and name.
    fn name(&self) -> &'static str;
    /// Something that a client did or saw.
    fn client(&mut self, _event: &ClientEvent) -> Verdict {
        Ok(())
    }
    /// Something that happened to a replica or to the metadata.
    fn server(&mut self, _event: &ServerEvent) -> Verdict {
        Ok(())
    }
    /// The run is over.
    fn end(&mut self) -> Verdict {
        Ok(())
    }
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub property: &'static str,
    /// What happened.
    pub what: String,
}

/// All of them.
pub struct Invariants(Vec<Box<dyn Invariant>>);

impl Default for Invariants {
    fn default() -> Self {
        Self::all()
    }
}

impl Invariants {
    /// Every property, at the beginning of a run.
    pub fn all() -> Self {
        Self(vec![
            Box::<s01_log_matching::LogMatching>::default(),
            Box::<s02_leader_completeness::LeaderCompleteness>::default(),
            Box::<s03_one_leader::OneLeader>::default(),
            Box::<s04_epochs_rise::EpochsRise>::default(),
            Box::<s06_metadata_is_a_prefix::MetadataIsAPrefix>::default(),
            Box::<s07_checksums_fit::ChecksumsFit>::default(),
            Box::<s08_comes_to_rest::ComesToRest>::default(),
            Box::<s09_no_panic::NoPanic>::default(),
            Box::<s10_nothing_leaks::NothingLeaks>::default(),
            Box::<p01_no_lost_write::NoLostWrite>::default(),
            Box::<p02_everything_seen::EverythingSeen>::default(),
            Box::<p03_one_value_an_offset::OneValueAnOffset>::default(),
            Box::<p04_no_duplicate::NoDuplicate>::default(),
            Box::<p05_no_failed_value::NoFailedValue>::default(),
            Box::<p08_no_skip::NoSkip>::default(),
            Box::<p09_polls_move_forward::PollsMoveForward>::default(),
            Box::<p10_sends_move_forward::SendsMoveForward>::default(),
            Box::<p13_nothing_goes_back::NothingGoesBack>::default(),
            Box::<p14_latest_is_true::LatestIsTrue>::default(),
            Box::<p15_group_offsets::GroupOffsets>::default(),
            Box::<p18_fencing::Fencing>::default(),
            Box::<p20_honest_errors::HonestErrors>::default(),
            Box::<p21_deleted_stays_deleted::DeletedStaysDeleted>::default(),
        ])
    }

    /// Those that speak of a quorum of controllers.
    pub fn of_the_quorum() -> Self {
        Self(vec![
            Box::<s02_leader_completeness::LeaderCompleteness>::default(),
            Box::<s03_one_leader::OneLeader>::default(),
            Box::<s04_epochs_rise::EpochsRise>::default(),
            Box::<s05_positions_in_order::PositionsInOrder>::default(),
            Box::<s06_metadata_is_a_prefix::MetadataIsAPrefix>::default(),
            Box::<s08_comes_to_rest::ComesToRest>::default(),
            Box::<s09_no_panic::NoPanic>::default(),
            Box::<p01_no_lost_write::NoLostWrite>::default(),
            Box::<p04_no_duplicate::NoDuplicate>::default(),
            Box::<p05_no_failed_value::NoFailedValue>::default(),
            Box::<p19_order_of_changes::OrderOfChanges>::default(),
        ])
    }

    /// Tells all of them; the first that does not hold.
    pub fn client(&mut self, event: &ClientEvent) -> Option<Violation> {
        self.tell(|invariant| invariant.client(event))
    }

    /// Tells all of them; the first that does not hold.
    pub fn server(&mut self, event: &ServerEvent) -> Option<Violation> {
        self.tell(|invariant| invariant.server(event))
    }

    /// The run is over; the first that does not hold.
    pub fn end(&mut self) -> Option<Violation> {
        self.tell(|invariant| invariant.end())
    }

    fn tell(&mut self, tell: impl Fn(&mut dyn Invariant) -> Verdict) -> Option<Violation> {
        self.0.iter_mut().find_map(|invariant| {
            let what = tell(&mut **invariant).err()?;
            Some(Violation { property: invariant.name(), what })
        })
    }
}

#[cfg(test)]
mod bad_histories;
