//! `cargo xtask images`: the container images of the broker and the operator, as archives that any runtime loads.

mod builder;
mod layout;
mod libraries;
mod stage;

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell::{self, cargo, step};
use crate::{packages, workspace};

#[derive(clap::Args)]
pub struct Args {
    /// Take the binaries of the debug build, which the tests have built anyway
    #[arg(long)]
    debug_build: bool,
    /// Only this one: broker or operator
    only: Option<String>,
}

impl Args {
    /// All images.
    pub fn all(debug_build: bool) -> Self {
        Self { debug_build, only: None }
    }

    /// One image.
    pub fn of(name: &str, debug_build: bool) -> Self {
        Self { debug_build, only: Some(name.to_owned()) }
    }
}

/// One image: its name, where its Dockerfile is, and what is in it.
struct Image {
    name: &'static str,
    /// Crates whose binaries are in it.
    crates: &'static [&'static str],
    lay_out: fn(&Path, &Path) -> Result<stage::Root>,
}

const IMAGES: &[Image] = &[
    Image { name: "broker", crates: &["klamm-broker", "klamm-tools"], lay_out: layout::broker },
    Image { name: "operator", crates: &["klamm-operator"], lay_out: layout::operator },
];

/// Where the archives are.
///
/// # Errors
/// Cargo cannot say where its target directory is.
pub fn folder() -> Result<PathBuf> {
    Ok(workspace::target()?.join("images"))
}

/// Builds `target/images/{broker,operator}.tar`, tagged `klamm/broker:dev` and `klamm/operator:dev`.
///
/// # Errors
/// The first step that fails.
pub fn run(args: &Args) -> Result<()> {
    packages::ensure(&[packages::BUSYBOX, packages::BASH])?;
    let wanted = |image: &&Image| args.only.as_ref().is_none_or(|only| only == image.name);
    let images: Vec<&Image> = IMAGES.iter().filter(wanted).collect();
    ensure!(!images.is_empty(), "there is no such image: broker and operator are there");
    step("binaries for the images");
    let mut build = cargo();
    build.current_dir(workspace::root()).arg("build");
    build.args(images.iter().flat_map(|image| image.crates).flat_map(|name| ["--package", name]));
    if !args.debug_build {
        build.arg("--release");
    }
    shell::run(&mut build)?;
    let binaries = workspace::target()?.join(if args.debug_build { "debug" } else { "release" });
    for image in images {
        step(&format!("image klamm/{}:dev", image.name));
        build_image(image, &binaries).with_context(|| format!("building the image of the {}", image.name))?;
    }
    Ok(())
}

fn build_image(image: &Image, binaries: &Path) -> Result<()> {
    let folder = folder()?;
    let work = folder.join(image.name);
    let archive = folder.join(format!("{}.tar", image.name));
    let stamp = folder.join(format!("{}.stamp", image.name));
    stage::clear(&work)?;
    let context = work.join("context");
    fs::create_dir_all(&context)?;
    (image.lay_out)(binaries, &work.join("root"))?.pack(&context.join("root.tar"))?;
    let dockerfile = workspace::root().join(image.name).join("Dockerfile");
    fs::copy(dockerfile, context.join("Dockerfile")).context("the Dockerfile")?;
    let state = state(&context)?;
    if archive.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == state) {
        println!("{} is up to date ({})", archive.display(), megabytes(&archive)?);
        return Ok(());
    }
    builder::find()?.build(&context, &format!("klamm/{}:dev", image.name), &archive)?;
    fs::write(stamp, state)?;
    println!("{} ({})", archive.display(), megabytes(&archive)?);
    Ok(())
}

/// A hash of what an image is built from.
fn state(context: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for name in ["Dockerfile", "root.tar"] {
        fs::read(context.join(name))?.hash(&mut hasher);
    }
    Ok(format!("{:x}", hasher.finish()))
}

fn megabytes(file: &Path) -> Result<String> {
    Ok(format!("{:.1} MB", fs::metadata(file)?.len() as f64 / 1e6))
}
