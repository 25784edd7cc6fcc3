//! The process's configuration: properties from file, environment and command line, checked once, typed once.

pub mod environment;
pub mod listeners;
pub mod properties;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::net::SocketBuffers;
use listeners::{Endpoint, Voter};

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
    /// `controller.quorum.voters`.
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
    /// `connections.max.idle.ms`.
    pub max_idle: Duration,
    /// `socket.send.buffer.bytes` and `socket.receive.buffer.bytes`.
    pub socket_buffers: SocketBuffers,
    /// Every property as given, known or not.
    pub properties: BTreeMap<String, String>,
}

impl Config {
    /// Builds the configuration from properties.
    ///
    /// # Errors
    /// The first property that is missing or unusable.
    pub fn from_properties(properties: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let p = Properties(&properties);
        let (is_broker, is_controller) = roles(&p)?;
        let node_id: i32 =
            p.required("node.id", "give every node of a cluster its own number, for example node.id=1")?;
        if node_id < 0 {
            return Err(ConfigError::invalid("node.id", &node_id.to_string(), "must be 0 or greater"));
        }
        let voters = listeners::parse_voters(p.text("controller.quorum.voters").unwrap_or_default())?;
        if voters.is_empty() {
            return Err(ConfigError::Missing {
                key: "controller.quorum.voters",
                reason: "list the controllers as id@host:port, for example 1@localhost:9093".to_owned(),
            });
        }
        if is_controller && !voters.iter().any(|v| v.id == node_id) {
            let value = p.text("controller.quorum.voters").unwrap_or_default();
            return Err(ConfigError::invalid(
                "controller.quorum.voters",
                value,
                format!("node {node_id} is a controller but is not listed"),
            ));
        }
        if !is_controller && voters.iter().any(|v| v.id == node_id) {
            let value = p.text("controller.quorum.voters").unwrap_or_default();
            return Err(ConfigError::invalid(
                "controller.quorum.voters",
                value,
                format!("node {node_id} is listed but process.roles has no controller"),
            ));
        }
        let names = listener_names(&p, is_controller)?;
        let (broker_listeners, controller_listener) = split_listeners(&p, is_broker, is_controller, &names)?;
        let advertised = advertised(&p, &broker_listeners)?;
        let inter_broker_listener = inter_broker(&p, &broker_listeners, is_broker)?;
        Ok(Self {
            node_id,
            is_broker,
            is_controller,
            cluster_id: p.text("cluster.id").map(str::to_owned),
            log_dir: log_dir(&p)?,
            broker_listeners,
            controller_listener,
            advertised,
            inter_broker_listener,
            voters,
            rack: p.text("broker.rack").map(str::to_owned),
            http: http_listener(&p),
            heartbeat_interval: p.millis("broker.heartbeat.interval.ms", 500)?,
            session_timeout: p.millis("broker.session.timeout.ms", 6_000)?,
            max_request_bytes: p.parsed("socket.request.max.bytes", 100 << 20)?,
            queued_max_request_bytes: p.parsed("klamm.queued.max.request.bytes", 64 << 20)?,
            max_connections: p.parsed("max.connections", 10_000)?,
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

/// Typed access to raw properties; an empty value counts as absent.
struct Properties<'a>(&'a BTreeMap<String, String>);

impl<'a> Properties<'a> {
    fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    fn parsed<T: FromStr>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        self.text(key).map_or(Ok(default), |v| {
            v.parse().map_err(|_| ConfigError::invalid(key, v, format!("not a valid {}", type_name::<T>())))
        })
    }

    fn required<T: FromStr>(&self, key: &'static str, reason: &str) -> Result<T, ConfigError> {
        let value = self.text(key).ok_or_else(|| ConfigError::Missing { key, reason: reason.to_owned() })?;
        value
            .parse()
            .map_err(|_| ConfigError::invalid(key, value, format!("not a valid {}", type_name::<T>())))
    }

    /// A size of a socket's buffer; -1 leaves it to the system, which is `None`.
    fn buffer(&self, key: &str, default: Option<usize>) -> Result<Option<usize>, ConfigError> {
        match self.text(key) {
            None => Ok(default),
            Some("-1") => Ok(None),
            Some(_) => self.parsed(key, 0).map(Some),
        }
    }

    fn millis(&self, key: &str, default: u64) -> Result<Duration, ConfigError> {
        self.parsed(key, default).map(Duration::from_millis)
    }
}

fn type_name<T>() -> &'static str {
    match std::any::type_name::<T>() {
        "bool" => "boolean (true or false)",
        _ => "number",
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

fn listener_names(p: &Properties<'_>, is_controller: bool) -> Result<Vec<String>, ConfigError> {
    let names: Vec<String> = p
        .text("controller.listener.names")
        .unwrap_or("CONTROLLER")
        .split(',')
        .map(|n| n.trim().to_ascii_uppercase())
        .filter(|n| !n.is_empty())
        .collect();
    if is_controller && names.is_empty() {
        return Err(ConfigError::Missing {
            key: "controller.listener.names",
            reason: "name the listener that serves the controller, for example CONTROLLER".to_owned(),
        });
    }
    let mut map = listeners::protocol_map(p.text("listener.security.protocol.map"))?;
    for name in &names {
        map.entry(name.clone()).or_insert_with(|| "PLAINTEXT".to_owned());
    }
    for endpoint in listeners::parse_list("listeners", p.text("listeners").unwrap_or_default())? {
        match map.get(&endpoint.name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(other) => {
                return Err(ConfigError::invalid(
                    "listener.security.protocol.map",
                    &format!("{}:{other}", endpoint.name),
                    "this version serves PLAINTEXT listeners only",
                ));
            }
            None => {
                return Err(ConfigError::invalid(
                    "listeners",
                    &endpoint.to_string(),
                    format!("no security protocol for {} in listener.security.protocol.map", endpoint.name),
                ));
            }
        }
    }
    Ok(names)
}

/// Separates the controller's listener from the broker's.
fn split_listeners(
    p: &Properties<'_>,
    is_broker: bool,
    is_controller: bool,
    controller_names: &[String],
) -> Result<(Vec<Endpoint>, Option<Endpoint>), ConfigError> {
    let all = match p.text("listeners") {
        Some(text) => listeners::parse_list("listeners", text)?,
        None => default_listeners(p, is_broker)?,
    };
    let (controller, broker): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|e| controller_names.contains(&e.name));
    let controller = controller.into_iter().next();
    if is_controller && controller.is_none() {
        return Err(ConfigError::Missing {
            key: "listeners",
            reason: format!("the controller role needs a listener named {}", controller_names.join(" or ")),
        });
    }
    if is_broker && broker.is_empty() {
        return Err(ConfigError::Missing {
            key: "listeners",
            reason: "the broker role needs a listener, for example PLAINTEXT://:9092".to_owned(),
        });
    }
    Ok((if is_broker { broker } else { Vec::new() }, controller.filter(|_| is_controller)))
}

/// Without `listeners` the images derive them from the advertised ones, on every interface.
fn default_listeners(p: &Properties<'_>, is_broker: bool) -> Result<Vec<Endpoint>, ConfigError> {
    match p.text("advertised.listeners").filter(|_| is_broker) {
        Some(text) => {
            let mut list = listeners::parse_list("advertised.listeners", text)?;
            list.iter_mut().for_each(|e| e.host = "0.0.0.0".to_owned());
            Ok(list)
        }
        None => Ok(vec![Endpoint { name: "PLAINTEXT".to_owned(), host: String::new(), port: 9092 }]),
    }
}

fn advertised(p: &Properties<'_>, bound: &[Endpoint]) -> Result<Vec<Endpoint>, ConfigError> {
    let given =
        listeners::parse_list("advertised.listeners", p.text("advertised.listeners").unwrap_or_default())?;
    for endpoint in &given {
        if matches!(endpoint.host.as_str(), "0.0.0.0" | "" | "::") {
            return Err(ConfigError::invalid(
                "advertised.listeners",
                &endpoint.to_string(),
                "clients cannot connect to a wildcard address; give a host name or address they can reach",
            ));
        }
        if !bound.is_empty() && !bound.iter().any(|b| b.name == endpoint.name) {
            return Err(ConfigError::invalid(
                "advertised.listeners",
                &endpoint.to_string(),
                "no listener of that name in listeners",
            ));
        }
    }
    Ok(given)
}

fn inter_broker(p: &Properties<'_>, bound: &[Endpoint], is_broker: bool) -> Result<String, ConfigError> {
    let key = "inter.broker.listener.name";
    let given = p.text(key).map(str::to_ascii_uppercase);
    if !is_broker {
        return Ok(given.unwrap_or_else(|| "PLAINTEXT".to_owned()));
    }
    match given {
        Some(name) if bound.iter().any(|e| e.name == name) => Ok(name),
        Some(name) => Err(ConfigError::invalid(key, &name, "no listener of that name in listeners")),
        None => {
            let preferred = bound.iter().find(|e| e.name == "PLAINTEXT").or_else(|| bound.first());
            preferred
                .map(|e| e.name.clone())
                .ok_or_else(|| ConfigError::Missing { key, reason: "no listener".to_owned() })
        }
    }
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
            ("controller.quorum.voters=2@h:1\n", "not listed"),
        ] {
            let message = config(&format!("{BASE}{extra}")).unwrap_err().to_string();
            assert!(message.contains(needle), "{extra:?}: {message}");
        }
    }

    #[test]
    fn listeners_follow_the_advertised_ones_when_absent() {
        let c = config(
            "process.roles=broker\nnode.id=2\ncontroller.quorum.voters=1@c:9093\nadvertised.listeners=PLAINTEXT://kafka:29092\n",
        )
        .unwrap();
        assert_eq!(c.broker_listeners[0].to_string(), "PLAINTEXT://0.0.0.0:29092");
        assert_eq!(c.advertised[0].host, "kafka");
    }
}
