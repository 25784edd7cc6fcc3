//! `cargo xtask chart`: the Helm chart holds the definitions of `crds/`, passes Helm's lint, and renders the same with
//! Helm 4 and Helm 3, by itself and as a part of an umbrella chart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{cluster, packages, shell, workspace};

/// What charts are rendered for: Helm built without Kubernetes' version takes itself for an ancient one.
const KUBERNETES: &str = "1.35.0";
/// Where Helm 3 is built.
const HELM_3: &str = "tests/kubernetes/helm3";

#[derive(clap::Args)]
pub struct Args {
    /// Only copy the definitions, which `cargo xtask crds` does as well
    #[arg(long)]
    copy: bool,
}

/// Copies the definitions, then lints, renders and compares.
///
/// # Errors
/// Helm cannot be had, refuses the chart, or differs from its other version.
pub fn run(args: &Args) -> Result<()> {
    copy_definitions()?;
    if args.copy {
        return Ok(());
    }
    let helms = [helm_4()?, helm_3()?];
    for helm in &helms {
        shell::run(Command::new(helm).arg("version").arg("--short"))?;
    }
    let chart = chart();
    for values in values()? {
        for helm in &helms {
            let mut lint = Command::new(helm);
            lint.args(["lint", "--strict", "--quiet"]).arg(&chart).arg("--values").arg(&values);
            shell::run(lint.args(["--kube-version", KUBERNETES]))?;
        }
        let text =
            same(&helms, |helm| render(helm, "klamm", &chart, &["--values".as_ref(), values.as_ref()]))?;
        let with_definitions = !fs::read_to_string(&values)?.contains("install: false");
        ensure!(has_definitions(&text)? == with_definitions, "{}: definitions", values.display());
        println!("{}: {} lines, the same with both", values.display(), text.lines().count());
    }
    let umbrella = umbrella()?;
    let text = same(&helms, |helm| render(helm, "shop", &umbrella, &[]))?;
    ensure!(text.contains("name: shop-klamm-operator"), "a part of another chart is named after the release");
    ensure!(text.contains("value: \"elsewhere\""), "values of a part do not reach it");
    println!("as a part of another chart: {} lines, the same with both", text.lines().count());
    refuses_misspelt_values(&helms, &chart)
}

/// Copies `crds/` into the chart.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy_definitions() -> Result<()> {
    let into = chart().join("files/crds");
    fs::create_dir_all(&into)?;
    for old in files(&into)? {
        fs::remove_file(old)?;
    }
    for definition in files(&workspace::root().join("crds"))? {
        fs::copy(&definition, into.join(definition.file_name().context("a name")?))?;
    }
    println!("copied crds/ to {}", into.display());
    Ok(())
}

fn chart() -> PathBuf {
    workspace::root().join("charts/klamm-operator")
}

/// The values that the chart is rendered with.
fn values() -> Result<Vec<PathBuf>> {
    files(&chart().join("ci"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// The Helm of the testbed, or else one that is installed.
fn helm_4() -> Result<PathBuf> {
    let own = cluster::state()?.join("bin/helm");
    if own.exists() {
        return Ok(own);
    }
    if shell::has("helm")
        && shell::output(Command::new("helm").args(["version", "--short"]))?.starts_with("v4")
    {
        return Ok("helm".into());
    }
    shell::run(&mut cluster::testbed(["build"])?)?;
    Ok(own)
}

/// Helm 3, with the very modules that the testbed is built from, so that Go has compiled most of it already.
fn helm_3() -> Result<PathBuf> {
    packages::ensure(&[packages::GO])?;
    let program = workspace::target()?.join("helm3/helm");
    let mut build = Command::new("go");
    build.args(["build", "-trimpath", "-tags", "providerless", "-ldflags", "-s -w", "-o"]).arg(&program);
    build.arg("helm.sh/helm/v3/cmd/helm").env("CGO_ENABLED", "0");
    shell::run(build.current_dir(workspace::root().join(HELM_3)))?;
    Ok(program)
}

fn render(helm: &Path, release: &str, chart: &Path, more: &[&std::ffi::OsStr]) -> Result<String> {
    let mut template = Command::new(helm);
    template.args(["template", release]).arg(chart).args(["--namespace", "klamm"]);
    template.args(["--kube-version", KUBERNETES]).args(more);
    shell::output(&mut template)
}

/// What all of them render.
fn same(helms: &[PathBuf], render: impl Fn(&Path) -> Result<String>) -> Result<String> {
    let texts = helms.iter().map(|helm| render(helm)).collect::<Result<Vec<_>>>()?;
    let first = texts.first().context("a Helm")?;
    for (other, helm) in texts.iter().zip(helms) {
        let differs = first.lines().zip(other.lines()).find(|(a, b)| a != b);
        if let Some((a, b)) = differs {
            bail!("{} renders {b:?} where {} renders {a:?}", helm.display(), helms[0].display());
        }
        ensure!(first.lines().count() == other.lines().count(), "{} renders more or less", helm.display());
    }
    Ok(first.clone())
}

/// Whether every definition of `crds/` is in a rendered chart, to the letter.
fn has_definitions(text: &str) -> Result<bool> {
    for definition in files(&workspace::root().join("crds"))? {
        let written = fs::read_to_string(&definition)?;
        let (_, specification) = written.split_once("\nspec:\n").context("a definition has a spec")?;
        if !text.contains(specification.trim_end()) {
            return Ok(false);
        }
    }
    ensure!(text.contains("helm.sh/resource-policy: keep"), "definitions would be deleted with the release");
    Ok(true)
}

/// A chart that contains ours.
fn umbrella() -> Result<PathBuf> {
    let folder = workspace::target()?.join("helm3/umbrella");
    let part = folder.join("charts/klamm-operator");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    copy(&chart(), &part)?;
    fs::write(
        folder.join("Chart.yaml"),
        "apiVersion: v2\nname: shop\nversion: 0.0.1\ndependencies:\n  - name: klamm-operator\n    version: \">=0\"\n",
    )?;
    fs::write(
        folder.join("values.yaml"),
        "global:\n  team: shop\nklamm-operator:\n  watchNamespaces: [elsewhere]\n",
    )?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for path in files(from)? {
        let target = to.join(path.file_name().context("a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

fn refuses_misspelt_values(helms: &[PathBuf], chart: &Path) -> Result<()> {
    for helm in helms {
        let mut template = Command::new(helm);
        template.args(["template", "klamm"]).arg(chart).args(["--kube-version", KUBERNETES]);
        let output = template.args(["--set", "watchNamespace={shop}"]).output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && message.contains("watchNamespace"),
            "{} takes a misspelt value: {message}",
            helm.display()
        );
    }
    println!("a misspelt value is refused by both");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_has_the_definitions_of_crds() {
        let read = |folder: PathBuf| -> Vec<(String, String)> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            files(&folder).unwrap().iter().map(|f| (name(f), fs::read_to_string(f).unwrap())).collect()
        };
        let (own, copied) = (read(workspace::root().join("crds")), read(chart().join("files/crds")));
        assert!(!own.is_empty());
        assert!(own == copied, "run `cargo xtask chart --copy`");
    }
}
