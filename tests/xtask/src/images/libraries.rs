//! The shared libraries that a binary needs, as the dynamic loader finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Every library of the binary with the loader itself; none for a static binary.
///
/// # Errors
/// One is not found.
pub fn of(binary: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(binary).env("LC_ALL", "C").output()?;
    if !listed.status.success() {
        let message = String::from_utf8_lossy(&listed.stderr).into_owned();
        if message.contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        bail!("ldd {}: {message}", binary.display());
    }
    parse(&String::from_utf8(listed.stdout)?)
}

/// Reads lines like `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn parse(text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.ends_with("not found") {
            bail!("a library is missing: {line}");
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split_once(" (").map_or(path, |(path, _)| path);
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Copies a binary without its debug information.
///
/// # Errors
/// `strip` fails; it comes with the linker that made the binary.
pub fn strip_into(binary: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("strip");
    shell::output(command.arg("--strip-debug").arg("-o").arg(to).arg(binary))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_and_the_kernels_own_is_not() {
        let text = "\tlinux-vdso.so.1 (0x0)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x1)\n\t/lib64/ld.so.2 (0x2)\n";
        assert_eq!(
            parse(text).unwrap(),
            [PathBuf::from("/lib/x/libc.so.6"), PathBuf::from("/lib64/ld.so.2")]
        );
        assert_eq!(parse("\tstatically linked\n").unwrap(), Vec::<PathBuf>::new());
        assert!(parse("\tlibz.so.1 => not found\n").is_err());
    }
}
