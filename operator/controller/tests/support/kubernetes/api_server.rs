//! The API server: a service under a real client, with faults on demand and a record of every call.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::merge;
use super::path::{Kind, Target};
use super::store::{Refusal, Store, not_found};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// One call of the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub verb: &'static str,
    pub group: String,
    /// With its subresource, as roles write it.
    pub resource: String,
    pub name: String,
}

impl Call {
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

/// What goes wrong on purpose.
#[derive(Debug, Default)]
pub struct Faults {
    /// After so many more writes everything hangs, as if the operator had been killed.
    pub die_after_writes: Option<usize>,
    /// These writes are answered with 409, counted down.
    pub conflicts: usize,
    /// Watches show nothing new while this is set.
    pub frozen: bool,
    /// Kinds that are not served.
    pub absent: Vec<Kind>,
    /// How long every answer takes.
    pub slow: Duration,
    /// The namespace goes away: nothing new is made in it.
    pub terminating: bool,
    /// Kinds that the operator has no right to.
    pub forbidden: Vec<Kind>,
}

/// The API server.
#[derive(Clone, Default)]
pub struct ApiServer {
    pub store: Arc<Mutex<Store>>,
    pub calls: Arc<Mutex<Vec<Call>>>,
    pub faults: Arc<Mutex<Faults>>,
    pub changed: Arc<Notify>,
}

impl ApiServer {
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.handle(request).await) }
        });
        Client::new(service, "klamm")
    }

    /// Calls since the last time that somebody asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock())
    }

    /// Tells watches that something happened.
    pub fn notify(&self) {
        self.changed.notify_waiters();
    }

    async fn handle(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let Some(target) = Target::parse(&head.uri) else {
            return refuse(&Refusal(404, "NotFound", "".into()));
        };
        let body = body.collect().await.unwrap().to_bytes();
        let call = self.record(&head.method, &target, &body);
        let slow = self.faults.lock().slow;
        if !slow.is_zero() {
            sleep(slow).await;
        }
        if self.faults.lock().absent.contains(&target.kind) {
            return refuse(&Refusal(
                404,
                "NotFound",
                "the server could not find the requested resource".into(),
            ));
        }
        if self.faults.lock().forbidden.contains(&target.kind) {
            let message = format!("{} is forbidden: User \"operator\" cannot do that", target.kind.resource);
            return refuse(&Refusal(403, "Forbidden", message));
        }
        if call.is_write() && call.resource != "events" && call.resource != "leases" && self.is_fatal() {
            std::future::pending::<()>().await;
        }
        if call.verb == "watch" {
            return self.watch(target);
        }
        let kind = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let answer = self.answer(&call, &target, kind, &body);
        self.notify();
        match answer {
            Ok(value) => full(200, &value),
            Err(refusal) => refuse(&refusal),
        }
    }

    fn record(&self, method: &Method, target: &Target, body: &[u8]) -> Call {
        let resource = match &target.subresource {
            Some(sub) => format!("{}/{sub}", target.kind.resource),
            None => target.kind.resource.clone(),
        };
        let of_body = || {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
        };
        let call = Call {
            verb: target.verb(method),
            group: target.kind.group.clone(),
            resource,
            name: target.name.clone().unwrap_or_else(of_body),
        };
        self.calls.lock().push(call.clone());
        call
    }

    fn is_fatal(&self) -> bool {
        match &mut self.faults.lock().die_after_writes {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn answer(&self, call: &Call, target: &Target, content: &str, body: &[u8]) -> Result<Value, Refusal> {
        let mut store = self.store.lock();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let namespace = target.namespace.as_deref().unwrap_or_default();
        if call.is_write() && call.resource != "events" {
            let mut faults = self.faults.lock();
            if faults.conflicts > 0 {
                faults.conflicts -= 1;
                return Err(Refusal(409, "Conflict", "injected".into()));
            }
        }
        let name = target.name.clone().unwrap_or_else(|| call.name.clone());
        let at = (&target.kind, namespace, name.as_str());
        let status_only = target.subresource.as_deref() == Some("status");
        match call.verb {
            "get" => store.get(at).cloned().ok_or_else(|| not_found(&target.kind, &name)),
            "list" => Ok(list(&store, target)),
            "create" => store.create(at, body),
            "update" => store.update(at, body, status_only),
            "delete" => {
                let gracefully = target.kind.resource == "pods";
                store.delete(at, &body["preconditions"], gracefully)
            }
            _ if content.contains("apply") => self.apply(&mut store, target, &name, &body, status_only),
            _ => {
                let mut object = store.get(at).cloned().ok_or_else(|| not_found(&target.kind, &name))?;
                object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                merge::merge(&mut object, &body);
                store.update(at, object, status_only)
            }
        }
    }

    fn apply(
        &self,
        store: &mut Store,
        target: &Target,
        name: &str,
        body: &Value,
        status_only: bool,
    ) -> Result<Value, Refusal> {
        let namespace = target.namespace.clone().unwrap_or_default();
        let is_new = store.get((&target.kind, namespace.as_str(), name)).is_none();
        if is_new && self.faults.lock().terminating {
            let why = "unable to create new content in namespace because it is being terminated";
            return Err(Refusal(
                403,
                "Forbidden",
                format!("{} {name} is forbidden: {why}", target.kind.resource),
            ));
        }
        let remembered = (target.kind.clone(), namespace.clone(), name.to_owned(), status_only);
        let before = store.applied.insert(remembered, body.clone()).unwrap_or_default();
        let at = (&target.kind, namespace.as_str(), name);
        match store.get(at).cloned() {
            None if status_only => Err(not_found(&target.kind, name)),
            None => {
                // Whoever applies something that is not there needs the right to create it as well.
                let resource = target.kind.resource.clone();
                let group = target.kind.group.clone();
                self.calls.lock().push(Call { verb: "create", group, resource, name: name.to_owned() });
                store.create(at, body.clone())
            }
            Some(mut live) => {
                live["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                merge::apply(&mut live, &before, body);
                store.update(at, live, status_only)
            }
        }
    }

    fn watch(&self, target: Target) -> Answer {
        let from: u64 = target.parameter("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let lasts = target.parameter("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(290);
        let until = Instant::now() + Duration::from_secs(lasts);
        let state = (self.clone(), target, from);
        let lines = stream::unfold(state, move |(server, target, mut seen)| async move {
            let notify = server.changed.clone();
            loop {
                let changed = notify.notified();
                if let Some(line) = server.next_line(&target, &mut seen) {
                    let frame = http_body::Frame::data(Bytes::from(line));
                    return Some((Ok::<_, Infallible>(frame), (server, target, seen)));
                }
                tokio::select! {
                    () = changed => {}
                    () = sleep_until(until) => return None,
                }
            }
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    fn next_line(&self, target: &Target, seen: &mut u64) -> Option<String> {
        if self.faults.lock().frozen {
            return None;
        }
        let store = self.store.lock();
        if *seen < store.forgotten {
            *seen = u64::MAX;
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version"});
            return Some(format!("{}\n", json!({"type": "ERROR", "object": status})));
        }
        let from = *seen;
        for entry in store.history.iter().filter(|entry| entry.version > from) {
            *seen = entry.version;
            let here = target.namespace.as_ref().is_none_or(|namespace| *namespace == entry.namespace);
            if entry.kind != target.kind || !here {
                continue;
            }
            let selector = target.parameter("labelSelector");
            let matches =
                |object: &Option<Value>| object.as_ref().is_some_and(|o| merge::selected(o, selector));
            let (type_, object) = match (matches(&entry.before), matches(&entry.after)) {
                (false, true) => ("ADDED", entry.after.clone()),
                (true, true) => ("MODIFIED", entry.after.clone()),
                (true, false) => ("DELETED", entry.before.clone()),
                (false, false) => continue,
            };
            let mut object = object.unwrap();
            object["metadata"]["resourceVersion"] = json!(entry.version.to_string());
            return Some(format!("{}\n", json!({"type": type_, "object": object})));
        }
        None
    }
}

fn list(store: &Store, target: &Target) -> Value {
    let mut items = store.list(&target.kind, target.namespace.as_deref());
    items.retain(|object| merge::selected(object, target.parameter("labelSelector")));
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": store.version.to_string()}, "items": items})
}

fn full(code: u16, value: &Value) -> Answer {
    let body = http_body_util::Full::new(Bytes::from(value.to_string()));
    Response::builder().status(code).body(body.boxed_unsync()).unwrap()
}

fn refuse(Refusal(code, reason, message): &Refusal) -> Answer {
    full(
        *code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message}),
    )
}
