//! What the figures were measured on: printed at the head of every result.

use std::fs;
use std::process::Command;

/// The machine, the programs and the command line as lines of Markdown.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let uname = rustix::system::uname();
    format!(
        "- Machine: {cores} cores ({}), {:.1} GiB of memory, {} {}, load average {} at the start\n\
         - Java: {}\n\
         - Command: `{}`\n",
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown model".to_owned()),
        memory_gib(),
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        load_average(),
        java_version(),
        command_line()
    )
}

/// Load average of the last minute: above the bench's own, something else ran too.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|l| l.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory_gib() -> f64 {
    let kib = field("/proc/meminfo", "MemTotal").and_then(|v| v.split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0 / 1024.0
}

fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("none").to_owned()
}

/// The command line, the class path cut short to what a reader needs.
fn command_line() -> String {
    let mut shown = Vec::new();
    for (index, argument) in std::env::args().enumerate() {
        let name = argument.rsplit('/').next().unwrap_or_default().to_owned();
        shown.push(if index == 0 { name } else { shorten(argument) });
    }
    shown.join(" ")
}

fn shorten(argument: String) -> String {
    if argument.len() > 200 { "…".to_owned() } else { argument }
}
