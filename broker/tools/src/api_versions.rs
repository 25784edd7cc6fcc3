//! `kafka-broker-api-versions`: every broker of the cluster with the APIs that it knows.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use klamm_wire::catalogue;
use klamm_wire::messages::api_versions_response::ApiVersion;
use klamm_wire::messages::metadata_request::MetadataRequest;

use crate::client::{Client, PATIENCE};

/// Show which requests, at which versions, the brokers know.
#[derive(Parser)]
#[command(name = "kafka-broker-api-versions", version)]
struct Cli {
    /// The servers to connect to, as host:port,host:port
    #[arg(long, value_name = "SERVERS")]
    bootstrap_server: String,
    /// Taken for compatibility; listeners are plaintext
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A broker does not answer.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let cli = Cli::parse_from(arguments);
    let mut client = Client::connect(&cli.bootstrap_server, PATIENCE)?;
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    for broker in client.call(&request)?.brokers {
        let address = format!("{}:{}", broker.host, broker.port);
        let answer = Client::connect(&address, PATIENCE)?.api_versions()?;
        let rack = broker.rack.as_deref().unwrap_or("null");
        println!("{address} (id: {} rack: {rack} isFenced: false) -> (", broker.node_id);
        let lines: Vec<String> = answer.api_keys.iter().map(line).collect();
        println!("{}\n)", lines.join(",\n"));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(api: &ApiVersion) -> String {
    let (low, high) = (api.min_version, api.max_version);
    let range = if low == high { low.to_string() } else { format!("{low} to {high}") };
    match catalogue::api(api.api_key) {
        Some(known) => format!("\t{}({}): {range} [usable: {high}]", known.name, api.api_key),
        None => format!("\tUNKNOWN({}): {range}", api.api_key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_shown_with_its_name_and_its_versions() {
        let api = |api_key, min_version, max_version| ApiVersion {
            api_key,
            min_version,
            max_version,
            ..ApiVersion::default()
        };
        assert_eq!(line(&api(0, 3, 13)), "\tProduce(0): 3 to 13 [usable: 13]");
        assert_eq!(line(&api(999, 2, 2)), "\tUNKNOWN(999): 2");
    }
}
