//! Events: what was done and what failed, for people who describe a resource. They are written beside the work and never
//! hold it up; when the API server cannot keep up they are dropped.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tracing::debug;

use super::api::bounded;

/// How many events may wait.
const WAITING: usize = 256;
/// The longest note that the API server takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Takes events.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<(Event, ObjectReference)>);

impl Events {
    /// A sender, and the task that writes.
    pub fn new(client: Client, instance: String) -> (Self, impl Future<Output = ()>) {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let reporter = Reporter { controller: "klamm.dev/operator".into(), instance: Some(instance) };
        let recorder = Recorder::new(client, reporter);
        let writer = async move {
            while let Some((event, about)) = receiver.recv().await {
                if let Err(error) = bounded("write Event", recorder.publish(&event, &about)).await {
                    debug!("{error}");
                }
            }
        };
        (Self(sender), writer)
    }

    /// Something was done.
    pub fn done<K: Resource<DynamicType = ()>>(&self, about: &K, action: &str, note: impl Into<String>) {
        self.send(about, EventType::Normal, action, action, note.into());
    }

    /// Something failed, or cannot go on.
    pub fn failed<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        action: &str,
        reason: &str,
        note: impl Into<String>,
    ) {
        self.send(about, EventType::Warning, action, reason, note.into());
    }

    fn send<K: Resource<DynamicType = ()>>(
        &self,
        about: &K,
        type_: EventType,
        action: &str,
        reason: &str,
        note: String,
    ) {
        let note = Some(shortened(note));
        let event = Event { type_, reason: reason.into(), note, action: action.into(), secondary: None };
        // A full queue drops it: the status says what matters.
        let _ = self.0.try_send((event, about.object_ref(&())));
    }
}

fn shortened(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let mut end = MAX_NOTE - '…'.len_utf8();
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_at_a_letter() {
        assert_eq!(shortened("short".into()), "short");
        let cut = shortened("ä".repeat(1000));
        assert!(cut.len() <= MAX_NOTE && cut.ends_with('…'));
    }
}
