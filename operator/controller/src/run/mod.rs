//! `run`: keeps every KafkaCluster and KafkaTopic of some namespaces as their resources say.
//!
//! - [`operator`] puts the parts together; [`lease`]: only one operator acts; [`http`], [`metrics`], [`events`]: what it
//!   tells about itself.
//! - [`watches`] feed the [`cache`] of [`table`]s and the [`queue`] of clusters; [`workers`] work it off; [`machines`]
//!   are watched when needed.
//! - [`look`]: one look at a cluster, a [`round`]: [`settle`] sorts its topics, [`resolve`] its resource, [`gather`] and
//!   [`pods`] see what is there, [`memory`] is what is kept between looks.
//! - What the planner says is carried out by [`found`], [`nodes`] (with [`apply`]), [`disrupt`], [`change_topics`],
//!   [`leaving`] and [`housekeeping`], and told by [`report`]. What takes something away is in [`destructive`] alone.
//! - [`brokers`]: what brokers are asked, [`admin`]: over the Kafka protocol; [`api`]: bounded calls to Kubernetes.

pub mod admin;
pub mod api;
pub mod apply;
pub mod brokers;
pub mod cache;
pub mod change_topics;
pub mod context;
pub mod destructive;
pub mod disrupt;
pub mod events;
pub mod found;
pub mod gather;
pub mod housekeeping;
pub mod http;
pub mod key;
pub mod lease;
pub mod leaving;
pub mod look;
pub mod machines;
pub mod memory;
pub mod metrics;
pub mod nodes;
pub mod operator;
pub mod pods;
pub mod process;
pub mod queue;
pub mod report;
pub mod resolve;
pub mod round;
pub mod settle;
pub mod table;
pub mod watches;
pub mod workers;

pub use process::{RunError, run};
