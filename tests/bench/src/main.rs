//! Benchmarks: Apache Kafka and Klamm on the same machine in turn, driven by the same clients, in one table.

mod admin;
mod compare;
mod connection;
mod consume;
mod java;
mod latency;
mod load;
mod machine;
mod matrix;
mod outage;
mod peers;
mod process;
mod produce;
mod report;
mod sink;
mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use compare::{Comparison, Part};
use consume::Passes;
use load::{CONNECTIONS, Limit, Shape, Throughput};
use matrix::Choice;
use peers::{Kind, Programs, Site};

/// Measure Klamm beside Apache Kafka, or put load on any broker.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Both brokers, cell by cell in turn; prints one table with ratios and bars. Progress goes to the standard error.
    Compare(CompareArgs),
    /// Produce to a topic as fast as it goes.
    Produce {
        #[command(flatten)]
        target: Target,
        /// Bytes of a batch.
        #[arg(long, default_value_t = 16_384)]
        batch: usize,
        /// 1 or -1 (all).
        #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
        acks: i16,
        /// Record bytes in all.
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
    },
    /// Read a topic from its beginning to its end.
    Consume {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Args)]
struct CompareArgs {
    /// Class path of Kafka's server, tools and clients (4.3.1).
    #[arg(long)]
    class_path: String,
    /// The klamm-broker binary, built for release.
    #[arg(long, default_value = "target/release/klamm-broker")]
    klamm: PathBuf,
    /// Directory for data, on the disk to measure.
    #[arg(long)]
    scratch: PathBuf,
    /// Share of the full data volume of each cell.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How often each cell is measured on each broker, in turn.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Parts to run.
    #[arg(long, value_delimiter = ',', default_value = "startup,failover,latency,java,native")]
    parts: Vec<Part>,
    /// Only measure this broker: the other's column stays empty.
    #[arg(long)]
    only: Option<Kind>,
    #[command(flatten)]
    choice: Choice,
}

#[derive(Args)]
struct Target {
    /// Brokers, host:port.
    #[arg(long)]
    bootstrap: String,
    /// Topic.
    #[arg(long)]
    topic: String,
    /// Bytes of a record.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Connections to each leader.
    #[arg(long, default_value_t = CONNECTIONS)]
    connections: usize,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Compare(args) => {
            print!("{}", comparison(args)?.run()?);
            Ok(())
        }
        Command::Produce { target: t, batch, acks, bytes } => {
            let shape = Shape { record: t.size, batch, acks };
            print_rate(&produce::produce(&t.bootstrap, &t.topic, &shape, t.connections, Limit::bytes(bytes))?)
        }
        Command::Consume { target: t } => {
            print_rate(&consume::consume(&t.bootstrap, &t.topic, t.size, t.connections, Passes::Once)?)
        }
    }
}

fn comparison(args: CompareArgs) -> Result<Comparison> {
    ensure!(args.scale > 0.0, "--scale must be above 0");
    let kinds = args.only.map_or_else(|| vec![Kind::Kafka, Kind::Klamm], |kind| vec![kind]);
    let klamm = args.klamm;
    ensure!(
        !kinds.contains(&Kind::Klamm) || klamm.exists(),
        "no broker at {}: build it with cargo build --release -p klamm-broker",
        klamm.display()
    );
    std::fs::create_dir_all(&args.scratch)?;
    // The brokers run elsewhere: relative paths would mislead them.
    let scratch = args.scratch.canonicalize()?;
    let site = Site { programs: Programs { class_path: args.class_path, klamm }, scratch };
    Ok(Comparison {
        site,
        scale: args.scale,
        rounds: args.rounds.into(),
        parts: args.parts,
        kinds,
        choice: args.choice,
    })
}

fn print_rate(rate: &Throughput) -> Result<()> {
    println!("{:.1} MB/s, {:.0} records/s", rate.mb_per_second(), rate.records_per_second());
    println!("{}", serde_json::to_string(rate)?);
    Ok(())
}
