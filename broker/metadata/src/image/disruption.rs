//! A disruption that is granted: leave for one node to stop for a while.

use klamm_wire::Str;
use klamm_wire::messages::disruption_grant_record::DisruptionGrantRecord;

/// A granted disruption. It lasts until it is ended; how long that may take is the active controller's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruption {
    /// Names this grant and no other.
    pub id: i64,
    /// The node that may stop.
    pub node: i32,
    /// Who asked; the same holder may ask again.
    pub holder: String,
    /// Why, in the holder's words.
    pub reason: String,
    /// How long the node may take, in milliseconds.
    pub duration_ms: i32,
    /// The node's broker epoch when it was granted, -1 when it was not registered.
    pub broker_epoch: i64,
}

impl Disruption {
    pub(super) fn from_record(record: &DisruptionGrantRecord) -> Disruption {
        Disruption {
            id: record.grant_id,
            node: record.node_id,
            holder: record.holder.to_string(),
            reason: record.reason.to_string(),
            duration_ms: record.duration_ms,
            broker_epoch: record.broker_epoch,
        }
    }

    pub(crate) fn to_record(&self) -> DisruptionGrantRecord {
        DisruptionGrantRecord {
            grant_id: self.id,
            node_id: self.node,
            holder: Str::copy_from(&self.holder),
            reason: Str::copy_from(&self.reason),
            duration_ms: self.duration_ms,
            broker_epoch: self.broker_epoch,
            ..DisruptionGrantRecord::default()
        }
    }
}
