//! Who turns a folder with a Dockerfile into an archive: a Docker daemon if one answers, else buildah.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::packages;
use crate::shell::{self, has};

/// A program that builds images.
pub enum Builder {
    /// `docker build` and `docker save`.
    Docker,
    /// `buildah build` and `buildah push`, without a daemon and in a storage of our own.
    Buildah,
}

/// The builder of this machine; buildah is installed if there is neither.
///
/// # Errors
/// There is neither, and buildah cannot be installed.
pub fn find() -> Result<Builder> {
    if has("docker") {
        let mut info = Command::new("docker");
        info.arg("info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if info.status().is_ok_and(|status| status.success()) {
            return Ok(Builder::Docker);
        }
    }
    packages::ensure(&[packages::BUILDAH])?;
    Ok(Builder::Buildah)
}

impl Builder {
    /// Builds `context/Dockerfile` into a docker-archive with this tag.
    ///
    /// # Errors
    /// A step fails, or the archive cannot be written.
    pub fn build(&self, context: &Path, tag: &str, archive: &Path) -> Result<()> {
        let unfinished = archive.with_extension("tar.new");
        match self {
            Builder::Docker => docker(context, tag, &unfinished)?,
            Builder::Buildah => buildah(context, tag, &unfinished)?,
        }
        Ok(std::fs::rename(unfinished, archive)?)
    }
}

fn docker(context: &Path, tag: &str, archive: &Path) -> Result<()> {
    shell::run(Command::new("docker").args(["build", "--quiet", "--tag", tag]).arg(context))?;
    shell::run(Command::new("docker").arg("save").arg("--output").arg(archive).arg(tag))
}

/// The storage is thrown away: the archive is all that is wanted, and a second build starts from nothing, too.
fn buildah(context: &Path, tag: &str, archive: &Path) -> Result<()> {
    let storage = context.with_extension("storage");
    let program = || {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(storage.join("root"));
        command.arg("--runroot").arg(storage.join("run"));
        command
    };
    let _ = std::fs::remove_file(archive);
    let tag = format!("docker.io/{tag}");
    let to = format!("docker-archive:{}:{tag}", archive.display());
    let isolated = ["build", "--quiet", "--isolation", "chroot", "--format", "docker", "--tag", &tag];
    shell::run(program().args(isolated).arg(context))?;
    shell::run(program().args(["push", "--quiet", &tag, &to]))?;
    Ok(std::fs::remove_dir_all(storage)?)
}
