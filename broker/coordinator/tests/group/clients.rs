//! Simulated consumers: what a Kafka client does on every reply, in virtual time.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_coordinator::{GroupReply, GroupRequest};
use klamm_wire::messages::join_group_response::JoinGroupResponse;
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::{ErrorCode, Str};

use crate::driver::{GROUP, Join, sync_of};

pub const PARTITIONS: i32 = 12;
pub const TOPIC: &str = "t";
pub const HEARTBEAT_MS: i64 = 3_000;
pub const CLIENT_SESSION_MS: i32 = 10_000;
pub const CLIENT_REBALANCE_MS: i32 = 20_000;

/// What a client does next.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Sends JoinGroup when it wakes.
    Out,
    Joining(u64),
    /// Sends SyncGroup, as the leader with the assignment, when it wakes.
    Joined(Vec<(Str, Bytes)>),
    Syncing(u64),
    /// Reads its partitions; heartbeats or commits when it wakes.
    Active,
}

#[derive(Debug)]
pub struct Client {
    pub instance: Option<Str>,
    pub version: i16,
    pub alive: bool,
    pub phase: Phase,
    pub wake: i64,
    pub member: Str,
    pub generation: i32,
    pub assigned: Vec<i32>,
    /// The next offset to commit, by partition.
    pub positions: BTreeMap<i32, i64>,
    /// What the leader decided: by member or instance, to be checked against what each gets.
    pub decision: Option<BTreeMap<Str, Vec<i32>>>,
}

impl Client {
    pub fn new(number: usize, version: i16, is_static: bool, wake: i64) -> Self {
        Self {
            instance: is_static.then(|| Str::from(format!("i-{number}"))),
            version,
            alive: true,
            phase: Phase::Out,
            wake,
            member: Str::default(),
            generation: -1,
            assigned: Vec::new(),
            positions: BTreeMap::new(),
            decision: None,
        }
    }

    /// What names the client for as long as a generation lasts, whatever its member id.
    pub fn name(&self) -> Str {
        self.instance.clone().unwrap_or_else(|| self.member.clone())
    }

    /// The token that the client waits for.
    pub fn waits_for(&self) -> Option<u64> {
        match self.phase {
            Phase::Joining(token) | Phase::Syncing(token) => Some(token),
            _ => None,
        }
    }

    pub fn join_request(&self) -> GroupRequest {
        let mut join =
            Join::new(self.version).timeouts(CLIENT_SESSION_MS, CLIENT_REBALANCE_MS).member(&self.member);
        if let Some(instance) = &self.instance {
            join = join.instance(instance);
        }
        GroupRequest::Join(join.request())
    }

    pub fn sync_request(&self, assignments: &[(Str, Bytes)]) -> GroupRequest {
        let mut request = sync_of(&self.member, self.generation, &[]);
        request.group_instance_id = self.instance.clone();
        let assignment = |(member_id, assignment): &(Str, Bytes)| SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: assignment.clone(),
            ..SyncGroupRequestAssignment::default()
        };
        request.assignments = assignments.iter().map(assignment).collect();
        GroupRequest::Sync(request)
    }

    /// Joins again when it wakes, with a new identity if the old one is unknown.
    pub fn start_over(&mut self, error: ErrorCode, wake: i64) {
        self.phase = Phase::Out;
        self.wake = wake;
        match error {
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => self.member = Str::default(),
            ErrorCode::FencedInstanceId => self.alive = false,
            ErrorCode::RebalanceInProgress | ErrorCode::NotCoordinator => {}
            error => panic!("a client cannot make sense of {error:?} for group {GROUP}"),
        }
    }

    pub fn on_joined(&mut self, response: JoinGroupResponse, wake: i64) {
        self.wake = wake;
        self.decision = None;
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => {
                self.member = response.member_id.clone();
                self.generation = response.generation_id;
                let leads = response.leader == response.member_id && !response.skip_assignment;
                let assignments = if leads { self.assign(&response) } else { Vec::new() };
                self.phase = Phase::Joined(assignments);
            }
            ErrorCode::MemberIdRequired => {
                self.member = response.member_id;
                self.phase = Phase::Out;
            }
            error => self.start_over(error, wake),
        }
    }

    /// Deals the partitions out in ranges.
    fn assign(&mut self, response: &JoinGroupResponse) -> Vec<(Str, Bytes)> {
        let members = i32::try_from(response.members.len()).expect("few members");
        let mut decision = BTreeMap::new();
        let mut assignments = Vec::new();
        for (i, member) in (0..).zip(&response.members) {
            let range: Vec<i32> = (i * PARTITIONS / members..(i + 1) * PARTITIONS / members).collect();
            let name = member.group_instance_id.clone().unwrap_or_else(|| member.member_id.clone());
            assignments.push((member.member_id.clone(), encode(&range)));
            assert!(decision.insert(name, range).is_none(), "{} is listed twice", member.member_id);
        }
        self.decision = Some(decision);
        assignments
    }
}

/// The partitions of an assignment.
pub fn decode(mut assignment: Bytes) -> Vec<i32> {
    std::iter::from_fn(|| assignment.try_get_i32().ok()).collect()
}

fn encode(partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    partitions.iter().for_each(|partition| bytes.put_i32(*partition));
    bytes.freeze()
}

/// The error of a reply that says little else.
pub fn error_of(reply: &GroupReply) -> ErrorCode {
    let code = match reply {
        GroupReply::Heartbeat(response) => response.error_code,
        GroupReply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    };
    ErrorCode::from_code(code)
}
