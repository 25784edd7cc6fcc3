//! Rules that simulations break on purpose, one at a time.

klamm_mutation::mutations! {
    /// Replicas stay eligible although the ISR is large enough again (KIP-966).
    ElrKeptTooLong,
    /// A broker that did not stop cleanly stays an eligible leader (KIP-966).
    LostTailStaysEligible,
    /// A broker is unfenced before it has applied its own registration.
    UnfencedBeforeCaughtUp,
    /// A proposal against an older partition epoch is accepted.
    StalePartitionEpochAccepted,
    /// A proposed ISR is accepted whatever process of its members it names (KIP-903).
    BrokerEpochOfMembersIgnored,
    /// A broker counts as stopped cleanly whatever registration its marker names (KIP-966).
    BrokerEpochOfMarkerIgnored,
    /// The leader epoch stays when a replica is removed.
    RemovalKeepsEpoch,
    /// The partition epoch stays when a proposal is refused.
    RefusalKeepsEpoch,
}
