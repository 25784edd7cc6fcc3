//! Listeners: what the process binds, and what it tells clients.

use std::collections::BTreeMap;
use std::fmt;

use super::ConfigError;

/// One `NAME://host:port` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name, upper case, e.g. `PLAINTEXT` or `INTERNAL`.
    pub name: String,
    /// Host; empty means every interface.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

/// Parses a comma-separated listener list of property `key`.
pub fn parse_list(key: &str, value: &str) -> Result<Vec<Endpoint>, ConfigError> {
    let mut out: Vec<Endpoint> = Vec::new();
    for item in value.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        let endpoint = parse_one(item).ok_or_else(|| {
            ConfigError::invalid(key, item, "expected NAME://host:port, for example PLAINTEXT://0.0.0.0:9092")
        })?;
        if out.iter().any(|e| e.name == endpoint.name) {
            return Err(ConfigError::invalid(
                key,
                value,
                format!("listener {} is given twice", endpoint.name),
            ));
        }
        out.push(endpoint);
    }
    Ok(out)
}

fn parse_one(item: &str) -> Option<Endpoint> {
    let (name, address) = item.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if name.is_empty() {
        return None;
    }
    Some(Endpoint { name: name.to_ascii_uppercase(), host: host.to_owned(), port: port.parse().ok()? })
}

/// Security protocol of every listener, from `listener.security.protocol.map` with Kafka's defaults.
pub fn protocol_map(value: Option<&str>) -> Result<BTreeMap<String, String>, ConfigError> {
    let key = "listener.security.protocol.map";
    let mut map: BTreeMap<String, String> = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
        .iter()
        .map(|p| ((*p).to_owned(), (*p).to_owned()))
        .collect();
    for item in value.unwrap_or_default().split(',').map(str::trim).filter(|s| !s.is_empty()) {
        let (name, protocol) = item.split_once(':').ok_or_else(|| {
            ConfigError::invalid(key, item, "expected LISTENER:PROTOCOL, for example INTERNAL:PLAINTEXT")
        })?;
        map.insert(name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase());
    }
    Ok(map)
}

/// A quorum voter of `controller.quorum.voters`, `id@host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Node id.
    pub id: i32,
    /// Host name, resolved at every dial.
    pub host: String,
    /// Port of the voter's controller listener.
    pub port: u16,
}

/// Parses `controller.quorum.voters`.
pub fn parse_voters(value: &str) -> Result<Vec<Voter>, ConfigError> {
    let key = "controller.quorum.voters";
    let mut out: Vec<Voter> = Vec::new();
    for item in value.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        let voter = item.split_once('@').and_then(|(id, address)| {
            let (host, port) = address.rsplit_once(':')?;
            Some(Voter {
                id: id.parse().ok().filter(|id| *id >= 0)?,
                host: host.to_owned(),
                port: port.parse().ok()?,
            })
        });
        let voter = voter.ok_or_else(|| {
            ConfigError::invalid(key, item, "expected id@host:port, for example 1@localhost:9093")
        })?;
        if out.iter().any(|v| v.id == voter.id) {
            return Err(ConfigError::invalid(key, value, format!("node id {} is given twice", voter.id)));
        }
        out.push(voter);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_accept_empty_and_wildcard_hosts() {
        let l = parse_list("listeners", "INTERNAL://:29092, external://0.0.0.0:9092,V6://[::1]:1").unwrap();
        assert_eq!(l[0], Endpoint { name: "INTERNAL".into(), host: String::new(), port: 29092 });
        assert_eq!(l[1].name, "EXTERNAL");
        assert_eq!(l[2].host, "::1");
    }

    #[test]
    fn malformed_listeners_name_the_entry() {
        let e = parse_list("listeners", "localhost:9092").unwrap_err().to_string();
        assert!(e.contains("localhost:9092") && e.contains("listeners"), "{e}");
        assert!(parse_list("listeners", "A://:1,A://:2").is_err());
        assert!(parse_voters("1@a:1,1@b:2").is_err());
        assert!(parse_voters("a:1").is_err());
    }
}
