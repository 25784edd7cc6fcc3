//! `kafka-metadata-quorum describe`: the controllers, and how far each has got.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, Parser, Subcommand};
use klamm_wire::Str;
use klamm_wire::messages::describe_cluster_request::DescribeClusterRequest;
use klamm_wire::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData as AskedPartition, TopicData as AskedTopic,
};
use klamm_wire::messages::describe_quorum_response::{DescribeQuorumResponse, PartitionData, ReplicaState};

use crate::client::{Client, PATIENCE, check, uuid_text};

/// Describe the quorum of the controllers.
#[derive(Parser)]
#[command(name = "kafka-metadata-quorum", version)]
struct Cli {
    /// The servers to connect to, as host:port,host:port
    #[arg(long, alias = "bootstrap-controller", value_name = "SERVERS")]
    bootstrap_server: String,
    /// Taken for compatibility; listeners are plaintext
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the state of the quorum
    Describe(Describe),
}

#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true).args(["status", "replication"]))]
struct Describe {
    /// A summary
    #[arg(long)]
    status: bool,
    /// A line a controller
    #[arg(long)]
    replication: bool,
    /// Taken for compatibility
    #[arg(long)]
    human_readable: bool,
}

/// Runs the command.
///
/// # Errors
/// What the broker said, or that there is none.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let cli = Cli::parse_from(arguments);
    let Command::Describe(what) = cli.command;
    let mut client = Client::connect(&cli.bootstrap_server, PATIENCE)?;
    let partition = AskedPartition { partition_index: 0, ..AskedPartition::default() };
    let topic = AskedTopic {
        topic_name: Str::from("__cluster_metadata"),
        partitions: vec![partition],
        ..AskedTopic::default()
    };
    let answer =
        client.call(&DescribeQuorumRequest { topics: vec![topic], ..DescribeQuorumRequest::default() })?;
    check(answer.error_code, answer.error_message.as_deref())?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
    let partition = partition.context("the broker said nothing of the metadata log")?;
    check(partition.error_code, partition.error_message.as_deref())?;
    if what.status {
        let cluster = client.call(&DescribeClusterRequest::default())?;
        print!("{}", status(&cluster.cluster_id, partition, &answer));
    } else {
        print!("{}", replication(partition));
    }
    Ok(ExitCode::SUCCESS)
}

fn lag(partition: &PartitionData, replica: &ReplicaState) -> i64 {
    let leader = partition.current_voters.iter().find(|voter| voter.replica_id == partition.leader_id);
    leader.map_or(0, |leader| (leader.log_end_offset - replica.log_end_offset).max(0))
}

fn status(cluster_id: &str, partition: &PartitionData, answer: &DescribeQuorumResponse) -> String {
    let followers = || partition.current_voters.iter().filter(|v| v.replica_id != partition.leader_id);
    let most = followers().map(|voter| lag(partition, voter)).max().unwrap_or(0);
    let now = partition.current_voters.iter().map(|v| v.last_caught_up_timestamp).max().unwrap_or(-1);
    let late = followers()
        .map(|v| if v.last_caught_up_timestamp < 0 { -1 } else { now - v.last_caught_up_timestamp });
    let rows = [
        ("ClusterId", cluster_id.to_owned()),
        ("LeaderId", partition.leader_id.to_string()),
        ("LeaderEpoch", partition.leader_epoch.to_string()),
        ("HighWatermark", partition.high_watermark.to_string()),
        ("MaxFollowerLag", most.to_string()),
        ("MaxFollowerLagTimeMs", late.max().unwrap_or(0).to_string()),
        ("CurrentVoters", nodes(&partition.current_voters, answer)),
        ("CurrentObservers", nodes(&partition.observers, answer)),
    ];
    rows.iter().map(|(name, value)| format!("{:<23} {value}\n", format!("{name}:"))).collect()
}

/// A JSON list, as Kafka prints it.
fn nodes(replicas: &[ReplicaState], answer: &DescribeQuorumResponse) -> String {
    let one = |replica: &ReplicaState| {
        let listeners = answer.nodes.iter().filter(|node| node.node_id == replica.replica_id);
        let endpoints = listeners.flat_map(|node| &node.listeners);
        let endpoints: Vec<String> =
            endpoints.map(|l| format!("\"{}://{}:{}\"", l.name, l.host, l.port)).collect();
        let directory = uuid_text(replica.replica_directory_id);
        let endpoints = match endpoints.is_empty() {
            true => String::new(),
            false => format!(", \"endpoints\": [{}]", endpoints.join(", ")),
        };
        format!("{{\"id\": {}, \"directoryId\": \"{directory}\"{endpoints}}}", replica.replica_id)
    };
    format!("[{}]", replicas.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn replication(partition: &PartitionData) -> String {
    let mut text = "NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\tLastCaughtUpTimestamp\tStatus\n".to_owned();
    let voters = partition
        .current_voters
        .iter()
        .map(|voter| (voter, if voter.replica_id == partition.leader_id { "Leader" } else { "Follower" }));
    let observers = partition.observers.iter().map(|observer| (observer, "Observer"));
    for (replica, role) in voters.chain(observers) {
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{role}\n",
            replica.replica_id,
            uuid_text(replica.replica_directory_id),
            replica.log_end_offset,
            lag(partition, replica),
            replica.last_fetch_timestamp,
            replica.last_caught_up_timestamp,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> PartitionData {
        let voter = |replica_id, log_end_offset| ReplicaState {
            replica_id,
            log_end_offset,
            last_fetch_timestamp: 5,
            last_caught_up_timestamp: 5,
            ..ReplicaState::default()
        };
        PartitionData {
            leader_id: 2,
            leader_epoch: 7,
            high_watermark: 41,
            current_voters: vec![voter(1, 40), voter(2, 42)],
            ..PartitionData::default()
        }
    }

    #[test]
    fn the_summary_names_the_leader_and_the_largest_lag() {
        let text = status("my cluster", &partition(), &DescribeQuorumResponse::default());
        assert!(text.contains("ClusterId:              my cluster\n"), "{text}");
        assert!(text.contains("LeaderId:               2\n"), "{text}");
        assert!(text.contains("MaxFollowerLag:         2\n"), "{text}");
        assert!(text.contains("CurrentObservers:       []\n"), "{text}");
    }

    #[test]
    fn each_controller_has_a_line_with_its_role() {
        let text = replication(&partition());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("1\t") && lines[1].ends_with("\t40\t2\t5\t5\tFollower"), "{text}");
        assert!(lines[2].ends_with("Leader"), "{text}");
    }
}
