//! Whether a batch lies where it belongs: base offset and leader epoch lie outside its checksum.

use klamm_records::BatchHeader;

use super::Walked;
use crate::Damage;
use crate::scan::{Found, Scan, ScanError};

/// Whether what lies behind a batch with a gap before it begins behind it, too. A base offset that is too high looks like a gap,
/// until the next batch is where it belongs.
pub(super) fn is_followed(scan: &mut Scan<'_>, found: &Found, walked: &Walked) -> Result<bool, ScanError> {
    if found.header.base_offset <= walked.next_offset {
        return Ok(true);
    }
    let next_base = match scan.peek(found.end()) {
        Ok(next) => next.map(|next| next.header.base_offset).or(walked.next_base),
        Err(ScanError::Damaged { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(next_base.is_none_or(|base| base >= found.header.next_offset()))
}

/// What is wrong with a batch in this place, if anything. Where a walk starts in the middle of a segment, at a batch with
/// an index entry, its predecessors are not known. Base offsets lie outside the checksum, so a gap is suspicious; only
/// another broker's compaction leaves one, long before the recovery point passes it.
pub(super) fn out_of_line(
    header: &BatchHeader,
    walked: &Walked,
    indexed: bool,
    gaps_allowed: bool,
    last_epoch: i32,
) -> Option<Damage> {
    let base = walked.segment.base_offset();
    let expected = if indexed { base } else { walked.next_offset };
    let span = header.last_offset().saturating_sub(base);
    let gap = header.base_offset > expected && !indexed && !gaps_allowed;
    if header.base_offset < expected || gap || span > i64::from(i32::MAX) {
        return Some(Damage::Offset { expected, found: header.base_offset });
    }
    let found = header.leader_epoch;
    (found < last_epoch).then_some(Damage::LeaderEpoch { last: last_epoch, found })
}
