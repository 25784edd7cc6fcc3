//! What tells the metadata log of this quorum from that of one with the same cluster id that was lost.

use klamm_wire::messages::founding_record::FoundingRecord;
use uuid::Uuid;

use crate::{Image, Record};

/// The record to begin a log with; none once it holds anything. A log that began without one never gets one: what brokers
/// keep of it would look foreign to them from then on.
pub fn founding(image: &Image, rng: &mut dyn FnMut() -> u64) -> Option<Record> {
    if !image.is_blank() {
        return None;
    }
    let founding_id = Uuid::from_u64_pair(rng(), rng());
    Some(FoundingRecord { founding_id, ..FoundingRecord::default() }.into())
}
