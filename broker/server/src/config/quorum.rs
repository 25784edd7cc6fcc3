//! The controllers of the cluster, from either of Kafka's two properties.

use super::ConfigError;
use super::listeners::{Voter, parse_voters};
use super::raw::Properties;

const VOTERS: &str = "controller.quorum.voters";
/// The id of a controller of which only the address is known.
const UNKNOWN: i32 = -1;
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";

/// The controllers to start with: the founding voters by id, or addresses without ids (-1) to find the quorum at.
pub(super) fn voters(
    p: &Properties<'_>,
    node_id: i32,
    is_controller: bool,
) -> Result<Vec<Voter>, ConfigError> {
    let Some(text) = p.text(VOTERS) else { return contacts(p) };
    let voters = parse_voters(text)?;
    if !is_controller && voters.iter().any(|v| v.id == node_id) {
        return Err(ConfigError::invalid(
            VOTERS,
            text,
            format!("node {node_id} is listed but process.roles has no controller"),
        ));
    }
    Ok(voters)
}

/// Bootstrap servers have no ids (KIP-853).
fn contacts(p: &Properties<'_>) -> Result<Vec<Voter>, ConfigError> {
    let Some(text) = p.text(BOOTSTRAP) else {
        return Err(ConfigError::Missing {
            key: VOTERS,
            reason: "list the controllers as id@host:port, for example 1@localhost:9093".to_owned(),
        });
    };
    let wrong = |entry: &str| {
        ConfigError::invalid(BOOTSTRAP, entry, "expected host:port, for example localhost:9093")
    };
    let address = |entry: &str| {
        let (host, port) = entry.rsplit_once(':').ok_or_else(|| wrong(entry))?;
        let port = port.parse().map_err(|_| wrong(entry))?;
        Ok(Voter { id: UNKNOWN, host: host.to_owned(), port })
    };
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let found: Vec<Voter> = entries.map(address).collect::<Result<_, _>>()?;
    if found.is_empty() { Err(wrong(text)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::super::properties;
    use super::*;

    fn read(text: &str, node_id: i32, is_controller: bool) -> Result<Vec<Voter>, String> {
        voters(&Properties(&properties::parse(text)), node_id, is_controller).map_err(|e| e.to_string())
    }

    #[test]
    fn three_combined_nodes_list_each_other_by_names_that_need_not_resolve_yet() {
        let text = "controller.quorum.voters=1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093\n";
        let found = read(text, 3, true).unwrap();
        assert_eq!(found.iter().map(|v| v.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((found[2].host.as_str(), found[2].port), ("kafka-3", 9093));
        assert_eq!(
            read(text, 4, true).unwrap().len(),
            3,
            "a controller that is not listed observes the quorum"
        );
        assert!(read(text, 2, false).unwrap_err().contains("no controller"));
    }

    #[test]
    fn bootstrap_servers_are_addresses_without_ids() {
        let text = "controller.quorum.bootstrap.servers=localhost:9093, kafka-2:9094\n";
        let found = read(text, 5, true).unwrap();
        let found: Vec<_> = found.iter().map(|v| (v.id, v.host.as_str(), v.port)).collect();
        assert_eq!(found, [(-1, "localhost", 9093), (-1, "kafka-2", 9094)]);
        assert_eq!(read(text, 5, false).unwrap().len(), 2);
        assert!(read("controller.quorum.bootstrap.servers=a\n", 1, true).unwrap_err().contains("host:port"));
    }
}
