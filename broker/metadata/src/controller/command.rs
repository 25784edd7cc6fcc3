//! What the controller is asked, and what it answers.

use klamm_wire::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use klamm_wire::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use klamm_wire::messages::alter_configs_request::AlterConfigsRequest;
use klamm_wire::messages::alter_configs_response::AlterConfigsResponse;
use klamm_wire::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use klamm_wire::messages::alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
use klamm_wire::messages::alter_partition_request::AlterPartitionRequest;
use klamm_wire::messages::alter_partition_response::AlterPartitionResponse;
use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::begin_disruption_response::BeginDisruptionResponse;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use klamm_wire::messages::broker_registration_request::BrokerRegistrationRequest;
use klamm_wire::messages::broker_registration_response::BrokerRegistrationResponse;
use klamm_wire::messages::create_partitions_request::CreatePartitionsRequest;
use klamm_wire::messages::create_partitions_response::CreatePartitionsResponse;
use klamm_wire::messages::create_topics_request::CreateTopicsRequest;
use klamm_wire::messages::create_topics_response::CreateTopicsResponse;
use klamm_wire::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_wire::messages::delete_topics_response::DeleteTopicsResponse;
use klamm_wire::messages::describe_disruptions_response::DescribeDisruptionsResponse;
use klamm_wire::messages::elect_leaders_request::ElectLeadersRequest;
use klamm_wire::messages::elect_leaders_response::ElectLeadersResponse;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;
use klamm_wire::messages::end_disruption_response::EndDisruptionResponse;
use klamm_wire::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use klamm_wire::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;
use klamm_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use klamm_wire::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;
use klamm_wire::messages::replica_damage_request::ReplicaDamageRequest;
use klamm_wire::messages::replica_damage_response::ReplicaDamageResponse;

use super::QuorumHealth;
use crate::Record;

/// A question to the controller. Authorisation is the caller's.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A broker process introduces itself (62).
    RegisterBroker(BrokerRegistrationRequest),
    /// A registered broker shows that it lives and says what it wants (63).
    BrokerHeartbeat(BrokerHeartbeatRequest),
    /// The controller's own check found the process of this registration dead.
    BrokerGone {
        /// Node id.
        id: i32,
        /// The registration that was checked.
        epoch: i64,
    },
    /// A leader proposes another ISR (56).
    AlterPartition(AlterPartitionRequest),
    /// A broker's copy of a partition is damaged (1030).
    ReplicaDamage(ReplicaDamageRequest),
    /// 19
    CreateTopics(CreateTopicsRequest),
    /// 20
    DeleteTopics(DeleteTopicsRequest),
    /// 37
    CreatePartitions(CreatePartitionsRequest),
    /// 45
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    /// 46
    ListPartitionReassignments(ListPartitionReassignmentsRequest),
    /// 33
    AlterConfigs(AlterConfigsRequest),
    /// 44
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// 43
    ElectLeaders(ElectLeadersRequest),
    /// 67
    AllocateProducerIds(AllocateProducerIdsRequest),
    /// Somebody asks whether a node may stop for a while (1020).
    BeginDisruption(BeginDisruptionRequest, QuorumHealth),
    /// The disruption is over (1021).
    EndDisruption(EndDisruptionRequest),
    /// Which disruptions are granted (1022).
    DescribeDisruptions(QuorumHealth),
}

/// The answer to a [`Command`], of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nobody asked.
    None,
    /// 62
    RegisterBroker(BrokerRegistrationResponse),
    /// 63
    BrokerHeartbeat(BrokerHeartbeatResponse),
    /// 56
    AlterPartition(AlterPartitionResponse),
    /// 1030
    ReplicaDamage(ReplicaDamageResponse),
    /// 19
    CreateTopics(CreateTopicsResponse),
    /// 20
    DeleteTopics(DeleteTopicsResponse),
    /// 37
    CreatePartitions(CreatePartitionsResponse),
    /// 45
    AlterPartitionReassignments(AlterPartitionReassignmentsResponse),
    /// 46
    ListPartitionReassignments(ListPartitionReassignmentsResponse),
    /// 33
    AlterConfigs(AlterConfigsResponse),
    /// 44
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    /// 43
    ElectLeaders(ElectLeadersResponse),
    /// 67
    AllocateProducerIds(AllocateProducerIdsResponse),
    /// 1020
    BeginDisruption(BeginDisruptionResponse),
    /// 1021
    EndDisruption(EndDisruptionResponse),
    /// 1022
    DescribeDisruptions(DescribeDisruptionsResponse),
}

/// What to append, as one atomic entry, and what to answer when it is committed. Without records the reply is due at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Records of one entry of the metadata log.
    pub records: Vec<Record>,
    /// The answer.
    pub reply: Reply,
}
