//! The log directory at the start of a process: whose it is, and where the process listens.

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use klamm_log::{Disk, LogDir, Owner};
use serde_json::json;
use uuid::Uuid;

use crate::config::Config;
use crate::config::listeners::Endpoint;
use crate::node::Node;

/// Opens or creates the log directory. A fresh one needs a cluster id: a single controller makes one up.
pub(super) fn open(config: &Config, disk: &Arc<dyn Disk>) -> Result<LogDir> {
    let fresh = !config.log_dir.join("meta.properties").exists();
    let made_up = || uuid_text(Uuid::new_v4());
    let cluster_id = match &config.cluster_id {
        Some(id) => Some(id.clone()),
        None if !fresh => None,
        None if config.voters.len() == 1 && config.is_controller => Some(made_up()),
        None => bail!(
            "missing configuration cluster.id: {} is a new disk; give every node of the cluster the same cluster.id \
             (CLUSTER_ID in the environment), for example {}",
            config.log_dir.display(),
            made_up()
        ),
    };
    let owner = Owner {
        cluster_id: cluster_id.as_deref(),
        node_id: config.node_id,
        new_directory_id: Uuid::new_v4(),
    };
    Ok(LogDir::open(Arc::clone(disk), &config.log_dir, owner)?)
}

/// Kafka's text form of an id.
fn uuid_text(id: Uuid) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// Says in `<log.dir>/klamm-broker.json` where this process listens.
pub(super) fn write_status(
    node: &Node,
    bound: &[(Endpoint, StdListener)],
    http: Option<String>,
) -> Result<()> {
    let kafka: serde_json::Map<_, _> = node
        .advertised
        .iter()
        .zip(bound)
        .map(|(advertised, _)| {
            (advertised.name.clone(), json!(format!("{}:{}", advertised.host, advertised.port)))
        })
        .collect();
    let status =
        json!({ "pid": std::process::id(), "node_id": node.config.node_id, "kafka": kafka, "http": http });
    replace_file(&node.config.log_dir, "klamm-broker.json", &format!("{status}\n"))
}

fn replace_file(dir: &Path, name: &str, text: &str) -> Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    std::fs::write(&temporary, text)?;
    Ok(std::fs::rename(temporary, dir.join(name))?)
}
