//! Finds the broker's program.

use std::path::{Path, PathBuf};

const NAME: &str = "klamm-broker";

/// The program could not be found.
#[derive(Debug, thiserror::Error)]
#[error("cannot find {NAME}: looked at {}; build it with cargo build -p {NAME}, or name it with --broker-binary", tried.join(", "))]
pub struct NotFound {
    tried: Vec<String>,
}

/// The program that was named, else the one beside this program, else the first in PATH.
///
/// # Errors
/// With every place that was looked at.
pub fn find(named: Option<&Path>) -> Result<PathBuf, NotFound> {
    if let Some(named) = named {
        let absolute = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
        return if is_program(&absolute) {
            Ok(absolute)
        } else {
            Err(NotFound { tried: vec![named.display().to_string()] })
        };
    }
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|directory| directory.join(NAME));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(NAME));
    let tried = beside.iter().map(|path| path.display().to_string()).chain(["PATH".to_owned()]).collect();
    beside.into_iter().chain(in_path).find(|path| is_program(path)).ok_or(NotFound { tried })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
