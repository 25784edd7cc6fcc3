//! Compose files written for other Kafka images, run on a real Docker daemon.
//!
//! `cargo xtask compose` starts the daemon, loads our image, gives it the names of the images that it stands in for, and
//! runs the tests where published ports are reachable.
//!
//! - [`docker`]: the `docker` command, bounded in time
//! - [`Container`]: one container, removed when it is dropped
//! - [`Project`]: the services of one compose file, taken down when it is dropped
//! - [`spring`]: the Spring application of `tests/clients` against brokers, from inside a network or from outside

mod command;
mod container;
mod project;
pub mod spring;

pub use command::docker;
pub use container::Container;
pub use project::Project;

/// Our image under its own name.
pub const IMAGE: &str = "klamm/broker:dev";
/// Our image under the name of Confluent's.
pub const CP_KAFKA: &str = "confluentinc/cp-kafka:7.9.0";
/// Our image under the name of Apache Kafka's.
pub const APACHE_KAFKA: &str = "apache/kafka:4.1.0";
