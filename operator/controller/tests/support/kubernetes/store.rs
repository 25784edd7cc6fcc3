//! The objects, their versions, and the history that watches replay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::path::Kind;

/// Why a request is refused: an HTTP code, a reason and a message.
#[derive(Clone, Debug)]
pub struct Refusal(pub u16, pub &'static str, pub String);

/// One change in the history.
#[derive(Clone, Debug)]
pub struct Entry {
    pub version: u64,
    pub kind: Kind,
    pub namespace: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The objects by kind, namespace and name.
#[derive(Debug, Default)]
pub struct Store {
    pub version: u64,
    pub objects: BTreeMap<(Kind, String, String), Value>,
    pub history: Vec<Entry>,
    /// Watches from before this version get 410.
    pub forgotten: u64,
    /// What each manager applied last.
    pub applied: BTreeMap<(Kind, String, String, bool), Value>,
    uids: u64,
}

type Name<'a> = (&'a Kind, &'a str, &'a str);

impl Store {
    pub fn get(&self, (kind, namespace, name): Name<'_>) -> Option<&Value> {
        self.objects.get(&(kind.clone(), namespace.to_owned(), name.to_owned()))
    }

    pub fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Value> {
        let of = |((k, ns, _), _): &(&(Kind, String, String), &Value)| {
            k == kind && namespace.is_none_or(|namespace| ns == namespace)
        };
        self.objects.iter().filter(of).map(|(_, object)| object.clone()).collect()
    }

    pub fn create(&mut self, (kind, namespace, name): Name<'_>, mut object: Value) -> Result<Value, Refusal> {
        if self.get((kind, namespace, name)).is_some() {
            return Err(Refusal(409, "AlreadyExists", format!("{} {name} already exists", kind.resource)));
        }
        self.uids += 1;
        let meta = &mut object["metadata"];
        meta["uid"] = json!(format!("uid-{}", self.uids));
        meta["namespace"] = json!(namespace);
        meta["name"] = json!(name);
        meta["generation"] = json!(1);
        meta["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        for field in ["deletionTimestamp", "resourceVersion", "managedFields"] {
            meta.as_object_mut().unwrap().remove(field);
        }
        Ok(self.put((kind, namespace, name), None, object))
    }

    /// Replaces an object; nothing happens, and no version is spent, if it is the same.
    pub fn update(
        &mut self,
        (kind, namespace, name): Name<'_>,
        mut object: Value,
        status_only: bool,
    ) -> Result<Value, Refusal> {
        let old = self.get((kind, namespace, name)).cloned();
        let Some(old) = old else { return Err(not_found(kind, name)) };
        for (field, what) in [("resourceVersion", "the object has been modified"), ("uid", "another uid")] {
            let given = &object["metadata"][field];
            if !given.is_null() && *given != old["metadata"][field] {
                return Err(Refusal(409, "Conflict", what.into()));
            }
        }
        if status_only {
            let status = object["status"].clone();
            object = old.clone();
            object["status"] = status;
        } else {
            object["status"] = old["status"].clone();
            for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation", "namespace", "name"]
            {
                object["metadata"][field] = old["metadata"][field].clone();
            }
            if without_meta(&object) != without_meta(&old) {
                object["metadata"]["generation"] =
                    json!(old["metadata"]["generation"].as_u64().unwrap_or(0) + 1);
            }
        }
        object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        prune(&mut object);
        if object == old {
            return Ok(old);
        }
        if has_finalizers(&old) && is_released(&object) {
            return Ok(self.remove((kind, namespace, name)).unwrap());
        }
        Ok(self.put((kind, namespace, name), Some(old), object))
    }

    /// Deletes an object, or says that it is being deleted where something waits for that.
    pub fn delete(
        &mut self,
        (kind, namespace, name): Name<'_>,
        preconditions: &Value,
        gracefully: bool,
    ) -> Result<Value, Refusal> {
        let Some(old) = self.get((kind, namespace, name)).cloned() else { return Err(not_found(kind, name)) };
        for field in ["uid", "resourceVersion"] {
            let given = &preconditions[field];
            if !given.is_null() && *given != old["metadata"][field] {
                return Err(Refusal(409, "Conflict", format!("precondition {field} failed")));
            }
        }
        let has_finalizers = has_finalizers(&old);
        if !has_finalizers && !gracefully {
            return Ok(self.remove((kind, namespace, name)).unwrap());
        }
        if !old["metadata"]["deletionTimestamp"].is_null() {
            return Ok(old);
        }
        let mut object = old.clone();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        Ok(self.put((kind, namespace, name), Some(old), object))
    }

    pub fn remove(&mut self, (kind, namespace, name): Name<'_>) -> Option<Value> {
        let key = (kind.clone(), namespace.to_owned(), name.to_owned());
        let mut old = self.objects.remove(&key)?;
        self.applied.retain(|(k, ns, n, _), _| (k, ns.as_str(), n.as_str()) != (kind, namespace, name));
        self.version += 1;
        let before = old.clone();
        old["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (kind, namespace) = (kind.clone(), namespace.to_owned());
        self.history.push(Entry {
            version: self.version,
            kind,
            namespace,
            before: Some(before),
            after: None,
        });
        Some(old)
    }

    fn put(&mut self, (kind, namespace, name): Name<'_>, before: Option<Value>, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        prune(&mut object);
        let key = (kind.clone(), namespace.to_owned(), name.to_owned());
        self.objects.insert(key, object.clone());
        let (kind, namespace) = (kind.clone(), namespace.to_owned());
        let after = Some(object.clone());
        self.history.push(Entry { version: self.version, kind, namespace, before, after });
        object
    }
}

pub fn not_found(kind: &Kind, name: &str) -> Refusal {
    Refusal(404, "NotFound", format!("{} {name} not found", kind.resource))
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty())
}

fn is_released(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    !object["metadata"]["deletionTimestamp"].is_null() && finalizers.is_none_or(Vec::is_empty)
}

fn without_meta(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().unwrap();
    fields.remove("metadata");
    fields.remove("status");
    object
}

/// Servers keep no nulls.
fn prune(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune);
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}
