//! The process's configuration: properties from file, environment and command line, checked once, typed once.

pub mod environment;
pub mod listeners;
mod network;
pub mod properties;
mod quorum;
mod raw;
pub mod report;
pub mod sources;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::net::SocketBuffers;
use listeners::{Endpoint, Voter};
use network::Network;
use raw::Properties;

/// A configuration that cannot be used, naming the property and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value of a property is not acceptable.
    #[error("invalid value {value:?} for configuration {key}: {reason}")]
    Invalid {
        /// Property name.
        key: String,
        /// Offending value.
        value: String,
        /// What is expected instead.
        reason: String,
    },
    /// A property that must be given is not.
    #[error("missing configuration {key}: {reason}")]
    Missing {
        /// Property name.
        key: &'static str,
        /// Why it is needed and how to give it.
        reason: String,
    },
    /// A value is not what the table of properties allows.
    #[error(transparent)]
    Value(klamm_metadata::config::ConfigError),
}

impl ConfigError {
    /// An [`ConfigError::Invalid`].
    pub fn invalid(key: &str, value: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { key: key.to_owned(), value: value.to_owned(), reason: reason.into() }
    }
}

/// The typed configuration of one process.
#[derive(Clone, Debug)]
pub struct Config {
    /// `node.id`.
    pub node_id: i32,
    /// Whether `process.roles` contains `broker`.
    pub is_broker: bool,
    /// Whether `process.roles` contains `controller`.
    pub is_controller: bool,
    /// `cluster.id`, if given; otherwise the disk's or, on the first start, the quorum's.
    pub cluster_id: Option<String>,
    /// `log.dirs`; exactly one directory.
    pub log_dir: PathBuf,
    /// `listeners` of the broker role.
    pub broker_listeners: Vec<Endpoint>,
    /// The listener of the controller role, if any.
    pub controller_listener: Option<Endpoint>,
    /// `advertised.listeners`, by listener name.
    pub advertised: Vec<Endpoint>,
    /// `inter.broker.listener.name`.
    pub inter_broker_listener: String,
    /// `controller.quorum.voters`, or the addresses of `controller.quorum.bootstrap.servers` with -1 for the ids.
    pub voters: Vec<Voter>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `klamm.http.listener`: health and metrics.
    pub http: Option<String>,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `socket.request.max.bytes`.
    pub max_request_bytes: usize,
    /// `queued.max.request.bytes`: memory for requests that are being read or handled.
    pub queued_max_request_bytes: usize,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions: usize,
    /// `connections.max.idle.ms`.
    pub max_idle: Duration,
    /// `socket.send.buffer.bytes` and `socket.receive.buffer.bytes`.
    pub socket_buffers: SocketBuffers,
    /// Every property as given, known or not.
    pub properties: BTreeMap<String, String>,
}

impl Config {
    /// Where other controllers reach the controller listener, which is bound as `bound`: as it is advertised, or as it is.
    pub fn controller_endpoint(&self, bound: &Endpoint) -> Endpoint {
        let text = self.properties.get("advertised.listeners").map_or("", String::as_str);
        let advertised = listeners::parse_list("advertised.listeners", text).unwrap_or_default();
        let host = |given: &str| match given {
            "" | "0.0.0.0" | "::" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            name => name.to_owned(),
        };
        let given = advertised.into_iter().find(|endpoint| endpoint.name == bound.name && endpoint.port != 0);
        given.unwrap_or_else(|| Endpoint { host: host(&bound.host), ..bound.clone() })
    }

