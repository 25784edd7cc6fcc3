//! `nc`: health checks call `nc -z`, which busybox's does not know; everything else is left to busybox.

use std::ffi::OsString;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest wait where nobody says how long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A look at a port.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    host: String,
    port: u16,
    patience: Duration,
    is_verbose: bool,
}

/// Runs the command.
///
/// # Errors
/// The port is not open, or busybox is not there.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let words: Vec<String> =
        arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match parse(&words)? {
        Some(look) => Ok(look.take()),
        None => Err(Command::new("busybox").arg("nc").args(words).exec()).context("starting busybox nc"),
    }
}

/// A look if `-z` is among the options; none if this is for busybox.
fn parse(words: &[String]) -> Result<Option<Look>> {
    let (mut is_look, mut is_verbose, mut patience) = (false, false, PATIENCE);
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            rest.push(word.as_str());
            continue;
        };
        is_look |= flags.contains('z');
        is_verbose |= flags.contains('v');
        if let Some((_, attached)) = flags.split_once('w') {
            let text = if attached.is_empty() { words.next().map_or("", String::as_str) } else { attached };
            patience = Duration::from_secs(text.parse().with_context(|| format!("-w {text}: give seconds"))?);
        }
    }
    if !is_look {
        return Ok(None);
    }
    let [host, port] = rest.as_slice() else { bail!("usage: nc -z [-v] [-w SECONDS] HOST PORT") };
    let port = port.parse().with_context(|| format!("{port} is no port"))?;
    Ok(Some(Look {
        host: (*host).to_owned(),
        port,
        patience: patience.max(Duration::from_secs(1)),
        is_verbose,
    }))
}

impl Look {
    fn take(&self) -> ExitCode {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().into_iter().flatten();
        let mut reasons = Vec::new();
        for address in addresses {
            match TcpStream::connect_timeout(&address, self.patience) {
                Ok(_) if self.is_verbose => {
                    eprintln!("Connection to {} {} port [tcp/*] succeeded!", self.host, self.port);
                    return ExitCode::SUCCESS;
                }
                Ok(_) => return ExitCode::SUCCESS,
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if self.is_verbose {
            let reason = if reasons.is_empty() { "no such host".to_owned() } else { reasons.join("; ") };
            eprintln!("nc: connect to {} port {} (tcp) failed: {reason}", self.host, self.port);
        }
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(line: &str) -> Option<Look> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn looks_are_ours_and_the_rest_is_busyboxs() {
        let plain = look("-z localhost 9092").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.is_verbose), ("localhost", 9092, false));
        let more = look("-vz -w 3 kafka 29092").unwrap();
        assert_eq!((more.patience, more.is_verbose), (Duration::from_secs(3), true));
        assert_eq!(look("-zw1 kafka 1").unwrap().patience, Duration::from_secs(1));
        assert_eq!(look("-l -p 8080"), None);
        assert!(parse(&["-z".to_owned(), "kafka".to_owned()]).is_err());
    }

    #[test]
    fn an_open_port_is_told_from_a_closed_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let look = look(&format!("-z 127.0.0.1 {}", address.port())).unwrap();
        assert_eq!(look.take(), ExitCode::SUCCESS);
        drop(listener);
        assert_eq!(look.take(), ExitCode::FAILURE);
    }
}
