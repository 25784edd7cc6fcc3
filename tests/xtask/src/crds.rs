//! `cargo xtask crds`: one file a kind, as `klamm-operator crd` prints it.

use std::fs;

use anyhow::{Context, Result};

use crate::{chart, shell, workspace};

/// Regenerates `crds/` and the copy in the Helm chart.
///
/// # Errors
/// The operator cannot be built, or prints something else than custom resource definitions.
pub fn run() -> Result<()> {
    let mut operator = shell::cargo();
    operator
        .args(["run", "--quiet", "--package", "klamm-operator", "--", "crd"])
        .current_dir(workspace::root());
    let text = shell::output(&mut operator)?;
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let name =
            document.lines().find_map(|line| line.strip_prefix("  name: ")).context("metadata.name")?;
        let (plural, group) = name.split_once('.').context("a name is plural.group")?;
        let path = workspace::root().join(format!("crds/{group}_{plural}.yaml"));
        fs::write(&path, format!("---\n{document}"))?;
        println!("wrote {}", path.display());
    }
    chart::copy_definitions()
}