    /// Builds the configuration from properties.
    ///
    /// # Errors
    /// The first property that is missing or unusable.
    pub fn from_properties(properties: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let p = Properties(&properties);
        let (is_broker, is_controller) = roles(&p)?;
        let node_id = node_id(&p)?;
        let voters = quorum::voters(&p, node_id, is_controller)?;
        let network = Network::read(&p, is_broker, is_controller)?;
        check_authorizer(&p)?;
        p.check_known()?;
        Ok(Self {
            node_id,
            is_broker,
            is_controller,
            cluster_id: cluster_id(&p)?,
            log_dir: log_dir(&p)?,
            broker_listeners: network.brokers,
            controller_listener: network.controller,
            advertised: network.advertised,
            inter_broker_listener: network.inter_broker,
            voters,
            rack: p.text("broker.rack").map(str::to_owned),
            http: http_listener(&p),
            heartbeat_interval: p.millis("broker.heartbeat.interval.ms", 200)?,
            session_timeout: p.millis("broker.session.timeout.ms", 1_000)?,
            max_request_bytes: p.parsed("socket.request.max.bytes", 100 << 20)?,
            queued_max_request_bytes: p.parsed("klamm.queued.max.request.bytes", 64 << 20)?,
            max_connections: p.parsed("max.connections", 10_000)?,
            fetch_sessions: p.parsed("max.incremental.fetch.session.cache.slots", 1_000)?,
            max_idle: p.millis("connections.max.idle.ms", 600_000)?,
            socket_buffers: SocketBuffers {
                send: p.buffer("socket.send.buffer.bytes", Some(204_800))?,
                receive: p.buffer("socket.receive.buffer.bytes", None)?,
            },
            properties: properties.clone(),
        })
    }

    /// A property parsed as `T`, or `default` when it is absent or empty.
    ///
    /// # Errors
    /// The value does not parse.
    pub fn parsed<T: FromStr>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        Properties(&self.properties).parsed(key, default)
    }
}

fn roles(p: &Properties<'_>) -> Result<(bool, bool), ConfigError> {
    let text = p.text("process.roles").ok_or_else(|| ConfigError::Missing {
        key: "process.roles",
        reason: "give broker, controller or broker,controller".to_owned(),
    })?;
    let (mut broker, mut controller) = (false, false);
    for role in text.split(',').map(str::trim) {
        match role {
            "broker" => broker = true,
            "controller" => controller = true,
            other => {
                return Err(ConfigError::invalid("process.roles", other, "roles are broker and controller"));
            }
        }
    }
    Ok((broker, controller))
}

/// `node.id`, or `broker.id` as files from before KRaft have it.
fn node_id(p: &Properties<'_>) -> Result<i32, ConfigError> {
    let given = ["node.id", "broker.id"].iter().find_map(|key| Some((*key, p.text(key)?)));
    let (key, text) = given.ok_or_else(|| ConfigError::Missing {
        key: "node.id",
        reason: "give every node of a cluster its own number, for example node.id=1".to_owned(),
    })?;
    let parsed = text.parse().ok().filter(|id: &i32| *id >= 0);
    parsed.ok_or_else(|| ConfigError::invalid(key, text, "must be a number, 0 or greater"))
}

