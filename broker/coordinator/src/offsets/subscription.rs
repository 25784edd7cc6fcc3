//! Which topics the members of a consumer group read (ConsumerProtocolSubscription).

use bytes::{Buf, Bytes};
use klamm_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use klamm_wire::{Decoder, Message, Str};

use crate::group::{Group, GroupState};

impl Group {
    /// Whether a member may read `topic`. A consumer group whose subscriptions cannot be read is taken to read every
    /// topic; groups of other protocols read none.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        if self.is(GroupState::Empty) || !self.is_consumer_group() {
            return false;
        }
        let Some(protocol) = &self.protocol else { return true };
        self.members.values().any(|member| match topics(member.metadata(protocol)) {
            Some(topics) => topics.iter().any(|subscribed| **subscribed == *topic),
            None => true,
        })
    }
}

/// The topics of a subscription; newer versions are read as the newest known one.
fn topics(mut subscription: Bytes) -> Option<Vec<Str>> {
    let version = subscription.try_get_i16().ok()?.min(ConsumerProtocolSubscription::MAX);
    let decoded = ConsumerProtocolSubscription::decode(&mut Decoder::new(subscription), version);
    decoded.ok().map(|subscription| subscription.topics)
}
