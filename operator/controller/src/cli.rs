//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs Kafka clusters from KafkaCluster and KafkaTopic resources.
///
/// On this computer, one manifest becomes a running cluster:
///
///   klamm-operator up -f cluster.yaml --data ./klamm-data
#[derive(Debug, Parser)]
#[command(name = "klamm-operator", version, verbatim_doc_comment)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in Kubernetes: keep every KafkaCluster and KafkaTopic of some namespaces as their resources say.
    ///
    /// Installed by the Helm chart. Outside of a cluster it takes the current context of KUBECONFIG.
    #[cfg(feature = "kubernetes")]
    Run(Run),
    /// Run a cluster as processes of this computer, and keep it as the manifest says.
    ///
    /// Starts one broker process for each node of the KafkaCluster, on the loopback address, creates the KafkaTopics,
    /// and prints where clients connect. Stays in the foreground: a broker that dies is started again, and edits of
    /// the manifest are taken up while the cluster runs. Ctrl-C stops the brokers one after another; the data stays.
    Up(Up),
    /// Show the cluster of a data directory.
    Status(Status),
    /// Stop the cluster of a data directory. The data stays.
    Down(Down),
    /// Print the CustomResourceDefinitions as YAML, for kubectl apply --server-side -f -
    Crd,
}

/// Arguments of `run`.
#[cfg(feature = "kubernetes")]
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// A namespace to watch, "*" for all; may be given more than once [default: the operator's own]
    #[arg(long = "namespace", value_name = "NAMESPACE", env = "KLAMM_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// The image of brokers whose KafkaCluster names none
    #[arg(long, value_name = "IMAGE", env = "KLAMM_BROKER_IMAGE", default_value = "klamm/broker:dev")]
    pub broker_image: String,
    /// Where health and metrics are served
    #[arg(long, value_name = "HOST:PORT", env = "KLAMM_HTTP_LISTENER", default_value = "0.0.0.0:8080")]
    pub http: std::net::SocketAddr,
    /// How messages are written
    #[arg(long, value_enum, env = "KLAMM_LOG_FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// The namespace of the Lease that only one operator holds [default: the operator's own]
    #[arg(long, value_name = "NAMESPACE", env = "KLAMM_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
}

/// How messages are written.
#[cfg(feature = "kubernetes")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Arguments of `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// The manifest: a YAML file with one KafkaCluster and any number of KafkaTopics
    #[arg(short, long = "file", value_name = "FILE")]
    pub file: PathBuf,
    /// The directory of the cluster's data, ports and logs; created if it is not there, found again if it is
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Return when the cluster is ready, and keep it running in the background (messages go to DIR/up.log)
    #[arg(long)]
    pub detach: bool,
    /// The broker's program [default: klamm-broker beside this program, else in PATH]
    #[arg(long, value_name = "PATH", env = "KLAMM_BROKER_BINARY")]
    pub broker_binary: Option<PathBuf>,
    /// Set on the process that --detach leaves behind.
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The directory that was given to `up`
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// How a status is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// The content of DIR/status.json.
    Json,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub struct Down {
    /// The directory that was given to `up`
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}