/// Any text on one line, as long as all nodes have the same.
fn cluster_id(p: &Properties<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = p.text("cluster.id") else { return Ok(None) };
    if text.chars().any(char::is_control) {
        return Err(ConfigError::invalid(
            "cluster.id",
            text,
            "must be text without control characters, on one line",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// There are no ACLs in this version: an authoriser is accepted where it would let everybody in, and nowhere else.
fn check_authorizer(p: &Properties<'_>) -> Result<(), ConfigError> {
    let key = "authorizer.class.name";
    let Some(class) = p.text(key) else { return Ok(()) };
    let users = p.text("super.users").unwrap_or_default();
    if p.flag("allow.everyone.if.no.acl.found") || users.split(';').any(|u| u.trim() == "User:ANONYMOUS") {
        return Ok(());
    }
    Err(ConfigError::invalid(
        key,
        class,
        "this version has no ACLs and would let everybody in; leave it out, or say that this is meant by \
         allow.everyone.if.no.acl.found=true",
    ))
}

fn log_dir(p: &Properties<'_>) -> Result<PathBuf, ConfigError> {
    let (key, text) = match p.text("log.dirs") {
        Some(text) => ("log.dirs", text),
        // Kafka refuses it, too: nobody who names the property means the default under /tmp.
        None if p.0.contains_key("log.dirs") => ("log.dirs", ""),
        None => ("log.dir", p.text("log.dir").unwrap_or("/tmp/kafka-logs")),
    };
    let mut dirs = text.split(',').map(str::trim).filter(|d| !d.is_empty());
    let first = dirs.next().ok_or_else(|| ConfigError::invalid(key, text, "give one directory"))?;
    if dirs.next().is_some() {
        return Err(ConfigError::invalid(
            key,
            text,
            "one log directory is supported; put a volume manager or more brokers under it",
        ));
    }
    Ok(PathBuf::from(first))
}

/// `none` or an empty value turns the HTTP endpoint off.
fn http_listener(p: &Properties<'_>) -> Option<String> {
    let text = p.text("klamm.http.listener").unwrap_or("0.0.0.0:9404");
    (text != "none").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, ConfigError> {
        Config::from_properties(properties::parse(text))
    }

    const BASE: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n";

    #[test]
    fn a_combined_node_splits_its_listeners() {
        let c = config(BASE).unwrap();
        assert_eq!(c.broker_listeners.len(), 1);
        assert_eq!(c.controller_listener.unwrap().port, 9093);
        assert_eq!(c.inter_broker_listener, "PLAINTEXT");
    }

    #[test]
    fn mistakes_are_named_with_the_way_out() {
        let cases = [
            ("node.id=1\n", "process.roles"),
            ("process.roles=broker\n", "node.id"),
            ("process.roles=brokre\nnode.id=1\n", "brokre"),
            ("process.roles=broker\nnode.id=x\n", "node.id"),
            ("process.roles=broker\nnode.id=1\n", "controller.quorum.voters"),
        ];
        for (text, needle) in cases {
            let message = config(text).unwrap_err().to_string();
            assert!(message.contains(needle), "{text:?}: {message}");
        }
        for (extra, needle) in [
            ("advertised.listeners=PLAINTEXT://0.0.0.0:9092\n", "wildcard"),
            ("log.dirs=/a,/b\n", "log.dirs"),
            ("inter.broker.listener.name=NOPE\n", "NOPE"),
            ("listener.security.protocol.map=PLAINTEXT:SASL_SSL\n", "PLAINTEXT listeners only"),
        ] {
            let message = config(&format!("{BASE}{extra}")).unwrap_err().to_string();
            assert!(message.contains(needle), "{extra:?}: {message}");
        }
    }

    #[test]
    fn a_cluster_id_is_any_text_on_one_line() {
        for text in ["MkU3OEVBNTcwNTJENDM2Qk", "My test cluster: größer = besser #1", "~!@$%^&*()_+|{}<>?"]
        {
            let properties = [("cluster.id".to_owned(), text.to_owned())];
            let mut all = properties::parse(BASE);
            all.extend(properties);
            assert_eq!(Config::from_properties(all).unwrap().cluster_id.as_deref(), Some(text));
        }
        let message = config(&format!("{BASE}cluster.id=a\\nb\n")).unwrap_err().to_string();
        assert!(message.contains("one line"), "{message}");
    }

    #[test]
    fn the_old_name_of_the_node_id_counts_where_there_is_no_other() {
        let old = BASE.replace("node.id=1", "broker.id=1");
        assert_eq!(config(&old).unwrap().node_id, 1);
        assert_eq!(config(&format!("{BASE}broker.id=7\n")).unwrap().node_id, 1);
    }

    #[test]
    fn values_of_known_properties_are_checked_and_unknown_ones_are_not() {
        let message = config(&format!("{BASE}num.partitions=many\n")).unwrap_err().to_string();
        assert!(message.contains("num.partitions") && message.contains("many"), "{message}");
        assert!(config(&format!("{BASE}jmx.port=many\nnum.partitions=\n")).is_ok());
    }

    #[test]
    fn an_authorizer_is_taken_only_where_it_lets_everybody_in() {
        let class = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n";
        let message = config(&format!("{BASE}{class}super.users=User:admin\n")).unwrap_err().to_string();
        assert!(message.contains("no ACLs"), "{message}");
        assert!(config(&format!("{BASE}{class}allow.everyone.if.no.acl.found=true\n")).is_ok());
        assert!(config(&format!("{BASE}{class}super.users=User:admin;User:ANONYMOUS\n")).is_ok());
    }
}
