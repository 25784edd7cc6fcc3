//! Drives a shard as a broker does: tokens, virtual time, and a log of the records that were written.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_coordinator::{
    Effects, GroupConfig, GroupReply, GroupRequest, GroupShard, Now, OffsetFetchGroup, RequestContext,
};
use klamm_wire::messages::describe_groups_response::DescribedGroup;
use klamm_wire::messages::heartbeat_request::HeartbeatRequest;
use klamm_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_wire::messages::join_group_response::JoinGroupResponse;
use klamm_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use klamm_wire::messages::leave_group_response::LeaveGroupResponse;
use klamm_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use klamm_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use klamm_wire::messages::sync_group_response::SyncGroupResponse;
use klamm_wire::{ErrorCode, Str};

pub const GROUP: &str = "orders";
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 60_000;
pub const INITIAL_DELAY_MS: i64 = 3_000;

pub struct Driver {
    pub shard: GroupShard,
    pub config: GroupConfig,
    pub now: i64,
    /// How far somebody has set the wall clock forward, or back.
    pub wall_ahead: i64,
    pub log: Vec<(Bytes, Option<Bytes>)>,
    pub replies: BTreeMap<u64, GroupReply>,
    next_token: u64,
}

impl Driver {
    pub fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    pub fn with(config: GroupConfig) -> Self {
        Self::load(config, Vec::new(), 1_000_000)
    }

    fn load(config: GroupConfig, log: Vec<(Bytes, Option<Bytes>)>, now: i64) -> Self {
        let shard = GroupShard::new(config.clone());
        let mut driver =
            Self { shard, config, now, wall_ahead: 0, log, replies: BTreeMap::new(), next_token: 1 };
        driver.fail_over();
        driver
    }

    /// A second broker with the same log.
    pub fn reloaded(&self) -> Self {
        Self::load(self.config.clone(), self.log.clone(), self.now)
    }

    /// Another broker takes over: a fresh shard, fed the log.
    pub fn fail_over(&mut self) {
        self.shard = GroupShard::new(self.config.clone());
        for (key, value) in &self.log {
            self.shard.replay(key.clone(), value.clone()).expect("a readable record");
        }
        let effects = self.shard.on_loaded(self.clocks());
        self.take(effects);
    }

    pub fn clocks(&self) -> Now {
        Now { steady_ms: self.now, wall_ms: self.now + self.wall_ahead }
    }

    pub fn take(&mut self, effects: Effects) {
        self.log.extend(effects.records);
        for (token, reply) in effects.replies {
            assert!(self.replies.insert(token, reply).is_none(), "token {token} was answered twice");
        }
    }

    pub fn send(&mut self, version: i16, request: GroupRequest) -> u64 {
        let (token, effects) = self.handle(version, request);
        self.take(effects);
        token
    }

    /// Sends a request whose records cannot be written, so that nobody is answered.
    pub fn send_in_vain(&mut self, version: i16, request: GroupRequest) {
        self.handle(version, request);
    }

    fn handle(&mut self, version: i16, request: GroupRequest) -> (u64, Effects) {
        let token = self.next_token;
        self.next_token += 1;
        let context = RequestContext {
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            version,
            member_id_seed: uuid::Uuid::from_u128(u128::from(token)),
        };
        (token, self.shard.handle(token, context, request, self.clocks()))
    }

