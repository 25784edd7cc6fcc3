//! Kafka's error codes: number, name, meaning, and whether the same request may succeed later.

macro_rules! error_codes {
    ($($code:literal $name:ident $retry:ident $message:literal,)*) => {
        /// An error code of the protocol. Names and numbers are Kafka's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("Code ", stringify!($code), ": ", $message, ".")]
                $name = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code with this number; one that is not known is [`ErrorCode::UnknownServerError`], as in Kafka.
            pub const fn from_code(code: i16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::UnknownServerError,
                }
            }

            /// What it means, in lower case and without a full stop.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }

            /// The name in upper camel case, such as `NotLeaderOrFollower`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Whether the same request may succeed later, perhaps at another broker.
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$name => error_codes!(@$retry),)*
                }
            }
        }
    };
    (@retry) => { true };
    (@fatal) => { false };
}

error_codes! {
    -1 UnknownServerError fatal "an error that the broker has no better name for",
    0 None fatal "no error",
    1 OffsetOutOfRange fatal "the offset is outside of what the partition holds",
    2 CorruptMessage retry "the records are damaged, too large, or lack a key on a compacted topic",
    3 UnknownTopicOrPartition retry "this broker knows no such topic or partition",
    4 InvalidFetchSize fatal "the fetch size is not valid",
    5 LeaderNotAvailable retry "the partition has no leader at the moment",
    6 NotLeaderOrFollower retry "this broker does not lead the partition, or holds no replica that may answer",
    7 RequestTimedOut retry "the request took longer than its timeout",
    8 BrokerNotAvailable fatal "the broker is not available",
    9 ReplicaNotAvailable retry "the replica is not available",
    10 MessageTooLarge fatal "the record batch is larger than the topic accepts",
    11 StaleControllerEpoch fatal "the controller has moved to a newer epoch",
    12 OffsetMetadataTooLarge fatal "the metadata of the offset is too large",
    13 NetworkException retry "the connection broke before an answer came",
    14 CoordinatorLoadInProgress retry "the coordinator is still loading its state",
    15 CoordinatorNotAvailable retry "the coordinator is not available",
    16 NotCoordinator retry "this broker is not the coordinator of the group or transaction",
    17 InvalidTopicException fatal "the topic name is not valid or must not be used here",
    18 RecordListTooLarge fatal "the record batch is larger than a segment",
    19 NotEnoughReplicas retry "fewer replicas are in sync than the topic requires",
    20 NotEnoughReplicasAfterAppend retry "the records were written to fewer in-sync replicas than the topic requires",
    21 InvalidRequiredAcks fatal "acks must be -1, 0 or 1",
    22 IllegalGeneration fatal "the generation is not the group's present one",
    23 InconsistentGroupProtocol fatal "the member shares no protocol with the rest of the group",
    24 InvalidGroupId fatal "the group id is not valid",
    25 UnknownMemberId fatal "the group has no such member",
    26 InvalidSessionTimeout fatal "the session timeout is outside of what the broker allows",
    27 RebalanceInProgress fatal "the group is rebalancing: join again",
    28 InvalidCommitOffsetSize fatal "the commit is too large to be stored",
    29 TopicAuthorizationFailed fatal "not allowed on this topic",
    30 GroupAuthorizationFailed fatal "not allowed on this group",
    31 ClusterAuthorizationFailed fatal "not allowed on the cluster",
    32 InvalidTimestamp fatal "the timestamp of a record is outside of what the topic accepts",
    33 UnsupportedSaslMechanism fatal "the broker does not offer this SASL mechanism",
    34 IllegalSaslState fatal "the request does not fit the state of the authentication",
    35 UnsupportedVersion fatal "the version is not supported",
    36 TopicAlreadyExists fatal "a topic of this name exists already",
    37 InvalidPartitions fatal "the number of partitions is not valid",
    38 InvalidReplicationFactor fatal "the replication factor is below 1 or above the number of brokers",
    39 InvalidReplicaAssignment fatal "the assignment of replicas is not valid",
    40 InvalidConfig fatal "the configuration is not valid",
    41 NotController retry "this node is not the active controller",
    42 InvalidRequest fatal "the request contradicts itself or the protocol",
    43 UnsupportedForMessageFormat fatal "the record format on the broker cannot do this",
    44 PolicyViolation fatal "a policy of the cluster forbids it",
    45 OutOfOrderSequenceNumber fatal "the producer's sequence has a gap",
    46 DuplicateSequenceNumber fatal "the producer's sequence was seen before",
    47 InvalidProducerEpoch fatal "a producer with a newer epoch exists",
    48 InvalidTxnState fatal "the transaction is in a state that does not allow this",
    49 InvalidProducerIdMapping fatal "the producer id does not belong to the transactional id",
    50 InvalidTransactionTimeout fatal "the transaction timeout is above what the broker allows",
    51 ConcurrentTransactions retry "another transaction of this producer is still being completed",
    52 TransactionCoordinatorFenced fatal "a newer transaction coordinator exists",
    53 TransactionalIdAuthorizationFailed fatal "not allowed on this transactional id",
    54 SecurityDisabled fatal "security features are not enabled",
    55 OperationNotAttempted fatal "not attempted, because something before it failed",
    56 KafkaStorageError retry "the disk of the log failed",
    57 LogDirNotFound fatal "the broker has no such log directory",
    58 SaslAuthenticationFailed fatal "the SASL authentication failed",
    59 UnknownProducerId fatal "the broker holds no state of this producer",
    60 ReassignmentInProgress fatal "the partition is being reassigned",
    61 DelegationTokenAuthDisabled fatal "delegation tokens are not enabled",
    62 DelegationTokenNotFound fatal "the broker has no such delegation token",
    63 DelegationTokenOwnerMismatch fatal "the principal does not own the delegation token",
    64 DelegationTokenRequestNotAllowed fatal "delegation tokens cannot be managed over this connection",
    65 DelegationTokenAuthorizationFailed fatal "not allowed on this delegation token",
    66 DelegationTokenExpired fatal "the delegation token has expired",
    67 InvalidPrincipalType fatal "the type of principal is not supported",
    68 NonEmptyGroup fatal "the group still has members",
    69 GroupIdNotFound fatal "there is no such group",
    70 FetchSessionIdNotFound retry "the broker has no such fetch session",
    71 InvalidFetchSessionEpoch retry "the epoch of the fetch session is not the expected one",
    72 ListenerNotFound retry "the leader has no listener of the name that the request came in on",
    73 TopicDeletionDisabled fatal "topics cannot be deleted on this cluster",
    74 FencedLeaderEpoch retry "the leader epoch of the request is older than the broker's",
    75 UnknownLeaderEpoch retry "the leader epoch of the request is newer than the broker's",
    76 UnsupportedCompressionType fatal "the client cannot read this compression",
    77 StaleBrokerEpoch fatal "the broker has registered again since",
    78 OffsetNotAvailable retry "the new leader does not know its high watermark yet",
    79 MemberIdRequired fatal "join again with the member id of this answer",
    80 PreferredLeaderNotAvailable retry "the preferred leader is not available",
    81 GroupMaxSizeReached fatal "the group has as many members as it may",
    82 FencedInstanceId fatal "another member has the same static id",
    83 EligibleLeadersNotAvailable retry "no replica that may lead is available",
    84 ElectionNotNeeded retry "the partition does not need an election",
    85 NoReassignmentInProgress fatal "the partition is not being reassigned",
    86 GroupSubscribedToTopic fatal "a member of the group is subscribed to the topic",
    87 InvalidRecord fatal "a record was refused",
    88 UnstableOffsetCommit retry "a transaction on these offsets is still open",
    89 ThrottlingQuotaExceeded retry "the quota for changes is used up",
    90 ProducerFenced fatal "a newer producer has the same transactional id",
    91 ResourceNotFound fatal "there is no such resource",
    92 DuplicateResource fatal "the resource exists already",
    93 UnacceptableCredential fatal "the credential does not meet the requirements",
    94 InconsistentVoterSet fatal "the sides disagree about who votes",
    95 InvalidUpdateVersion fatal "the update was made against another version",
    96 FeatureUpdateFailed fatal "the features could not be updated",
    97 PrincipalDeserializationFailure fatal "the forwarded principal cannot be read",
    98 SnapshotNotFound fatal "there is no such snapshot",
    99 PositionOutOfRange fatal "the position is outside of the snapshot",
    100 UnknownTopicId retry "this broker knows no topic with this id",
    101 DuplicateBrokerRegistration fatal "another live broker is registered under this id",
    102 BrokerIdNotRegistered fatal "no broker is registered under this id",
    103 InconsistentTopicId retry "topic id and name of the request do not belong together",
    104 InconsistentClusterId fatal "the request is meant for another cluster",
    105 TransactionalIdNotFound fatal "there is no such transactional id",
    106 FetchSessionTopicIdError retry "the fetch session uses topic ids differently",
    107 IneligibleReplica fatal "the replica may not join the in-sync replicas",
    108 NewLeaderElected fatal "the change made another broker the leader",
    109 OffsetMovedToTieredStorage fatal "the offset has moved to tiered storage",
    110 FencedMemberEpoch fatal "the member epoch is not the coordinator's: join again",
    111 UnreleasedInstanceId fatal "another member still holds the static id",
    112 UnsupportedAssignor fatal "the group cannot use this assignor",
    113 StaleMemberEpoch fatal "the member epoch is outdated: try again after the next heartbeat",
    114 MismatchedEndpointType fatal "the request went to the wrong kind of endpoint",
    115 UnsupportedEndpointType fatal "this kind of endpoint is not known",
    116 UnknownControllerId fatal "there is no such controller",
    117 UnknownSubscriptionId fatal "the telemetry subscription is outdated",
    118 TelemetryTooLarge fatal "the telemetry is larger than accepted",
    119 InvalidRegistration fatal "the controller refuses the registration",
    120 TransactionAbortable fatal "the transaction must be aborted, the producer may go on",
    121 InvalidRecordState fatal "the record is in a state that does not allow this",
    122 ShareSessionNotFound retry "the broker has no such share session",
    123 InvalidShareSessionEpoch retry "the epoch of the share session is not the expected one",
    124 FencedStateEpoch fatal "the state epoch of the share coordinator is older than the stored one",
    125 InvalidVoterKey fatal "the voter's id and directory do not belong together",
    126 DuplicateVoter fatal "the voter is in the set already",
    127 VoterNotFound fatal "the voter is not in the set",
    128 InvalidRegularExpression fatal "the regular expression is not valid",
    129 RebootstrapRequired fatal "the client must start again from its bootstrap servers",
    130 StreamsInvalidTopology fatal "the topology is not valid",
    131 StreamsInvalidTopologyEpoch fatal "the epoch of the topology is not valid",
    132 StreamsTopologyFenced fatal "the epoch of the topology is outdated",
    133 ShareSessionLimitReached retry "the broker has as many share sessions as it may",
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether it says that all went well.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.message())
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_contiguous_and_survive_the_way_back() {
        for (expected, code) in (-1..).zip(ErrorCode::ALL) {
            assert_eq!(code.code(), expected);
            assert_eq!(ErrorCode::from_code(expected), *code);
        }
    }

    #[test]
    fn a_number_of_a_later_kafka_is_an_unknown_server_error() {
        assert_eq!(ErrorCode::from_code(i16::MAX), ErrorCode::UnknownServerError);
    }
}
