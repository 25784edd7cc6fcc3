//! Broker processes as the system accounts for them, and their files in the page cache.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// In so many steps a reserve is set free, while a client of the JVM starts and then sends.
const STEPS: u64 = 80;
/// Time between two steps.
const STEP: Duration = Duration::from_millis(50);

/// A started process that ends with its owner.
pub struct Process {
    child: Child,
    /// When it was started.
    pub started: Instant,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let out = fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let started = Instant::now();
        let child =
            command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, started })
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// User and system time of all threads so far.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        cpu_of(&stat, rustix::param::clock_ticks_per_second()).context("/proc/<pid>/stat")
    }

    /// Resident memory in MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    /// The most that was ever resident, in MiB.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &'static str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        mib_of(&status, field).context(field)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Fields 14 and 15 of `/proc/<pid>/stat`, in ticks. Field 2, the command in parentheses, may hold spaces.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

fn mib_of(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find(|l| l.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// Brings every file below `dir` to the disk, so that no cell pays for the one before it.
pub fn settle(dir: &Path) -> Result<()> {
    for_each_file(dir, &|file| Ok(file.sync_all()?))
}

/// Memory that was in use a moment ago, set free bit by bit. A virtual machine gives memory that lies free for a second or two
/// back to its host, and whoever touches it next pays for getting it again, several times what writing it costs: not the broker
/// under test.
pub struct Reserve {
    stop: Option<Sender<()>>,
    free: Option<JoinHandle<()>>,
}

impl Reserve {
    /// Fills the page cache with a file in `dir` that is cut shorter until it is gone or the reserve dropped.
    pub fn new(dir: &Path, bytes: u64) -> Result<Self> {
        let mut file = tempfile::tempfile_in(dir)?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..bytes >> 20 {
            file.write_all(&zeros)?;
        }
        let (stop, stopped) = mpsc::channel();
        let free = std::thread::spawn(move || {
            for step in (0..STEPS).rev() {
                let ended = stopped.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout);
                if ended || file.set_len(bytes / STEPS * step).is_err() {
                    break;
                }
            }
        });
        Ok(Self { stop: Some(stop), free: Some(free) })
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.free.take().map(JoinHandle::join));
    }
}

/// Drops the pages of every file below `dir` from the page cache, so that reads come from the disk.
pub fn make_cold(dir: &Path) -> Result<()> {
    for_each_file(dir, &|file| {
        file.sync_all()?;
        Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
    })
}

fn for_each_file(dir: &Path, action: &impl Fn(&fs::File) -> Result<()>) -> Result<()> {
    // Brokers delete files and directories at any time: what is gone needs nothing.
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            for_each_file(&path, action)?;
        } else if let Ok(file) = fs::File::open(&path) {
            action(&file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_time_whatever_the_command_is_called() {
        let stat = "4711 (a b) c) S 1 4711 4711 0 -1 4194560 9 0 0 0 250 50 7 7 20 0 33 0 12345 999 888";
        assert_eq!(cpu_of(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("4711 (a", 100), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(mib_of(status, "VmRSS:"), Some(2.0));
        assert_eq!(mib_of(status, "VmHWM:"), Some(4.0));
        assert_eq!(mib_of("Name:\tx\n", "VmRSS:"), None);
    }
}
