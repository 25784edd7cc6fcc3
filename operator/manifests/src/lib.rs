//! Renders the Kubernetes objects of a cluster. Everything is a pure function over data: no client, no clock, no task.
//!
//! - [`cluster`]: what goes in, with every default resolved.
//! - [`objects`]: everything that a cluster consists of, from the properties of its nodes.
//! - [`stateful_set`] with [`pod`] and [`scheduling`], [`services`], [`config_map`], [`budget`], [`network_policy`],
//!   [`service_account`]: one kind each.
//! - [`places`] with [`node_address`]: where nodes are reached, which the planner needs before it can say their
//!   properties; [`bootstrap`]: what clients are told.
//! - [`outdated`]: what of a live pod differs from what is wanted; [`drift`]: whether a live object still is what was
//!   rendered; [`claims`]: volumes that have to grow.
//! - [`founding`]: the facts that a cluster's volumes carry. [`names`], [`labels`], [`properties`], [`hash`]: what
//!   they share.

pub mod bootstrap;
pub mod budget;
pub mod claims;
pub mod cluster;
pub mod config_map;
pub mod drift;
pub mod founding;
pub mod hash;
pub mod labels;
pub mod names;
pub mod network_policy;
pub mod node_address;
pub mod objects;
pub mod outdated;
pub mod places;
pub mod pod;
pub mod properties;
pub mod scheduling;
pub mod service_account;
pub mod services;
pub mod stateful_set;

pub use cluster::Cluster;
pub use founding::Founding;
pub use objects::{Objects, objects};
pub use places::{Places, Surroundings, places};
