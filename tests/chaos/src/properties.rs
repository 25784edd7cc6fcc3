//! What must hold of what the clients did and saw: one file and one small check each. Numbers are those of the catalogue that
//! `tests/simulator` follows.
//!
//! Not here, because Klamm has no transactions: P6, P7, P11, P12, P16.

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
mod p17_latest_value_kept;
mod p18_fencing;
mod p19_administration;
mod p20_honest_errors;
pub mod servers;

use crate::history::Lines;

/// `Err` says what does not hold.
pub type Verdict = Result<(), String>;

/// A check of a history.
type Check = fn(Lines<'_>) -> Verdict;

/// Every property of the clients' history, by its name.
const ALL: &[(&str, Check)] = &[
    ("P1 no lost write", p01_no_lost_write::check),
    ("P2 everything seen", p02_everything_seen::check),
    ("P3 one value an offset", p03_one_value_an_offset::check),
    ("P4 no duplicate", p04_no_duplicate::check),
    ("P5 no failed value", p05_no_failed_value::check),
    ("P8 no skip", p08_no_skip::check),
    ("P9 polls move forward", p09_polls_move_forward::check),
    ("P10 sends move forward", p10_sends_move_forward::check),
    ("P13 nothing goes back", p13_nothing_goes_back::check),
    ("P14 the latest offset is true", p14_latest_is_true::check),
    ("P15 group offsets", p15_group_offsets::check),
    ("P17 the latest value is kept", p17_latest_value_kept::check),
    ("P18 fencing", p18_fencing::check),
    ("P19 administration", p19_administration::check),
    ("P20 honest errors", p20_honest_errors::check),
];

/// Every property that does not hold, with the first thing that shows it.
pub fn violations(lines: Lines<'_>) -> Vec<String> {
    let broken = |(name, check): &(&str, Check)| check(lines).err().map(|what| format!("{name}: {what}"));
    ALL.iter().filter_map(broken).collect()
}

/// Whether it may be what a leader of the past answered that does not know yet that it has been replaced.
pub fn is_of_the_past(violation: &str) -> bool {
    violation.starts_with("P14 ") || p13_nothing_goes_back::for_a_while(violation)
}

#[cfg(test)]
mod bad_histories;
