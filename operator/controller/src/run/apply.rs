//! Writes objects by server-side apply, and only those that are not as they should be.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use klamm_operator_manifests::drift;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{ApiError, MANAGER, bounded, namespaced};
use super::cache::{self, Cache};
use super::key::Key;
use super::table::Table;

/// What was applied last and what came of it, by kind and name. A server that does not keep a field as it was asked to
/// is not asked again and again: only when either side has changed.
pub type Applied = BTreeMap<(String, String), Outcome>;

/// One apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    asked: u64,
    version: Option<String>,
}

/// A kind that is applied.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + Debug
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
{
}

/// Applies objects.
pub struct Applier<'a> {
    /// The way to Kubernetes.
    pub client: &'a Client,
    /// What is known, which takes the answers in.
    pub cache: &'a Mutex<Cache>,
    /// What was applied before.
    pub applied: &'a mut Applied,
}

impl Applier<'_> {
    /// Makes an object what it should be; whether anything had to be written.
    ///
    /// # Errors
    /// If the API server refuses or does not answer.
    pub async fn ensure<K: Kind>(
        &mut self,
        table: fn(&mut Cache) -> &mut Table<K>,
        wanted: &K,
    ) -> Result<bool, ApiError> {
        let key = Key::of(wanted);
        let live = table(&mut self.cache.lock()).get(&key).map(|row| row.object.clone());
        let remembered = (K::kind(&()).into_owned(), key.name.clone());
        let asked = digest(wanted);
        if let Some(live) = &live {
            let version = live.meta().resource_version.clone();
            let again = self.applied.get(&remembered) == Some(&Outcome { asked, version });
            if again || drift::is_current(wanted, &**live) {
                return Ok(false);
            }
        }
        let answer = self.apply(&key, wanted).await?;
        let version = answer.meta().resource_version.clone();
        self.applied.insert(remembered, Outcome { asked, version });
        table(&mut self.cache.lock()).put(answer);
        Ok(true)
    }

    async fn apply<K: Kind>(&self, key: &Key, wanted: &K) -> Result<K, ApiError> {
        let api = namespaced::<K>(self.client, &key.namespace);
        let what = format!("apply {} {key}", K::kind(&()));
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(wanted);
        let mut answer = bounded(what, api.patch(&wanted.name_any(), &parameters, &patch)).await?;
        cache::strip(&mut answer);
        Ok(answer)
    }
}

/// Tells one content from another.
pub fn digest(content: &impl Serialize) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    serde_json::to_vec(content).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}
