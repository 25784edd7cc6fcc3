//! What the operator asks the brokers of one cluster. Everything behind it is the Kafka protocol.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use klamm_operator_plan::observed::{HostPort, ObservedTopic};

use crate::admin::AdminError;
pub use crate::admin::batches::Results;
pub use crate::admin::disruptions::{Answer, Controller, Grant};

/// What the brokers say of their cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Every topic by name.
    pub topics: BTreeMap<String, ObservedTopic>,
    /// The active controller.
    pub active_controller: Option<i32>,
    /// Every grant that is out; `None` if the controller could not be asked.
    pub grants: Option<Vec<Grant>>,
}

/// A change of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create it.
    Create {
        /// How many partitions; `None` is the brokers' default.
        partitions: Option<i32>,
        /// How many copies of each; `None` is the brokers' default.
        replicas: Option<i32>,
        /// Its configuration.
        config: BTreeMap<String, String>,
    },
    /// Add partitions.
    Grow {
        /// How many it should have.
        to: i32,
    },
    /// Change its configuration.
    Configure {
        /// What to set.
        set: BTreeMap<String, String>,
        /// What goes back to its default.
        reset: BTreeSet<String>,
    },
}

/// The brokers of one cluster. `at` is where they can be reached now, any of them will do.
pub trait Brokers: Controller + Sync {
    /// The id of the cluster: nobody else is to be taken for it.
    fn expect(&mut self, cluster_id: Option<&str>);

    /// What there is, with the configuration of the `managed` topics.
    fn look<'a>(
        &'a mut self,
        at: &'a [HostPort],
        managed: &'a [String],
    ) -> BoxFuture<'a, Result<Seen, AdminError>>;

    /// Asks whether a node may go for a while. Asking again for the same node renews the grant.
    fn begin<'a>(
        &'a mut self,
        at: &'a [HostPort],
        node: i32,
        holder: &'a str,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Answer, AdminError>>;

    /// Gives a grant back.
    fn end<'a>(
        &'a mut self,
        at: &'a [HostPort],
        node: i32,
        grant: i64,
    ) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Changes topics, all changes of one kind in one request.
    fn change<'a>(
        &'a mut self,
        at: &'a [HostPort],
        changes: &'a BTreeMap<String, Change>,
    ) -> BoxFuture<'a, Result<Results, AdminError>>;

    /// Deletes topics. Only `destructive` calls it.
    fn delete_topics<'a>(
        &'a mut self,
        at: &'a [HostPort],
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Results, AdminError>>;
}

/// Makes the client of a cluster.
pub type Connect = dyn Fn() -> Box<dyn Brokers> + Send + Sync;
