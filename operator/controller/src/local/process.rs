//! Processes by identity: a pid alone may have been given to somebody else meanwhile, so the start time goes with it.

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// One process and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: u32,
    /// When it was started, in the system's own notation.
    pub started: String,
}

impl ProcessId {
    /// The identity of the process that has this pid now; `None` if none has, or only its remains.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: start_time(pid)? })
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Sends SIGTERM to this very process, if it still runs.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGKILL to this very process, if it still runs.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive()) {
            // It may end between the look and the signal, which is what the signal is for.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The start time in clock ticks since boot, from `/proc/PID/stat`; `None` for the dead and for zombies.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything; the fields are counted from behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// The start time as `ps` prints it; `None` for the dead and for zombies.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<String> {
    let ps = std::process::Command::new("ps")
        .args(["-o", "state=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let line = String::from_utf8(ps.stdout).ok()?;
    let (state, started) = line.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_pid_is_not_the_same() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let other = ProcessId { started: "long ago".into(), ..me };
        assert!(!other.is_alive());
    }

    #[test]
    fn a_process_that_ended_is_not_alive_even_unreaped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        id.kill();
        while id.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!id.is_alive());
    }
}
