//! What is rendered, in full. `KLAMM_UPDATE_GOLDEN=1` writes the files anew; read the difference before it is committed.
#![allow(clippy::unwrap_used)] // In a test a panic is a failure.

mod support;

use std::fmt::Write;
use std::path::Path;

use k8s_openapi::{Metadata, Resource};
use klamm_operator_manifests::cluster::{Cluster, Storage};
use serde::Serialize;

use support::{everything, quickstart, rendered};

#[test]
fn the_quickstart_is_rendered_as_it_was() {
    compare("quickstart", &quickstart(), 3);
}

#[test]
fn everything_that_can_be_asked_for_is_rendered_as_it_was() {
    compare("everything", &everything(), 4);
}

#[test]
fn ephemeral_storage_is_rendered_as_it_was() {
    let storage = Storage::Ephemeral { size: Some("1Gi".into()) };
    compare("ephemeral", &Cluster { storage, operator: None, ..quickstart() }, 3);
}

fn compare(name: &str, cluster: &Cluster, nodes: i32) {
    let objects = rendered(cluster, nodes);
    let mut text = String::new();
    add(&mut text, &objects.service_account);
    add(&mut text, &objects.headless);
    add(&mut text, &objects.bootstrap);
    objects.external.iter().for_each(|service| add(&mut text, service));
    add(&mut text, &objects.config_map);
    objects.stateful_sets.iter().for_each(|set| add(&mut text, set));
    add(&mut text, &objects.budget);
    add(&mut text, &objects.network_policy);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.yaml"));
    if std::env::var_os("KLAMM_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = golden.lines().zip(text.lines()).enumerate().find(|(_, (was, is))| was != is);
    if let Some((line, (was, is))) = differs {
        panic!("{}:{}: was {was:?}, is {is:?}", file.display(), line + 1);
    }
    assert_eq!(golden.len(), text.len(), "{} has another length", file.display());
}

fn add<T: Serialize + Resource + Metadata>(text: &mut String, object: &T) {
    let yaml = serde_yaml::to_string(object).unwrap();
    writeln!(text, "---\n{}", yaml.trim_end()).unwrap();
}
