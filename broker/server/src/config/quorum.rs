//! The controllers of the cluster, from either of Kafka's two properties.

use super::ConfigError;
use super::listeners::{Voter, parse_voters};
use super::raw::Properties;

const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";

/// The voters; this node is one of them exactly if it is a controller.
pub(super) fn voters(
    p: &Properties<'_>,
    node_id: i32,
    is_controller: bool,
) -> Result<Vec<Voter>, ConfigError> {
    let Some(text) = p.text(VOTERS) else { return only_voter(p, node_id, is_controller) };
    let voters = parse_voters(text)?;
    let listed = voters.iter().any(|v| v.id == node_id);
    if is_controller && !listed {
        return Err(ConfigError::invalid(
            VOTERS,
            text,
            format!("node {node_id} is a controller but is not listed"),
        ));
    }
    if !is_controller && listed {
        return Err(ConfigError::invalid(
            VOTERS,
            text,
            format!("node {node_id} is listed but process.roles has no controller"),
        ));
    }
    Ok(voters)
}

/// Bootstrap servers have no ids: they are enough for a node that is the one controller itself (KIP-853).
fn only_voter(p: &Properties<'_>, node_id: i32, is_controller: bool) -> Result<Vec<Voter>, ConfigError> {
    let Some(text) = p.text(BOOTSTRAP) else {
        return Err(ConfigError::Missing {
            key: VOTERS,
            reason: "list the controllers as id@host:port, for example 1@localhost:9093".to_owned(),
        });
    };
    let way_out = format!(
        "addresses without ids are enough for a single controller only; list all controllers in {VOTERS} as \
         id@host:port, for example 1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093"
    );
    if !is_controller || text.contains(',') {
        return Err(ConfigError::invalid(BOOTSTRAP, text, way_out));
    }
    parse_voters(&format!("{node_id}@{text}"))
        .map_err(|_| ConfigError::invalid(BOOTSTRAP, text, "expected host:port, for example localhost:9093"))
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
        assert!(read(text, 4, true).unwrap_err().contains("not listed"));
        assert!(read(text, 2, false).unwrap_err().contains("no controller"));
    }

    #[test]
    fn one_bootstrap_server_makes_a_controller_the_only_voter() {
        let text = "controller.quorum.bootstrap.servers=localhost:9093\n";
        let found = read(text, 5, true).unwrap();
        assert_eq!((found.len(), found[0].id, found[0].port), (1, 5, 9093));
        assert!(read(text, 5, false).unwrap_err().contains("controller.quorum.voters"));
        let several = "controller.quorum.bootstrap.servers=a:1,b:1\n";
        assert!(read(several, 1, true).unwrap_err().contains("id@host:port"));
        assert!(read("controller.quorum.bootstrap.servers=a\n", 1, true).unwrap_err().contains("host:port"));
    }
}
