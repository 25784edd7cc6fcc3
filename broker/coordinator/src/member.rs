//! One member of a group: what it asked for, what it was assigned and what it waits for.

use bytes::Bytes;
use klamm_wire::Str;
use klamm_wire::messages::group_metadata_value::MemberMetadata;
use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;

/// A request that waits for its reply, and the version that the reply must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) token: u64,
    pub(crate) version: i16,
}

/// Whether a member has joined the rebalance that is being prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// It has not, or no rebalance is being prepared.
    No,
    /// It has, and its JoinGroup waits.
    Parked(Parked),
    /// It had, but its connection closed. It still counts as joined, and has its session timeout to come back.
    Abandoned,
}

/// An assignment protocol that a member offers, with its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Str,
    pub(crate) metadata: Bytes,
}

/// One member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: Str,
    pub(crate) instance_id: Option<Str>,
    pub(crate) client_id: Str,
    pub(crate) client_host: Str,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In the member's order of preference, names distinct.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// It has never got a JoinGroup response, so it does not know its id and cannot heartbeat.
    pub(crate) is_new: bool,
    pub(crate) joining: Joining,
    pub(crate) syncing: Option<Parked>,
    /// When the member is removed unless it is heard of, by the steady clock. Pushed back by every sign of life.
    pub(crate) session_deadline: i64,
}

impl Member {
    /// A member as it was persisted, known by the one protocol that its generation had selected.
    pub(crate) fn from_stored(stored: &MemberMetadata, protocol: &Str) -> Self {
        let rebalance_timeout_ms = match stored.rebalance_timeout {
            -1 => stored.session_timeout,
            timeout => timeout,
        };
        Self {
            id: stored.member_id.clone(),
            instance_id: stored.group_instance_id.clone(),
            client_id: stored.client_id.clone(),
            client_host: stored.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout,
            protocols: vec![Protocol { name: protocol.clone(), metadata: stored.subscription.clone() }],
            assignment: stored.assignment.clone(),
            is_new: false,
            joining: Joining::No,
            syncing: None,
            session_deadline: i64::MAX,
        }
    }

    /// The member as it is persisted with a generation that uses `protocol`.
    pub(crate) fn to_stored(&self, protocol: &str, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
            ..MemberMetadata::default()
        }
    }

    /// The member's subscription for `protocol`, empty if it does not offer it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|offered| *offered.name == *protocol)
            .map_or_else(Bytes::new, |p| p.metadata.clone())
    }

    /// Whether the member offered exactly these protocols before: names, order and subscriptions.
    pub(crate) fn offers_exactly(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    /// Whether the rebalance being prepared need not wait for this member.
    pub(crate) fn has_joined(&self) -> bool {
        self.joining != Joining::No
    }

    /// Whether silence is expected of the member, so that its session cannot expire now.
    pub(crate) fn may_be_silent(&self) -> bool {
        !self.is_new && (matches!(self.joining, Joining::Parked(_)) || self.syncing.is_some())
    }
}

/// The protocols of a JoinGroup request, compact copies, without repeated names.
pub(crate) fn offered(requested: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> = Vec::with_capacity(requested.len());
    for protocol in requested {
        if protocols.iter().all(|known| known.name != protocol.name) {
            protocols.push(Protocol {
                name: Str::copy_from(&protocol.name),
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            });
        }
    }
    protocols
}
