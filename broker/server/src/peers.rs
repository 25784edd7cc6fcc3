//! Where other nodes listen, by the newest image; names are resolved at every dial.

use klamm_metadata::{Endpoint, Image};

/// The endpoint of a broker on the inter-broker listener, or on its first one.
pub fn endpoint<'a>(image: &'a Image, id: i32, listener: &str) -> Option<&'a Endpoint> {
    let broker = image.broker(id)?;
    broker.listener(listener).or_else(|| broker.listeners.first())
}
