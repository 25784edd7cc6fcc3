//! Which listeners a process has, which of them is the controller's, and which one brokers use among themselves.

use super::ConfigError;
use super::listeners::{self, Endpoint};
use super::raw::Properties;

/// The listeners of one process.
pub(super) struct Network {
    /// Those of the broker role.
    pub(super) brokers: Vec<Endpoint>,
    /// That of the controller role.
    pub(super) controller: Option<Endpoint>,
    /// What clients are told.
    pub(super) advertised: Vec<Endpoint>,
    /// The name of the listener among brokers.
    pub(super) inter_broker: String,
}

impl Network {
    pub(super) fn read(
        p: &Properties<'_>,
        is_broker: bool,
        is_controller: bool,
    ) -> Result<Self, ConfigError> {
        let names = controller_names(p, is_controller)?;
        let all = match p.text("listeners") {
            Some(text) => listeners::parse_list("listeners", text)?,
            None => default_listeners(p, is_broker)?,
        };
        check_protocols(p, &all, &names)?;
        check_ports(&all)?;
        let (controller, brokers): (Vec<_>, Vec<_>) = all.into_iter().partition(|e| names.contains(&e.name));
        let controller = controller.into_iter().next().filter(|_| is_controller);
        let brokers = if is_broker { brokers } else { Vec::new() };
        check_roles(is_broker, is_controller, &brokers, controller.as_ref(), &names)?;
        let advertised = advertised(p, &brokers, &names)?;
        let inter_broker = inter_broker(p, &brokers, is_broker)?;
        Ok(Self { brokers, controller, advertised, inter_broker })
    }
}

fn controller_names(p: &Properties<'_>, is_controller: bool) -> Result<Vec<String>, ConfigError> {
    let text = p.text("controller.listener.names").unwrap_or("CONTROLLER");
    let names: Vec<String> =
        text.split(',').map(|n| n.trim().to_ascii_uppercase()).filter(|n| !n.is_empty()).collect();
    if is_controller && names.is_empty() {
        return Err(ConfigError::Missing {
            key: "controller.listener.names",
            reason: "name the listener that serves the controller, for example CONTROLLER".to_owned(),
        });
    }
    Ok(names)
}

/// Every listener has a security protocol, and one that is served.
fn check_protocols(p: &Properties<'_>, all: &[Endpoint], controllers: &[String]) -> Result<(), ConfigError> {
    let key = "listener.security.protocol.map";
    let mut map = listeners::protocol_map(p.text(key))?;
    for name in controllers {
        map.entry(name.clone()).or_insert_with(|| "PLAINTEXT".to_owned());
    }
    for endpoint in all {
        match map.get(&endpoint.name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(other) => {
                return Err(ConfigError::invalid(
                    key,
                    &format!("{}:{other}", endpoint.name),
                    "this version serves PLAINTEXT listeners only",
                ));
            }
            None => {
                let reason = format!("no security protocol for {} in {key}", endpoint.name);
                return Err(ConfigError::invalid("listeners", &endpoint.to_string(), reason));
            }
        }
    }
    Ok(())
}

/// Two listeners of one process cannot share an address; a host that is given both as a name and as nothing is found
/// out when it is bound.
fn check_ports(all: &[Endpoint]) -> Result<(), ConfigError> {
    for (index, one) in all.iter().enumerate() {
        let same = |other: &&Endpoint| other.port == one.port && other.port != 0 && other.host == one.host;
        if let Some(other) = all.iter().take(index).find(same) {
            let reason = format!("{} listens there already; give each listener its own port", other.name);
            return Err(ConfigError::invalid("listeners", &one.to_string(), reason));
        }
    }
    Ok(())
}

