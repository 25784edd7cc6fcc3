//! A member of a consumer group, one step of the classic protocol at a time.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use klamm_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use klamm_wire::messages::heartbeat_request::HeartbeatRequest;
use klamm_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use klamm_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use klamm_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use klamm_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use klamm_wire::{ErrorCode, Request, Str};

use crate::client::Client;
use crate::wait::until;

/// How long a coordinator may take to be found, to load and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The node that coordinates a group, and where it listens.
///
/// # Errors
/// None does in time.
pub fn coordinator(client: &mut Client, group: &str) -> Result<(i32, String)> {
    let request =
        FindCoordinatorRequest { coordinator_keys: vec![Str::copy_from(group)], ..Default::default() };
    until(PATIENCE, &format!("group {group} has a coordinator"), || {
        let answer = client.call(4, &request)?;
        let one = answer.coordinators.first().context("an answer for the group")?;
        let code = ErrorCode::from_code(one.error_code);
        ensure!(code.is_none(), "{}", code.name());
        Ok(Some((one.node_id, format!("{}:{}", one.host, one.port))))
    })
}

/// Calls the coordinator of a group, following it where it moves; `code` takes the error code out of an answer.
fn call<R: Request>(
    client: &mut Client,
    group: &str,
    version: i16,
    request: &R,
    code: impl Fn(&R::Response) -> i16,
) -> Result<R::Response> {
    until(PATIENCE, &format!("the coordinator of {group} answers"), || {
        let (_, address) = coordinator(client, group)?;
        let answer = client.call_at(&address, version, request)?;
        match ErrorCode::from_code(code(&answer)) {
            moving @ (ErrorCode::NotCoordinator
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress) => bail!("{}", moving.name()),
            _ => Ok(Some(answer)),
        }
    })
}

/// The offset that a group has committed for a partition; none if it has not.
///
/// # Errors
/// The coordinator refuses, or is not found in time.
pub fn committed(client: &mut Client, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
    let wanted = OffsetFetchRequestTopics {
        name: Str::copy_from(topic),
        partition_indexes: vec![partition],
        ..Default::default()
    };
    let wanted = OffsetFetchRequestGroup {
        group_id: Str::copy_from(group),
        topics: Some(vec![wanted]),
        ..Default::default()
    };
    let request = OffsetFetchRequest { groups: vec![wanted], require_stable: true, ..Default::default() };
    let answer =
        call(client, group, 8, &request, |answer| answer.groups.first().map_or(0, |one| one.error_code))?;
    let group = answer.groups.first().context("an answer for the group")?;
    ensure!(group.error_code == 0, "{}", ErrorCode::from_code(group.error_code).name());
    let one =
        group.topics.first().and_then(|t| t.partitions.first()).context("an answer for the partition")?;
    ensure!(one.error_code == 0, "{}", ErrorCode::from_code(one.error_code).name());
    Ok(Some(one.committed_offset).filter(|offset| *offset >= 0))
}

/// What a member is told when a rebalance ends.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The group's generation.
    pub generation: i32,
    /// Member id of the leader, who assigns.
    pub leader: String,
    /// Ids of all members, for the leader alone.
    pub members: Vec<String>,
}

/// A member, known to the coordinator or not.
#[derive(Debug)]
pub struct Member {
    client: Client,
    group: Str,
    session: Duration,
    /// The id that the coordinator gave; empty before.
    pub id: String,
    /// The generation that the member counts itself to; -1 before it has joined.
    pub generation: i32,
}

impl Member {
    /// Somebody who has not joined yet and will be missed after `session`.
    pub fn new(client: Client, group: &str, session: Duration) -> Self {
        Self { client, group: Str::copy_from(group), session, id: String::new(), generation: -1 }
    }

