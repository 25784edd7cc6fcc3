//! KIP-951: an answer that says "not the leader" also says who is, and where.

use klamm_metadata::Image;
use klamm_wire::{ErrorCode, Str};

/// The leader of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Leader {
    /// Broker id; -1 for none.
    pub id: i32,
    /// Leader epoch.
    pub epoch: i32,
}

/// Where a broker listens, as the response's node endpoints name it.
#[derive(Clone, Debug)]
pub struct Address {
    /// Broker id.
    pub id: i32,
    /// Host name.
    pub host: Str,
    /// Port.
    pub port: i32,
    /// Rack.
    pub rack: Option<Str>,
}

/// The current leader of a partition for an error that calls for it.
pub fn leader(image: &Image, topic: &str, partition: i32, error: ErrorCode) -> Option<Leader> {
    let wanted = matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
    let known = image.partition(topic, partition).filter(|p| wanted && p.has_leader())?;
    Some(Leader { id: known.leader, epoch: known.leader_epoch })
}

/// Addresses on `listener` of the leaders that were named, each once.
pub fn addresses(image: &Image, listener: &str, leaders: impl Iterator<Item = Leader>) -> Vec<Address> {
    let mut out: Vec<Address> = Vec::new();
    for leader in leaders {
        if out.iter().any(|known| known.id == leader.id) {
            continue;
        }
        let Some(broker) = image.broker(leader.id) else { continue };
        if let Some(endpoint) = broker.listener(listener) {
            out.push(Address {
                id: leader.id,
                host: Str::copy_from(&endpoint.host),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_deref().map(Str::copy_from),
            });
        }
    }
    out
}
