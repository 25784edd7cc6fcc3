//! Asks the controller whether a node may go for a while. It alone knows who would be hurt.

use futures::FutureExt;
use futures::future::BoxFuture;
use klamm_operator_plan::observed::{self, HostPort};
use klamm_wire::Str;
use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::describe_disruptions_request::DescribeDisruptionsRequest;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;

use super::{Admin, AdminError};

/// How long a grant lasts if nobody renews it, in milliseconds.
pub const DURATION_MS: i32 = 300_000;

/// A permission of the controller to take a node away for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The node.
    pub node: i32,
    /// The id of the grant.
    pub id: i64,
    /// Who holds it.
    pub holder: String,
    /// How long it still lasts, in milliseconds.
    pub expires_in_ms: i32,
    /// Whether the node has come back since and is in sync everywhere.
    pub restored: bool,
}

impl Grant {
    /// The grant as the planner sees it. Nothing was taken away under the one that is `unused`.
    pub fn observed(&self, unused: Option<i64>) -> observed::Grant {
        let unused = unused == Some(self.id);
        observed::Grant { node: self.node, id: self.id, restored: self.restored, unused }
    }
}

/// The answer to a request for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The node may go.
    Granted {
        /// The id of the grant.
        id: i64,
    },
    /// It may not, for these reasons.
    Refused(Vec<String>),
}

/// A grant that ends sooner than this is not used any more, in milliseconds.
const MARGIN_MS: i32 = 15_000;

/// Whoever passes questions on to the controller.
pub trait Controller: Send {
    /// Every grant that is out.
    fn grants<'a>(&'a mut self, at: &'a [HostPort]) -> BoxFuture<'a, Result<Vec<Grant>, AdminError>>;
}

impl Controller for Admin {
    fn grants<'a>(&'a mut self, at: &'a [HostPort]) -> BoxFuture<'a, Result<Vec<Grant>, AdminError>> {
        self.disruptions(at).boxed()
    }
}

/// The controller's leave to take a node away, as the controller itself has confirmed it just now. Nothing else makes
/// one.
#[derive(Debug)]
pub struct Granted {
    node: i32,
}

impl Granted {
    /// Asks the controller whether `holder` has a grant for the node; none if it has not.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn confirm(
        controller: &mut dyn Controller,
        at: &[HostPort],
        holder: &str,
        node: i32,
    ) -> Result<Option<Self>, AdminError> {
        let ours =
            |grant: &Grant| grant.node == node && grant.holder == holder && grant.expires_in_ms > MARGIN_MS;
        let granted = controller.grants(at).await?.iter().any(ours);
        Ok(granted.then_some(Self { node }))
    }

    /// The node that may go.
    pub fn node(&self) -> i32 {
        self.node
    }
}

impl Admin {
    /// Asks whether a node may go. The same holder asking again for the same node renews its grant.
    ///
    /// # Errors
    /// If nobody answers, or the controller cannot judge it.
    pub async fn begin_disruption(
        &mut self,
        at: &[HostPort],
        node: i32,
        holder: &str,
        reason: &str,
    ) -> Result<Answer, AdminError> {
        let request = BeginDisruptionRequest {
            node_id: node,
            holder: Str::copy_from(holder),
            reason: Str::copy_from(reason),
            duration_ms: DURATION_MS,
            ..Default::default()
        };
        let answer = self.call(at, &request).await?;
        AdminError::of(answer.error_code, answer.error_message.as_deref())?;
        if answer.granted {
            return Ok(Answer::Granted { id: answer.grant_id });
        }
        let mut blockers: Vec<String> =
            answer.blockers.iter().map(|blocker| blocker.message.to_string()).collect();
        if answer.more_blockers > 0 {
            blockers.push(format!("and {} more", answer.more_blockers));
        }
        Ok(Answer::Refused(blockers))
    }

    /// Gives a grant back. One that has ended already is no error.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn end_disruption(&mut self, at: &[HostPort], node: i32, grant: i64) -> Result<(), AdminError> {
        let request = EndDisruptionRequest { node_id: node, grant_id: grant, ..Default::default() };
        let answer = self.call(at, &request).await?;
        AdminError::of(answer.error_code, answer.error_message.as_deref())
    }

    /// Every grant that is out.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn disruptions(&mut self, at: &[HostPort]) -> Result<Vec<Grant>, AdminError> {
        let answer = self.call(at, &DescribeDisruptionsRequest::default()).await?;
        AdminError::of(answer.error_code, answer.error_message.as_deref())?;
        let grant = |grant: &klamm_wire::messages::describe_disruptions_response::DisruptionGrant| Grant {
            node: grant.node_id,
            id: grant.grant_id,
            holder: grant.holder.to_string(),
            expires_in_ms: grant.expires_in_ms,
            restored: grant.restored,
        };
        Ok(answer.grants.iter().map(grant).collect())
    }
}