    /// Joins the group, or joins again; returns when the rebalance has ended.
    ///
    /// # Errors
    /// The coordinator refuses.
    pub fn join(&mut self) -> Result<Joined> {
        loop {
            let protocol = JoinGroupRequestProtocol {
                name: Str::from("range"),
                metadata: Bytes::from_static(b"subscription"),
                ..Default::default()
            };
            let millis = i32::try_from(self.session.as_millis())?;
            let request = JoinGroupRequest {
                group_id: self.group.clone(),
                session_timeout_ms: millis,
                rebalance_timeout_ms: 10_000,
                member_id: Str::copy_from(&self.id),
                protocol_type: Str::from("consumer"),
                protocols: vec![protocol],
                ..Default::default()
            };
            let answer = call(&mut self.client, &self.group, 9, &request, |answer| answer.error_code)?;
            match ErrorCode::from_code(answer.error_code) {
                ErrorCode::None => {
                    self.id = answer.member_id.to_string();
                    self.generation = answer.generation_id;
                    return Ok(Joined {
                        generation: answer.generation_id,
                        leader: answer.leader.to_string(),
                        members: answer.members.iter().map(|m| m.member_id.to_string()).collect(),
                    });
                }
                // KIP-394: the first attempt only fetches an id.
                ErrorCode::MemberIdRequired if self.id.is_empty() => self.id = answer.member_id.to_string(),
                code => bail!("joining {}: {}", self.group, code.name()),
            }
        }
    }

    /// Gets what the leader assigned; the leader gives each member's part.
    ///
    /// # Errors
    /// The error code of the coordinator, by its name.
    pub fn sync(&mut self, parts: &[(String, &'static [u8])]) -> Result<Bytes> {
        let assignments = parts.iter().map(|(member, part)| SyncGroupRequestAssignment {
            member_id: Str::copy_from(member),
            assignment: Bytes::from_static(part),
            ..Default::default()
        });
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: Str::copy_from(&self.id),
            protocol_type: Some(Str::from("consumer")),
            protocol_name: Some(Str::from("range")),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let answer = call(&mut self.client, &self.group, 5, &request, |answer| answer.error_code)?;
        ensure!(answer.error_code == 0, "{}", ErrorCode::from_code(answer.error_code).name());
        Ok(answer.assignment)
    }

    /// What the coordinator says to a heartbeat of the present id and generation.
    ///
    /// # Errors
    /// No coordinator answers in time.
    pub fn heartbeat(&mut self) -> Result<ErrorCode> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: Str::copy_from(&self.id),
            ..Default::default()
        };
        let answer = call(&mut self.client, &self.group, 4, &request, |answer| answer.error_code)?;
        Ok(ErrorCode::from_code(answer.error_code))
    }

    /// What the coordinator says to the commit of an offset.
    ///
    /// # Errors
    /// No coordinator answers in time.
    pub fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<ErrorCode> {
        let one = OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            committed_metadata: Some(Str::from("")),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: Str::copy_from(topic),
            partitions: vec![one],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: Str::copy_from(&self.id),
            topics: vec![topic],
            ..Default::default()
        };
        let code = |answer: &<OffsetCommitRequest as Request>::Response| {
            answer.topics.first().and_then(|t| t.partitions.first()).map_or(-1, |p| p.error_code)
        };
        let answer = call(&mut self.client, &self.group, 8, &request, code)?;
        Ok(ErrorCode::from_code(code(&answer)))
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// The error code of the coordinator, by its name.
    pub fn leave(&mut self) -> Result<()> {
        let me = MemberIdentity { member_id: Str::copy_from(&self.id), ..Default::default() };
        let request =
            LeaveGroupRequest { group_id: self.group.clone(), members: vec![me], ..Default::default() };
        let answer = call(&mut self.client, &self.group, 5, &request, |answer| answer.error_code)?;
        let code = answer.members.first().map_or(answer.error_code, |member| member.error_code);
        ensure!(code == 0, anyhow!("{}", ErrorCode::from_code(code).name()));
        Ok(())
    }
}
