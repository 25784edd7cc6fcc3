//! `cub`, `ub` and `dub`: what start scripts of the cp images ask before they go on.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use klamm_wire::messages::metadata_request::MetadataRequest;

use crate::client::Client;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for one connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Checks for scripts that start containers.
#[derive(Parser)]
#[command(name = "ub", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Wait until so many brokers are there
    KafkaReady {
        /// Number of brokers
        brokers: usize,
        /// Seconds to wait
        seconds: u64,
        /// The servers to connect to, as host:port,host:port
        #[arg(short, long, alias = "bootstrap-servers", value_name = "SERVERS")]
        bootstrap_server: Option<String>,
        /// Properties file with bootstrap.servers
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Taken for compatibility; listeners are plaintext
        #[arg(short, long, value_name = "PROTOCOL")]
        security_protocol: Option<String>,
    },
    /// Fail unless a variable is set
    Ensure {
        /// The variable
        name: String,
    },
    /// Fail unless one of some variables is set
    EnsureAtleastOne {
        /// The variables
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Fail unless a path is writable, readable, executable or just there
    Path {
        /// The path
        path: PathBuf,
        /// writable, readable, executable or existence
        mode: String,
    },
    /// Wait until a port is open
    Wait {
        /// Host
        host: String,
        /// Port
        port: u16,
        /// Seconds to wait
        seconds: u64,
    },
    /// The listeners that belong to advertised ones
    Listeners {
        /// The value of KAFKA_ADVERTISED_LISTENERS
        advertised: String,
    },
}

/// Runs the command.
///
/// # Errors
/// What it checks is not so.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    match Cli::parse_from(arguments).command {
        Command::KafkaReady { brokers, seconds, bootstrap_server, config, .. } => {
            kafka_ready(
                &servers(bootstrap_server, config.as_deref())?,
                brokers,
                Duration::from_secs(seconds),
            )?;
        }
        Command::Ensure { name } => ensure_one(&[name])?,
        Command::EnsureAtleastOne { names } => ensure_one(&names)?,
        Command::Path { path, mode } => check_path(&path, &mode)?,
        Command::Wait { host, port, seconds } => wait(&host, port, Duration::from_secs(seconds))?,
        Command::Listeners { advertised } => println!("{}", listeners(&advertised)),
    }
    Ok(ExitCode::SUCCESS)
}

/// From the option, the file, or the usual place.
fn servers(given: Option<String>, config: Option<&Path>) -> Result<String> {
    if let Some(given) = given {
        return Ok(given);
    }
    let Some(path) = config else { return Ok("localhost:9092".to_owned()) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(name, _)| name.trim() == "bootstrap.servers");
    let found = found.with_context(|| format!("no bootstrap.servers in {}", path.display()))?;
    Ok(found.1.trim().to_owned())
}

fn kafka_ready(servers: &str, wanted: usize, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    let mut found = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        let answer = Client::connect(servers, left).and_then(|mut client| client.call(&request));
        if let Ok(answer) = &answer {
            found = answer.brokers.len();
            if found >= wanted {
                return Ok(());
            }
        }
        if Instant::now() + PAUSE >= deadline {
            answer?;
            bail!("Expected {wanted} brokers but found only {found}.");
        }
        std::thread::sleep(PAUSE);
    }
}

fn ensure_one(names: &[String]) -> Result<()> {
    let set = |name: &String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ensure!(names.iter().any(set), "{} is required.", names.join(" or "));
    Ok(())
}

fn check_path(path: &Path, mode: &str) -> Result<()> {
    use rustix::fs::{Access, access};
    let wanted = match mode {
        "writable" => Access::WRITE_OK,
        "readable" => Access::READ_OK,
        "executable" => Access::EXEC_OK,
        "existence" | "exists" => Access::EXISTS,
        other => bail!("{other:?} is no mode: give writable, readable, executable or existence"),
    };
    access(path, wanted).with_context(|| format!("{} is not {mode}", path.display()))
}

fn wait(host: &str, port: u16, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let addresses = (host, port).to_socket_addrs().into_iter().flatten();
        if addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, CONNECT).is_ok()) {
            return Ok(());
        }
        ensure!(
            Instant::now() + PAUSE < deadline,
            "{host}:{port} is not open after {} s",
            patience.as_secs()
        );
        std::thread::sleep(PAUSE);
    }
}

/// Every host becomes 0.0.0.0.
fn listeners(advertised: &str) -> String {
    let on_every_interface = |listener: &str| match (listener.split_once("://"), listener.rsplit_once(':')) {
        (Some((name, _)), Some((_, port))) => format!("{name}://0.0.0.0:{port}"),
        _ => listener.to_owned(),
    };
    advertised.split(',').map(str::trim).map(on_every_interface).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_ways_in_which_scripts_call_it_are_understood() {
        Cli::command().debug_assert();
        for line in [
            "cub kafka-ready -b kafka:9092 1 40",
            "cub kafka-ready 1 40 -b kafka:9092",
            "ub kafka-ready 3 20 -c /etc/kafka/admin.properties",
            "cub kafka-ready -s PLAINTEXT -b a:1 1 40",
            "dub ensure KAFKA_PROCESS_ROLES",
            "ub path /var/lib/kafka/data writable",
            "dub wait kafka 9092 30",
        ] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_missing_variable_is_named_in_kafkas_words() {
        let error = ensure_one(&["KLAMM_NOT_SET_ANYWHERE".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "KLAMM_NOT_SET_ANYWHERE is required.");
        assert!(ensure_one(&["KLAMM_NOT_SET_ANYWHERE".to_owned(), "PATH".to_owned()]).is_ok());
    }

    #[test]
    fn listeners_are_the_advertised_ones_on_every_interface() {
        assert_eq!(
            listeners("INTERNAL://kafka:29092,EXTERNAL://[::1]:9092"),
            "INTERNAL://0.0.0.0:29092,EXTERNAL://0.0.0.0:9092"
        );
    }

    #[test]
    fn paths_are_checked_as_the_user_who_asks() {
        assert!(check_path(Path::new("/"), "readable").is_ok());
        assert!(check_path(Path::new("/nowhere/at/all"), "existence").is_err());
        assert!(check_path(Path::new("/"), "edible").unwrap_err().to_string().contains("edible"));
    }
}
