//! Where things are, and what cargo knows of the crates.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// The root of the repository that cargo runs this in: a target directory may be shared by several checkouts.
pub fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).ancestors().nth(2).unwrap_or_else(|| Path::new(".")).to_owned()
}

/// `cargo metadata` of the workspace's own crates.
///
/// # Errors
/// A manifest cannot be read.
pub fn metadata() -> Result<Value> {
    let mut command = shell::cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root());
    Ok(serde_json::from_str(&shell::output(&mut command)?)?)
}

/// Cargo's target directory.
///
/// # Errors
/// A manifest cannot be read.
pub fn target() -> Result<PathBuf> {
    Ok(metadata()?["target_directory"].as_str().context("a target directory")?.into())
}
