//! `cargo xtask tidy`: the layering of the crates, names that say nothing, and the largest files and functions.

mod layers;
mod sources;

use anyhow::{Result, bail};

/// Lines of a file without its tests, above which it is listed.
const LARGE_FILE: usize = 400;
/// Lines of a function, above which it is listed.
const LONG_FUNCTION: usize = 40;
/// Modules and crates of these names have no job.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

/// Checks, then reports sizes.
///
/// # Errors
/// A rule is broken.
pub fn run() -> Result<()> {
    check()?;
    let files = sources::all()?;
    println!("\nfiles of more than {LARGE_FILE} lines, tests apart:");
    let mut large: Vec<_> = files.iter().filter(|f| f.lines > LARGE_FILE).collect();
    large.sort_by_key(|f| std::cmp::Reverse(f.lines));
    for file in large {
        println!("{:6}  {}", file.lines, file.path);
    }
    println!("\nfunctions of more than {LONG_FUNCTION} lines:");
    let mut long: Vec<_> =
        files.iter().flat_map(|f| f.functions.iter().map(move |g| (g.lines, f, g))).collect();
    long.retain(|(lines, _, _)| *lines > LONG_FUNCTION);
    long.sort_by_key(|(lines, _, _)| std::cmp::Reverse(*lines));
    for (lines, file, function) in long {
        println!("{lines:6}  {}:{} {}", file.path, function.line, function.name);
    }
    Ok(())
}

/// The rules that may not be broken.
///
/// # Errors
/// All that are, one a line.
pub fn check() -> Result<()> {
    let mut broken = layers::broken()?;
    for file in sources::all()? {
        let named = file.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let name = named.rsplit('/').next().unwrap_or_default();
        if EMPTY_NAMES.contains(&name) {
            broken.push(format!("{}: a module named {name} has no job of its own", file.path));
        }
        if !file.says_what_it_is {
            broken.push(format!("{}: does not open with a sentence (//!) that says what it is", file.path));
        }
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n"));
    }
    println!("crates know only crates above them, and every module says what it is");
    Ok(())
}