fn check_roles(
    is_broker: bool,
    is_controller: bool,
    brokers: &[Endpoint],
    controller: Option<&Endpoint>,
    names: &[String],
) -> Result<(), ConfigError> {
    let reason = if is_controller && controller.is_none() {
        format!("the controller role needs a listener named {}", names.join(" or "))
    } else if is_broker && brokers.is_empty() {
        "the broker role needs a listener, for example PLAINTEXT://:9092".to_owned()
    } else {
        return Ok(());
    };
    Err(ConfigError::Missing { key: "listeners", reason })
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

/// What is advertised of a controller's listener is none of a client's business and left out.
fn advertised(
    p: &Properties<'_>,
    bound: &[Endpoint],
    controllers: &[String],
) -> Result<Vec<Endpoint>, ConfigError> {
    let key = "advertised.listeners";
    let mut given = listeners::parse_list(key, p.text(key).unwrap_or_default())?;
    given.retain(|endpoint| !controllers.contains(&endpoint.name));
    for endpoint in &given {
        if matches!(endpoint.host.as_str(), "0.0.0.0" | "" | "::") {
            return Err(ConfigError::invalid(
                key,
                &endpoint.to_string(),
                "clients cannot connect to a wildcard address; give a host name or address they can reach",
            ));
        }
        if !bound.is_empty() && !bound.iter().any(|b| b.name == endpoint.name) {
            let reason = "no listener of that name in listeners";
            return Err(ConfigError::invalid(key, &endpoint.to_string(), reason));
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

#[cfg(test)]
mod tests {
    use super::super::properties;
    use super::*;

    fn combined(text: &str) -> Result<Network, String> {
        Network::read(&Properties(&properties::parse(text)), true, true).map_err(|e| e.to_string())
    }

    fn names(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_of_a_compose_file_has_inner_outer_and_controller_listeners() {
        let node = combined(
            "listeners=INTERNAL://:29092,EXTERNAL://0.0.0.0:9092,CONTROLLER://kafka-1:9093\n\
             advertised.listeners=INTERNAL://kafka-1:29092,EXTERNAL://localhost:9092\n\
             listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=INTERNAL\ncontroller.listener.names=CONTROLLER\n",
        )
        .unwrap();
        assert_eq!(names(&node.brokers), ["INTERNAL://:29092", "EXTERNAL://0.0.0.0:9092"]);
        assert_eq!(node.controller.unwrap().to_string(), "CONTROLLER://kafka-1:9093");
        assert_eq!(names(&node.advertised), ["INTERNAL://kafka-1:29092", "EXTERNAL://localhost:9092"]);
        assert_eq!(node.inter_broker, "INTERNAL");
    }

    #[test]
    fn advertising_the_controllers_listener_harms_nobody() {
        let node = combined(
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
             advertised.listeners=PLAINTEXT://kafka:9092,CONTROLLER://kafka:9093\n",
        )
        .unwrap();
        assert_eq!(names(&node.advertised), ["PLAINTEXT://kafka:9092"]);
    }

    #[test]
    fn listeners_follow_the_advertised_ones_when_absent() {
        let given = "advertised.listeners=PLAINTEXT://kafka:29092,OUTER://localhost:9092\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OUTER:PLAINTEXT\n";
        let node =
            Network::read(&Properties(&properties::parse(given)), true, false).map_err(|e| e.to_string());
        let node = node.unwrap();
        assert_eq!(names(&node.brokers), ["PLAINTEXT://0.0.0.0:29092", "OUTER://0.0.0.0:9092"]);
        assert_eq!(names(&node.advertised), ["PLAINTEXT://kafka:29092", "OUTER://localhost:9092"]);
    }

    #[test]
    fn one_port_for_two_listeners_of_a_node_is_refused() {
        let error = combined("listeners=PLAINTEXT://:9092,CONTROLLER://:9092\n").err().unwrap();
        assert!(error.contains("CONTROLLER://:9092") && error.contains("own port"), "{error}");
    }

    #[test]
    fn a_derived_listener_needs_a_protocol_too() {
        let p = properties::parse("advertised.listeners=OUTER://localhost:9092\n");
        let error = Network::read(&Properties(&p), true, false).err().unwrap().to_string();
        assert!(error.contains("OUTER"), "{error}");
    }
}
