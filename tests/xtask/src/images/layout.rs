//! What is in the images, and where.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::stage::Root;
use crate::workspace;

/// The small programs that start scripts, health checks and people in a container's shell use.
const BUSYBOX: &[&str] = &[
    "awk",
    "base64",
    "basename",
    "cat",
    "chmod",
    "chown",
    "clear",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "fold",
    "free",
    "getopt",
    "grep",
    "egrep",
    "fgrep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "hostname",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "less",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mktemp",
    "more",
    "mount",
    "mv",
    "netstat",
    "nproc",
    "nslookup",
    "od",
    "paste",
    "pidof",
    "ping",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sha256sum",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "stty",
    "sync",
    "tac",
    "tail",
    "tar",
    "tee",
    "telnet",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "tty",
    "uname",
    "uniq",
    "unzip",
    "uptime",
    "vi",
    "watch",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
    "zcat",
];

/// Kafka's commands; in /opt/kafka/bin they end in `.sh`.
const KAFKA_COMMANDS: &[&str] = &[
    "kafka-broker-api-versions",
    "kafka-console-consumer",
    "kafka-console-producer",
    "kafka-metadata-quorum",
    "kafka-server-start",
    "kafka-storage",
    "kafka-topics",
];

/// Commands of the image that have no counterpart in Kafka.
const OTHER_COMMANDS: &[&str] = &["cub", "dub", "nc", "ub"];

/// What the broker, or somebody who starts it, writes to. Testcontainers edits the scripts before it runs them.
const OWNED: &[&str] = &[
    "/etc/confluent",
    "/etc/kafka",
    "/home/appuser",
    "/mnt/shared/config",
    "/opt/kafka/config",
    "/tmp/kafka-logs",
    "/tmp/kraft-combined-logs",
    "/var/lib/kafka/data",
    "/var/log/kafka",
];

/// Directories that every Linux has, into which people copy things. Testcontainers for Go puts a script into /usr/sbin.
const USUAL: &[&str] = &["/opt", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/var/tmp"];

/// The broker's image.
///
/// # Errors
/// Something is missing.
pub fn broker(binaries: &Path, folder: &Path) -> Result<Root> {
    let mut root = Root::new(folder.to_owned())?;
    root.tree(&workspace::root().join("broker/image"), "")?;
    root.directory("/tmp", 0o1777)?;
    root.program(&binaries.join("klamm-broker"), "/usr/bin/klamm-broker", 0o755)?;
    root.program(&binaries.join("klamm-tools"), "/usr/bin/klamm-tools", 0o755)?;
    root.program(&binaries.join("klamm-claim"), "/usr/bin/klamm-claim", 0o4755)?;
    root.program(&found("bash-static")?, "/bin/bash", 0o755)?;
    root.program(&found("busybox")?, "/bin/busybox", 0o755)?;
    // Not busybox, which would run its own programs whatever PATH says, and whose nc knows no -z.
    root.link("/bin/sh", "bash")?;
    for applet in BUSYBOX {
        root.link(&format!("/bin/{applet}"), "busybox")?;
    }
    for command in KAFKA_COMMANDS {
        root.link(&format!("/usr/bin/{command}"), "klamm-tools")?;
        root.link(&format!("/opt/kafka/bin/{command}.sh"), "/usr/bin/klamm-tools")?;
    }
    for command in OTHER_COMMANDS {
        root.link(&format!("/usr/bin/{command}"), "klamm-tools")?;
    }
    root.directory("/etc/kafka/secrets", 0o755)?;
    for path in USUAL {
        root.directory(path, 0o755)?;
    }
    for path in OWNED {
        root.directory(path, 0o755)?;
        root.owned_by_user(path);
    }
    Ok(root)
}

/// The operator's image.
///
/// # Errors
/// Something is missing.
pub fn operator(binaries: &Path, folder: &Path) -> Result<Root> {
    let root = Root::new(folder.to_owned())?;
    root.directory("/tmp", 0o1777)?;
    root.program(&binaries.join("klamm-operator"), "/usr/bin/klamm-operator", 0o755)?;
    let etc = workspace::root().join("broker/image/etc");
    for name in ["passwd", "group", "nsswitch.conf"] {
        root.file(&etc.join(name), &format!("/etc/{name}"), 0o644)?;
    }
    Ok(root)
}

/// A program of this machine.
fn found(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let folder = folders.find(|folder| folder.join(program).is_file());
    Ok(folder.with_context(|| format!("{program} is not in PATH"))?.join(program))
}
