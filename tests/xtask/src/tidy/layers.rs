//! Who may know whom: the crates in their order, and the crates of others that some must not name.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace;

/// A crate may use only crates before it.
const ORDER: &[&str] = &[
    "klamm-mutation",
    "klamm-records",
    "klamm-wire",
    "klamm-log",
    "klamm-replica",
    "klamm-metadata",
    "klamm-coordinator",
    "klamm-quorum",
    "klamm-broker",
    "klamm-tools",
    "klamm-operator-api",
    "klamm-operator-plan",
    "klamm-operator-manifests",
    "klamm-operator",
];

/// Crates without IO, clocks, randomness and async.
const PURE: &[&str] = &[
    "klamm-mutation",
    "klamm-records",
    "klamm-wire",
    "klamm-replica",
    "klamm-metadata",
    "klamm-coordinator",
    "klamm-operator-api",
    "klamm-operator-plan",
    "klamm-operator-manifests",
];

/// What pure crates must not depend on.
const IMPURE: &[&str] =
    &["axum", "futures", "openraft", "rand", "rustix", "socket2", "tempfile", "tokio", "tokio-util"];

/// Crates of others with a single user here.
const SINGLE_USER: &[(&str, &str)] = &[("openraft", "klamm-quorum")];

/// Every dependency that breaks a rule. Dev-dependencies are free.
///
/// # Errors
/// Cargo's metadata is not what it should be.
pub fn broken() -> Result<Vec<String>> {
    let metadata = workspace::metadata()?;
    let mut broken = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().context("a name")?;
        let Some(own) = position(name) else { continue };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            if dependency["kind"] != Value::Null {
                continue;
            }
            let used = dependency["name"].as_str().context("a name")?;
            if position(used).is_some_and(|other| other >= own) {
                broken.push(format!("{name} uses {used}, which is not above it"));
            }
            if PURE.contains(&name) && IMPURE.contains(&used) {
                broken.push(format!("{name} is pure and must not use {used}"));
            }
            if SINGLE_USER.iter().any(|(other, user)| *other == used && *user != name) {
                broken.push(format!("{name} must not name {used}"));
            }
        }
    }
    Ok(broken)
}

fn position(name: &str) -> Option<usize> {
    ORDER.iter().position(|other| *other == name)
}