    /// Lets time pass, acting on every deadline as it comes.
    pub fn advance(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(deadline) = self.shard.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            let effects = self.shard.tick(self.clocks());
            self.take(effects);
        }
        self.now = until;
    }

    pub fn is_waiting(&self, token: u64) -> bool {
        !self.replies.contains_key(&token)
    }

    pub fn joined(&mut self, token: u64) -> JoinGroupResponse {
        match self.replies.remove(&token) {
            Some(GroupReply::Join(response)) => response,
            other => panic!("no JoinGroup response but {other:?}"),
        }
    }

    pub fn synced(&mut self, token: u64) -> SyncGroupResponse {
        match self.replies.remove(&token) {
            Some(GroupReply::Sync(response)) => response,
            other => panic!("no SyncGroup response but {other:?}"),
        }
    }

    // ---- requests that are answered at once ------------------------------------------------------------------------

    fn ask(&mut self, version: i16, request: GroupRequest) -> GroupReply {
        let token = self.send(version, request);
        self.replies.remove(&token).expect("answered at once")
    }

    pub fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        self.heartbeat_as(member, None, generation)
    }

    pub fn heartbeat_as(
        &mut self,
        member: &str,
        instance: Option<&'static str>,
        generation: i32,
    ) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: Str::copy_from(member),
            group_instance_id: instance.map(Str::from),
            ..HeartbeatRequest::default()
        };
        match self.ask(4, GroupRequest::Heartbeat(request)) {
            GroupReply::Heartbeat(response) => ErrorCode::from_code(response.error_code),
            other => panic!("{other:?}"),
        }
    }

    pub fn leave(&mut self, version: i16, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let identity = |(member, instance): &(&str, Option<&str>)| MemberIdentity {
            member_id: Str::copy_from(member),
            group_instance_id: instance.map(Str::copy_from),
            ..MemberIdentity::default()
        };
        let mut request = LeaveGroupRequest { group_id: GROUP.into(), ..LeaveGroupRequest::default() };
        if version < 3 {
            request.member_id = Str::copy_from(members[0].0);
        } else {
            request.members = members.iter().map(identity).collect();
        }
        match self.ask(version, GroupRequest::Leave(request)) {
            GroupReply::Leave(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub fn leaves(&mut self, member: &str) {
        let response = self.leave(5, &[(member, None)]);
        assert_eq!(response.error_code, 0);
        assert_eq!(response.members[0].error_code, 0);
    }

    /// Commits one partition and returns its error.
    pub fn commit_request(&mut self, version: i16, request: OffsetCommitRequest) -> ErrorCode {
        match self.ask(version, GroupRequest::OffsetCommit(request)) {
            GroupReply::OffsetCommit(response) => {
                ErrorCode::from_code(response.topics[0].partitions[0].error_code)
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn commit(
        &mut self,
        member: &str,
        generation: i32,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> ErrorCode {
        self.commit_request(8, commit_of(member, generation, topic, partition, offset))
    }

    /// All committed offsets of a group by topic and partition.
    pub fn offsets(&mut self, group: &str) -> BTreeMap<(String, i32), i64> {
        let group =
            OffsetFetchRequestGroup { group_id: Str::copy_from(group), topics: None, ..Default::default() };
        let request = GroupRequest::OffsetFetch(OffsetFetchGroup { group, require_stable: true });
        let GroupReply::OffsetFetch(response) = self.ask(8, request) else {
            panic!("not an OffsetFetch response")
        };
        let partitions =
            response.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
        partitions
            .map(|(topic, p)| ((topic.name.to_string(), p.partition_index), p.committed_offset))
            .collect()
    }

    pub fn describe(&mut self, group: &str) -> DescribedGroup {
        match self.ask(5, GroupRequest::Describe(Str::copy_from(group))) {
            GroupReply::Describe(described) => described,
            other => panic!("{other:?}"),
        }
    }

    pub fn state(&mut self) -> String {
        self.describe(GROUP).group_state.to_string()
    }

    // ---- whole groups ----------------------------------------------------------------------------------------------

    /// `count` dynamic members that joined together but have not synced. The first is the leader.
    pub fn joined_group(&mut self, count: usize) -> Vec<Str> {
        let tokens: Vec<u64> = (0..count).map(|_| self.send_join(Join::new(3))).collect();
        while tokens.iter().any(|token| self.is_waiting(*token)) {
            self.advance(INITIAL_DELAY_MS);
        }
        let mut responses: Vec<_> = tokens.into_iter().map(|token| self.joined(token)).collect();
        responses.sort_by_key(|response| response.leader != response.member_id);
        responses.into_iter().map(|response| response.member_id).collect()
    }

    /// `count` members of a stable group in generation 1, with assignments "a-0", "a-1", … The first is the leader.
    pub fn stable_group(&mut self, count: usize) -> Vec<Str> {
        let members = self.joined_group(count);
        self.sync_all(&members, 1);
        members
    }

    /// All members sync, the first brings assignments "a-0", "a-1", …
    pub fn sync_all(&mut self, members: &[Str], generation: i32) {
        let assignments: Vec<(Str, String)> =
            members.iter().enumerate().map(|(i, member)| (member.clone(), format!("a-{i}"))).collect();
        let mut tokens = Vec::new();
        for (i, member) in members.iter().enumerate() {
            let brought = if i == 0 { assignments.as_slice() } else { &[] };
            tokens.push(self.send_sync(member, generation, brought));
        }
        for (token, (_, assignment)) in tokens.into_iter().zip(&assignments) {
            let response = self.synced(token);
            assert_eq!(response.error_code, 0);
            assert_eq!(response.assignment, assignment.as_bytes());
        }
    }

    pub fn send_join(&mut self, join: Join) -> u64 {
        let version = join.version;
        self.send(version, GroupRequest::Join(join.request()))
    }

    /// A member joins with the id that it is given first.
    pub fn send_join_with_new_id(&mut self, join: Join) -> (Str, u64) {
        let token = self.send_join(join.clone());
        let response = self.joined(token);
        assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::MemberIdRequired);
        let token = self.send_join(join.member(&response.member_id));
        (response.member_id, token)
    }

    pub fn send_sync(&mut self, member: &str, generation: i32, assignments: &[(Str, String)]) -> u64 {
        self.send(4, GroupRequest::Sync(sync_of(member, generation, assignments)))
    }
}

pub fn sync_of(member: &str, generation: i32, assignments: &[(Str, String)]) -> SyncGroupRequest {
    let assignment = |(member, assignment): &(Str, String)| SyncGroupRequestAssignment {
        member_id: member.clone(),
        assignment: Bytes::from(assignment.clone()),
        ..SyncGroupRequestAssignment::default()
    };
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: generation,
        member_id: Str::copy_from(member),
        assignments: assignments.iter().map(assignment).collect(),
        ..SyncGroupRequest::default()
    }
}

pub fn commit_of(
    member: &str,
    generation: i32,
    topic: &str,
    partition: i32,
    offset: i64,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_metadata: Some(Str::default()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: Str::copy_from(topic),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    OffsetCommitRequest {
        group_id: GROUP.into(),
        generation_id_or_member_epoch: generation,
        member_id: Str::copy_from(member),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    }
}

/// A JoinGroup request in the making.
#[derive(Clone)]
pub struct Join {
    version: i16,
    request: JoinGroupRequest,
}

impl Join {
    pub fn new(version: i16) -> Self {
        let request = JoinGroupRequest {
            group_id: GROUP.into(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".into(),
            ..JoinGroupRequest::default()
        };
        Self { version, request }.protocols(&["range"])
    }

    pub fn group(mut self, group: &str) -> Self {
        self.request.group_id = Str::copy_from(group);
        self
    }

    pub fn member(mut self, member: &str) -> Self {
        self.request.member_id = Str::copy_from(member);
        self
    }

    pub fn instance(mut self, instance: &str) -> Self {
        self.request.group_instance_id = Some(Str::copy_from(instance));
        self
    }

    pub fn protocol_type(mut self, protocol_type: &str) -> Self {
        self.request.protocol_type = Str::copy_from(protocol_type);
        self
    }

    /// In order of preference, each with a subscription to topic "t".
    pub fn protocols(self, names: &[&str]) -> Self {
        let protocols: Vec<_> = names.iter().map(|name| (*name, subscription(&["t"]))).collect();
        self.offering(&protocols)
    }

    pub fn offering(mut self, protocols: &[(&str, Bytes)]) -> Self {
        let protocol = |(name, metadata): &(&str, Bytes)| JoinGroupRequestProtocol {
            name: Str::copy_from(name),
            metadata: metadata.clone(),
            ..JoinGroupRequestProtocol::default()
        };
        self.request.protocols = protocols.iter().map(protocol).collect();
        self
    }

    pub fn timeouts(mut self, session_ms: i32, rebalance_ms: i32) -> Self {
        self.request.session_timeout_ms = session_ms;
        self.request.rebalance_timeout_ms = rebalance_ms;
        self
    }

    pub fn request(self) -> JoinGroupRequest {
        self.request
    }
}

/// ConsumerProtocolSubscription version 0.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(topics.len() as i32);
    for topic in topics {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.freeze()
}
