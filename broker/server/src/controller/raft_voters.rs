//! AddRaftVoter (80) and RemoveRaftVoter (81): who votes in the metadata quorum (KIP-853).

use std::time::Duration;

use klamm_quorum::{Peer, Quorum, VoterError};
use klamm_wire::messages::add_raft_voter_request::AddRaftVoterRequest;
use klamm_wire::messages::add_raft_voter_response::AddRaftVoterResponse;
use klamm_wire::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use klamm_wire::messages::remove_raft_voter_response::RemoveRaftVoterResponse;
use klamm_wire::{ErrorCode, Str};

/// The listener that other controllers dial, where several are given.
const LISTENER: &str = "CONTROLLER";
/// Time for a removal, and the longest for an addition: a forwarded request is waited for longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A request that needs another controller's answer.
pub struct NotActive;

type Outcome = Result<(ErrorCode, Option<Str>), NotActive>;

/// Adds a voter. Whether the asker wants to wait for the commit or not, it is answered after it.
pub async fn add(
    quorum: &Quorum,
    cluster_id: &Str,
    request: AddRaftVoterRequest,
) -> Result<AddRaftVoterResponse, NotActive> {
    let (code, error_message) = try_add(quorum, cluster_id, request).await?;
    Ok(AddRaftVoterResponse { error_code: code.code(), error_message, ..AddRaftVoterResponse::default() })
}

async fn try_add(quorum: &Quorum, cluster_id: &Str, request: AddRaftVoterRequest) -> Outcome {
    if let Some(refusal) = check(cluster_id, request.cluster_id.as_ref(), request.voter_id) {
        return Ok(refusal);
    }
    if request.voter_directory_id.is_nil() {
        return Ok(refuse(ErrorCode::InvalidRequest, "a voter needs its directory id"));
    }
    let named = request.listeners.iter().find(|listener| *listener.name == *LISTENER);
    let Some(listener) = named.or_else(|| request.listeners.first()) else {
        return Ok(refuse(ErrorCode::InvalidRequest, "a voter needs a listener that controllers can dial"));
    };
    let peer = Peer { id: request.voter_id, host: listener.host.to_string(), port: listener.port };
    let asked = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    settle(quorum.add_voter(peer, request.voter_directory_id, asked.min(LIMIT)).await)
}

/// Removes a voter.
pub async fn remove(
    quorum: &Quorum,
    cluster_id: &Str,
    request: RemoveRaftVoterRequest,
) -> Result<RemoveRaftVoterResponse, NotActive> {
    let (code, error_message) = match check(cluster_id, request.cluster_id.as_ref(), request.voter_id) {
        Some(refusal) => refusal,
        None => settle(quorum.remove_voter(request.voter_id, request.voter_directory_id, LIMIT).await)?,
    };
    Ok(RemoveRaftVoterResponse {
        error_code: code.code(),
        error_message,
        ..RemoveRaftVoterResponse::default()
    })
}

fn check(own: &Str, asked: Option<&Str>, voter_id: i32) -> Option<(ErrorCode, Option<Str>)> {
    if asked.is_some_and(|asked| **asked != **own) {
        return Some(refuse(ErrorCode::InconsistentClusterId, "the request is for another cluster"));
    }
    (voter_id < 0).then(|| refuse(ErrorCode::InvalidRequest, "a node id is not negative"))
}

fn refuse(code: ErrorCode, why: &str) -> (ErrorCode, Option<Str>) {
    (code, Some(Str::copy_from(why)))
}

fn settle(outcome: Result<(), VoterError>) -> Outcome {
    let Err(error) = outcome else { return Ok((ErrorCode::None, None)) };
    let code = match &error {
        VoterError::NotLeader { .. } => return Err(NotActive),
        VoterError::Duplicate(_) => ErrorCode::DuplicateVoter,
        VoterError::NotFound { .. } => ErrorCode::VoterNotFound,
        VoterError::LastVoter(_) => ErrorCode::InvalidRequest,
        VoterError::InProgress | VoterError::TimedOut(_) | VoterError::NoMajority(_) => {
            ErrorCode::RequestTimedOut
        }
    };
    Ok(refuse(code, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_codes_of_kafka() {
        let code = |error| settle(Err(error)).map(|(code, _)| code).ok();
        let directory_id = uuid::Uuid::nil();
        assert_eq!(code(VoterError::Duplicate(1)), Some(ErrorCode::DuplicateVoter));
        assert_eq!(code(VoterError::NotFound { id: 1, directory_id }), Some(ErrorCode::VoterNotFound));
        assert_eq!(code(VoterError::LastVoter(1)), Some(ErrorCode::InvalidRequest));
        assert_eq!(code(VoterError::InProgress), Some(ErrorCode::RequestTimedOut));
        assert_eq!(code(VoterError::NotLeader { hint: None }), None, "another controller is asked");
    }
}
