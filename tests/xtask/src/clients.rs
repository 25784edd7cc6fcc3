//! Installs the foreign clients of `tests/clients` into `target/clients`, once for each state of their sources.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{self, Program};
use crate::{shell, workspace};

/// A suite: its folder, the programs it needs, and the tests that need it, by parts of their names.
struct Suite {
    folder: &'static str,
    programs: &'static [Program],
    tests: &'static [&'static str],
}

const SUITES: &[Suite] = &[
    Suite { folder: "kcat", programs: &[packages::KCAT, packages::PYTHON], tests: &["kcat", "exchange"] },
    Suite {
        folder: "confluent-kafka",
        programs: &[packages::PYTHON],
        tests: &["confluent_kafka", "kcat", "exchange"],
    },
    Suite { folder: "kafka-python", programs: &[packages::PYTHON], tests: &["kafka_python", "exchange"] },
    Suite { folder: "kafkajs", programs: &[packages::NODE, packages::NPM], tests: &["kafkajs", "exchange"] },
    Suite {
        folder: "franz-go",
        programs: &[packages::GO],
        tests: &["franz_go", "exchange", "kafka_dump_log_decodes_committed_offsets"],
    },
    Suite {
        folder: "java",
        programs: &[packages::JAVAC, packages::MAVEN],
        tests: &["java_clients", "java_tools", "java_moves", "exchange", "kafka_dump_log"],
    },
    Suite { folder: "spring", programs: &[packages::JAVAC, packages::MAVEN], tests: &["spring"] },
    Suite { folder: "exchange", programs: &[], tests: &["exchange"] },
];

/// Where the clients are installed.
///
/// # Errors
/// Cargo cannot say where its target directory is.
pub fn installed() -> Result<PathBuf> {
    Ok(workspace::target()?.join("clients"))
}

/// Installs what the tests whose names match the filter need, all without a filter.
///
/// # Errors
/// An installation fails.
pub fn install(filter: Option<&str>) -> Result<()> {
    for suite in SUITES {
        let wanted = |test: &&str| filter.is_none_or(|f| test.contains(f) || f.contains(*test));
        if suite.tests.iter().any(wanted) {
            install_suite(suite)?;
        }
    }
    Ok(())
}

/// Installs one suite by the name of its folder, whatever its tests.
///
/// # Errors
/// The installation fails.
pub fn install_one(folder: &str) -> Result<()> {
    let suite = SUITES.iter().find(|s| s.folder == folder).with_context(|| format!("no suite {folder}"))?;
    install_suite(suite)
}

fn install_suite(suite: &Suite) -> Result<()> {
    packages::ensure(suite.programs)?;
    let sources = workspace::root().join("tests/clients").join(suite.folder);
    let installed = installed()?;
    let into = installed.join(suite.folder);
    let stamp = installed.join(format!("{}.stamp", suite.folder));
    let state = format!("{:x}", state_of(&sources)?);
    if into.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == state) {
        println!("{} is installed", suite.folder);
        return Ok(());
    }
    fs::create_dir_all(&into)?;
    shell::run(Command::new(sources.join("install")).env("KLAMM_CLIENTS", &installed))
        .with_context(|| format!("installing the client suite {}", suite.folder))?;
    Ok(fs::write(stamp, state)?)
}

/// A hash of the names and contents of all files below a folder.
fn state_of(folder: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    for file in files {
        file.strip_prefix(folder)?.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}
