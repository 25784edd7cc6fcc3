//! `up --detach`: leaves `up` running in the background and returns when the cluster is ready.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{UpError, progress};
use crate::cli;
use crate::data::DataDir;
use crate::data::status::Status;

const POLL: Duration = Duration::from_millis(50);

/// Starts the background process and shows its messages until the cluster is ready.
pub fn run(args: &cli::Up, dir: &DataDir, program: &Path) -> Result<(), UpError> {
    let path = dir.up_log();
    let system = |what: &str| {
        let what = format!("{what} {}", path.display());
        move |source| UpError::System { what: what.clone(), source }
    };
    let log = File::options().create(true).append(true).open(&path).map_err(system("cannot write"))?;
    let mut shown = File::open(&path).map_err(system("cannot read"))?;
    shown.seek(SeekFrom::End(0)).map_err(system("cannot read"))?;
    let mut child =
        spawn(args, dir, program, log).map_err(system("cannot start in the background, with the log"))?;
    loop {
        show(&mut shown);
        let ended = child.try_wait().map_err(system("cannot watch the process of"))?;
        if ended.is_some() {
            show(&mut shown);
            return Err(UpError::Background(path));
        }
        let status = Status::load(dir).filter(|status| status.operator == Some(child.id()));
        if status.is_some_and(|status| status.ready) {
            std::thread::sleep(POLL);
            show(&mut shown);
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}

fn spawn(args: &cli::Up, dir: &DataDir, program: &Path, log: File) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["up", "--background", "--file"])
        .arg(std::path::absolute(&args.file)?)
        .arg("--data")
        .arg(dir.path())
        .arg("--broker-binary")
        .arg(program)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Prints what was added to the log since the last call.
fn show(log: &mut File) {
    let mut text = Vec::new();
    if log.read_to_end(&mut text).is_ok() {
        let _ = std::io::stdout().write_all(&text);
        let _ = std::io::stdout().flush();
    }
}

/// Leaves the session of the terminal, so that its end and its Ctrl-C are not ours.
pub fn leave_terminal() {
    if let Err(error) = rustix::process::setsid() {
        progress::Progress { stamped: true }.say(format_args!("the terminal could not be left: {error}"));
    }
}
