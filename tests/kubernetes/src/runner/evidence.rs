//! What a failure left: logs, events and resources, as files.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::command::kubectl;
use crate::operator::NAMESPACE;

const BROKERS: &str = "app.kubernetes.io/component=kafka";

/// Writes what can be had below a folder; nothing here may hide the failure itself.
pub fn collect(folder: &Path) {
    if let Err(error) = write(folder) {
        println!("      collecting evidence: {error:#}");
    }
    println!("      logs, events and resources: {}", folder.display());
}

fn write(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let kinds = "kafkaclusters,kafkatopics,statefulsets,services,configmaps,persistentvolumeclaims,poddisruptionbudgets";
    let labelled = ["get", kinds, "-A", "-o", "yaml", "-l", "app.kubernetes.io/managed-by=klamm-operator"];
    let queries: &[(&str, &[&str])] = &[
        ("pods.txt", &["get", "pods", "-A", "-o", "wide"]),
        ("nodes.txt", &["get", "nodes", "-o", "wide"]),
        ("events.txt", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
        ("clusters.yaml", &["get", "kafkaclusters", "-A", "-o", "yaml"]),
        ("topics.yaml", &["get", "kafkatopics", "-A", "-o", "yaml"]),
        ("objects.yaml", &labelled),
        ("broker-pods.txt", &["describe", "pods", "-A", "-l", BROKERS]),
    ];
    for (file, query) in queries {
        save(folder, file, query)?;
    }
    let everything =
        ["get", "pods", "-A", "-o", "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}"];
    for pod in kubectl(&everything).unwrap_or_default().split_whitespace() {
        let Some((namespace, name)) = pod.split_once('/') else { continue };
        if namespace == NAMESPACE || namespace.starts_with("e2e-") {
            let logs = ["logs", "-n", namespace, name, "--timestamps"];
            save(folder, &format!("{namespace}.{name}.log"), &logs)?;
            save(
                folder,
                &format!("{namespace}.{name}.previous.log"),
                &[&logs[..], &["--previous"]].concat(),
            )?;
        }
    }
    Ok(())
}

fn save(folder: &Path, file: &str, query: &[&str]) -> Result<()> {
    // A pod that never restarted has no previous log, and a cut off node answers nothing.
    if let Ok(said) = kubectl(query) {
        fs::write(folder.join(file), said)?;
    }
    Ok(())
}
