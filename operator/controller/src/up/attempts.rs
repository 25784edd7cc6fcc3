//! Remembers what was tried, so that nothing is tried in a hot loop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm_operator_plan::status::{Failure, Failures};
use klamm_operator_plan::{Action, Subject};

/// A step that was carried out may be planned once more before its effect is seen.
const AFTER_SUCCESS: Duration = Duration::from_millis(500);
/// The wait after the first failure; it doubles with each.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// What was tried and is still planned.
#[derive(Debug, Default)]
pub struct Attempts {
    by_action: BTreeMap<String, Attempt>,
}

#[derive(Debug)]
struct Attempt {
    subject: Subject,
    not_before: Instant,
    failures: u32,
    failure: Option<Failure>,
}

impl Attempts {
    /// Forgets everything that is not planned any more. While nobody can be asked about topics nothing is planned for
    /// them, which says nothing.
    pub fn keep_only(&mut self, planned: &[Action], topics_known: bool) {
        let keys: Vec<String> = planned.iter().map(key).collect();
        let unknown = |attempt: &Attempt| !topics_known && matches!(attempt.subject, Subject::Topic(_));
        self.by_action.retain(|action, attempt| keys.contains(action) || unknown(attempt));
    }

    /// Whether the step failed when it was tried last.
    pub fn has_failed(&self, action: &Action) -> bool {
        self.by_action.get(&key(action)).is_some_and(|attempt| attempt.failure.is_some())
    }

    /// Whether the step may be tried now.
    pub fn is_due(&self, action: &Action, now: Instant) -> bool {
        self.by_action.get(&key(action)).is_none_or(|attempt| now >= attempt.not_before)
    }

    /// Takes note that the step was carried out.
    pub fn succeeded(&mut self, action: &Action, subject: Subject, now: Instant) {
        let attempt = Attempt { subject, not_before: now + AFTER_SUCCESS, failures: 0, failure: None };
        self.by_action.insert(key(action), attempt);
    }

    /// Takes note that the step failed; whether that is news.
    pub fn failed(&mut self, action: &Action, subject: Subject, failure: Failure, now: Instant) -> bool {
        let key = key(action);
        let before = self.by_action.remove(&key);
        let failures = before.as_ref().map_or(0, |attempt| attempt.failures);
        let news = before.and_then(|attempt| attempt.failure).as_ref() != Some(&failure);
        let wait = AFTER_FAILURE.saturating_mul(1 << failures.min(5)).min(LONGEST);
        let attempt = Attempt {
            subject,
            not_before: now + wait,
            failures: failures.saturating_add(1),
            failure: Some(failure),
        };
        self.by_action.insert(key, attempt);
        news
    }

    /// What failed last, by resource.
    pub fn failures(&self) -> Failures {
        let failed = |attempt: &Attempt| Some((attempt.subject.clone(), attempt.failure.clone()?));
        self.by_action.values().filter_map(failed).collect()
    }
}

fn key(action: &Action) -> String {
    format!("{action:?}")
}

#[cfg(test)]
mod tests {
    use klamm_operator_api::conditions::Reason;

    use super::*;

    #[test]
    fn a_failing_step_is_tried_less_and_less_often_and_told_once() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let action = Action::GrowTopic { topic: "t".into(), from: 1, to: 2 };
        let subject = Subject::Topic("t".into());
        let failure = Failure { reason: Reason::KafkaError, message: "no".into() };
        assert!(attempts.is_due(&action, now));
        assert!(attempts.failed(&action, subject.clone(), failure.clone(), now));
        assert!(!attempts.is_due(&action, now));
        assert!(attempts.is_due(&action, now + AFTER_FAILURE));
        assert!(!attempts.failed(&action, subject.clone(), failure.clone(), now));
        assert!(!attempts.is_due(&action, now + AFTER_FAILURE));
        assert_eq!(attempts.failures(), Failures::from([(subject, failure)]));
        attempts.keep_only(&[], false);
        assert!(attempts.has_failed(&action));
        attempts.keep_only(&[], true);
        assert!(attempts.is_due(&action, now));
        assert_eq!(attempts.failures(), Failures::new());
    }
}
