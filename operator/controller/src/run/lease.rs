//! Leadership: of several operators only the one that holds the Lease acts.
//!
//! The clocks of others are not trusted: a Lease counts as abandoned when it was *seen* unchanged for as long as it lasts.
//! Every write carries the version that it was decided on, so that of two that take it one is refused.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::api::{ApiError, MANAGER, Why, bounded, namespaced};

/// How long a leader that says nothing keeps the leadership.
const DURATION: Duration = Duration::from_secs(30);
/// How often a leader says that it is there.
const RENEW: Duration = Duration::from_secs(5);
/// A leader that could not say so for this long stops, well before somebody else may start.
const GIVE_UP: Duration = Duration::from_secs(20);
/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_secs(2);

/// The Lease, as one of those who want it sees it.
pub struct Leadership {
    api: Api<Lease>,
    me: String,
    seen: Seen,
}

/// What was seen of the Lease, and since when it has been like that.
#[derive(Debug, Default)]
struct Seen {
    version: Option<String>,
    since: Option<Instant>,
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody holds it: take it.
    Take,
    /// Somebody else does.
    Wait,
}

impl Leadership {
    /// The Lease `klamm-operator` of a namespace, wanted by `me`.
    pub fn new(client: &Client, namespace: &str, me: String) -> Self {
        Self { api: namespaced(client, namespace), me, seen: Seen::default() }
    }

    /// Waits until it is ours.
    pub async fn acquire(&mut self) {
        let mut told = false;
        loop {
            match self.try_acquire().await {
                Ok(true) => return info!(holder = self.me, "leading"),
                Ok(false) if told => {}
                Ok(false) => {
                    told = true;
                    info!(holder = self.me, "another operator leads; waiting");
                }
                Err(error) if error.is_conflict() => debug!("{error}"),
                Err(error) => warn!("{error}"),
            }
            sleep(LOOK).await;
        }
    }

    async fn try_acquire(&mut self) -> Result<bool, ApiError> {
        let present = bounded("get Lease", self.api.get_opt(MANAGER)).await?;
        let Some(present) = present else {
            let new = self.held(None);
            bounded("create Lease", self.api.create(&parameters(), &new)).await?;
            return Ok(true);
        };
        if self.seen.judge(&present, &self.me, Instant::now()) == Verdict::Wait {
            return Ok(false);
        }
        self.write(&present).await?;
        Ok(true)
    }

    /// Says again and again that we are there; returns when the leadership is lost.
    pub async fn keep(&mut self) {
        let mut last = Instant::now();
        while last.elapsed() < GIVE_UP {
            sleep(RENEW.min(GIVE_UP.saturating_sub(last.elapsed()))).await;
            let at = Instant::now();
            match self.renew(GIVE_UP.saturating_sub(last.elapsed())).await {
                Ok(true) => last = at,
                Ok(false) => return warn!("another operator has taken the leadership"),
                Err(error) => warn!("{error}"),
            }
        }
        warn!("the leadership could not be renewed for {} s", GIVE_UP.as_secs());
    }

    async fn renew(&mut self, bound: Duration) -> Result<bool, ApiError> {
        let round = async {
            let present = bounded("get Lease", self.api.get(MANAGER)).await?;
            if holder(&present) != Some(&self.me) {
                return Ok(false);
            }
            self.write(&present).await.map(|()| true)
        };
        match tokio::time::timeout(bound, round).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(ApiError { what: "renew Lease".into(), why: Why::Other("no answer in time".into()) })
            }
        }
    }

    /// Gives it up, so that the next one need not wait.
    pub async fn release(&mut self) {
        let outcome = async {
            let mut present = bounded("get Lease", self.api.get(MANAGER)).await?;
            if holder(&present) != Some(&self.me) {
                return Ok(());
            }
            if let Some(spec) = &mut present.spec {
                spec.holder_identity = None;
            }
            bounded("release Lease", self.api.replace(MANAGER, &parameters(), &present)).await.map(drop)
        };
        if let Err(error) = outcome.await {
            warn!("{error}");
        }
    }

    async fn write(&self, present: &Lease) -> Result<(), ApiError> {
        let next = self.held(Some(present));
        bounded("take Lease", self.api.replace(MANAGER, &parameters(), &next)).await.map(drop)
    }

    fn held(&self, before: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let old = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = old.holder_identity.as_ref() == Some(&self.me);
        let transitions = old.lease_transitions.unwrap_or(0);
        let metadata = ObjectMeta {
            name: Some(MANAGER.into()),
            resource_version: before.and_then(|lease| lease.metadata.resource_version.clone()),
            uid: before.and_then(|lease| lease.metadata.uid.clone()),
            labels: before.and_then(|lease| lease.metadata.labels.clone()),
            annotations: before.and_then(|lease| lease.metadata.annotations.clone()),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: old.acquire_time.filter(|_| ours).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours || before.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

impl Seen {
    fn judge(&mut self, lease: &Lease, me: &str, now: Instant) -> Verdict {
        let free = holder(lease).is_none_or(|holder| holder.is_empty() || holder == me);
        if self.version != lease.metadata.resource_version {
            *self = Self { version: lease.metadata.resource_version.clone(), since: Some(now) };
        }
        let lasts = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts = lasts.and_then(|s| u64::try_from(s).ok()).map_or(DURATION, Duration::from_secs);
        let unchanged = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if free || unchanged > lasts { Verdict::Take } else { Verdict::Wait }
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>, version: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { resource_version: Some(version.into()), ..ObjectMeta::default() };
        Lease { metadata, spec: Some(spec) }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_ours_or_seen_abandoned() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.judge(&lease(None, "1"), "me", now), Verdict::Take);
        assert_eq!(seen.judge(&lease(Some("me"), "1"), "me", now), Verdict::Take);
        assert_eq!(seen.judge(&lease(Some("other"), "2"), "me", now), Verdict::Wait);
        let soon = now + Duration::from_secs(14);
        assert_eq!(seen.judge(&lease(Some("other"), "3"), "me", soon), Verdict::Wait);
        let later = soon + Duration::from_secs(16);
        assert_eq!(seen.judge(&lease(Some("other"), "3"), "me", later), Verdict::Take);
    }
}
