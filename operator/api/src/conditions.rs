//! Standard conditions, with types and reasons as closed lists.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One aspect of a resource's state, in the shape of Kubernetes' `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition speaks about.
    #[serde(rename = "type")]
    pub type_: ConditionType,
    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, as one word of a closed list.
    pub reason: Reason,
    /// Why, as a sentence for people. Everything that blocks is named here.
    pub message: String,
    /// When `status` last changed (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The `metadata.generation` that the condition was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What a condition speaks about. All are good or neutral when True except `Stalled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// The resource is as it was asked for, and serves.
    Ready,
    /// Work on it is under way.
    Reconciling,
    /// It cannot go on without a person.
    Stalled,
}

/// The three states of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be judged.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Declares the reasons once, so that the list and the words cannot differ.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition has its status. The list is closed: a reason that is not here is never reported.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word that stands in `reason`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// Every node is ready and every topic is as asked for.
    AllHealthy,
    /// The operator has not looked at the resource yet.
    Pending,
    /// Nodes are being created or started for the first time.
    Creating,
    /// Nodes are being added.
    ScalingUp,
    /// Nodes are being restarted one after another to take up a change.
    Rolling,
    /// Some nodes are not ready.
    NodesUnavailable,
    /// No broker is ready, so that clients are not served.
    BrokersUnavailable,
    /// Too few controllers are ready to decide anything.
    QuorumLost,
    /// Topics are being created or changed.
    ApplyingTopics,
    /// The topic is being deleted, as its resource was.
    DeletingTopic,
    /// Nothing is left to do.
    UpToDate,
    /// Nothing stands in the way.
    Progressing,
    /// The resource was stopped on purpose.
    Stopped,
    /// The resource contradicts itself or another one.
    InvalidSpec,
    /// Fewer nodes are asked for than exist, and nodes cannot be drained.
    ScaleDownRefused,
    /// Another number of controllers is asked for than the quorum was founded with.
    ControllersChangeRefused,
    /// Another type or class of storage is asked for than the data lies on, or less space.
    StorageChangeRefused,
    /// More space is asked for than the volumes have, and their storage class does not let them grow.
    VolumeNotExpandable,
    /// A restart is due, and taking the node down now would hurt.
    RollBlocked,
    /// A node was restarted, and the next waits until it is back in every ISR.
    RestartWaiting,
    /// A node cannot be started here.
    NodeCannotStart,
    /// A node ends again and again.
    NodeCrashing,
    /// The image of a node cannot be pulled.
    ImageUnavailable,
    /// There is no Kubernetes node on which a pod may run.
    PodsUnschedulable,
    /// A listener has no address from outside yet.
    ListenerPending,
    /// A Secret that the resource names is not there.
    SecretMissing,
    /// Kubernetes refused an object; the message holds its reason.
    ApplyRefused,
    /// The topic exists and is as asked for.
    Applied,
    /// There is no KafkaCluster of the name that the topic gives.
    ClusterMissing,
    /// The cluster cannot take the topic yet.
    ClusterNotReady,
    /// Fewer partitions are asked for than the topic has.
    PartitionDecreaseRefused,
    /// Another replication factor is asked for than the topic has.
    ReplicasChangeRefused,
    /// More replicas are asked for than there are brokers.
    ReplicasNotSatisfiable,
    /// A configuration is not known, or has a value that cannot be.
    InvalidConfig,
    /// Two resources name the same topic.
    ResourceConflict,
    /// The cluster answered with an error; the message holds it.
    KafkaError,
}

/// A condition that has not been compared with the past yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it speaks about.
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// Why, as a sentence.
    pub message: String,
}

/// Replaces the conditions by the verdicts. `lastTransitionTime` moves to `now` (RFC 3339) only where the status
/// changed, so that writing the same verdicts again changes nothing.
pub fn update(conditions: &mut Vec<Condition>, verdicts: Vec<Verdict>, generation: Option<i64>, now: &str) {
    let old = std::mem::take(conditions);
    for verdict in verdicts {
        let since = old
            .iter()
            .find(|c| c.type_ == verdict.type_ && c.status == verdict.status)
            .map_or_else(|| now.to_owned(), |c| c.last_transition_time.clone());
        conditions.push(Condition {
            type_: verdict.type_,
            status: verdict.status,
            reason: verdict.reason,
            message: verdict.message,
            last_transition_time: since,
            observed_generation: generation,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: bool, reason: Reason) -> Vec<Verdict> {
        vec![Verdict { type_: ConditionType::Ready, status: status.into(), reason, message: String::new() }]
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        update(&mut conditions, ready(false, Reason::Creating), Some(1), "t1");
        update(&mut conditions, ready(false, Reason::NodesUnavailable), Some(1), "t2");
        assert_eq!(conditions[0].last_transition_time, "t1");
        assert_eq!(conditions[0].reason, Reason::NodesUnavailable);
        update(&mut conditions, ready(true, Reason::AllHealthy), Some(1), "t3");
        assert_eq!(conditions[0].last_transition_time, "t3");
    }

    #[test]
    fn the_same_verdicts_change_nothing() {
        let mut conditions = Vec::new();
        update(&mut conditions, ready(true, Reason::AllHealthy), None, "t1");
        let before = conditions.clone();
        update(&mut conditions, ready(true, Reason::AllHealthy), None, "t2");
        assert_eq!(conditions, before);
    }

    #[test]
    fn the_word_of_a_reason_is_what_is_serialised() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
