//! `klamm-claim`: takes over data directories that were mounted empty and belong to root.
//!
//! Docker creates the host's side of a bind mount as root, and the image's user could not write to it. This program is
//! installed set-user-id root and does one thing: it gives the directories listed here, themselves and nothing in them,
//! to the user who calls it, if they belong to root. It takes no arguments and reads no variables. Where set-user-id
//! programs have no effect, as in pods that must not gain privileges, it changes nothing.

use std::process::ExitCode;

use rustix::fs::{Mode, OFlags, fchown, fstat, open};
use rustix::process::{getgid, getuid};

/// Where the images that ours stands in for keep data. None of their parents can be written by the image's user, `/tmp`
/// apart, and there the sticky bit keeps others' directories where they are.
const DIRECTORIES: &[&str] = &["/var/lib/kafka/data", "/tmp/kafka-logs", "/tmp/kraft-combined-logs"];

fn main() -> ExitCode {
    if getuid().is_root() {
        return ExitCode::SUCCESS;
    }
    for directory in DIRECTORIES {
        if let Err(error) = claim(directory) {
            // The broker says what to do if it cannot write there.
            eprintln!("klamm-claim: {directory} belongs to root and cannot be taken over: {error}");
        }
    }
    ExitCode::SUCCESS
}

/// A link is not followed, and what was looked at is what is changed.
fn claim(directory: &str) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(opened) = open(directory, flags, Mode::empty()) else { return Ok(()) };
    if fstat(&opened)?.st_uid == 0 {
        fchown(&opened, Some(getuid()), Some(getgid()))?;
    }
    Ok(())
}
