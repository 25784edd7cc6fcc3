//! `klamm-sim`: runs seeds, prints what does not hold and how to see it again.

mod quorum_world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use klamm_simulator::{
    DURATION_MS, Family, Mutation, Options, Report, Strikes, mutations, replay_command, run,
};

/// Deterministic simulation of a whole cluster
#[derive(Parser)]
struct Args {
    /// What is simulated: `cluster` (brokers, and a model of the quorum) or `quorum` (controllers, openraft included)
    #[arg(long, default_value = "cluster")]
    world: String,
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed only, twice, and compare
    #[arg(long)]
    seed: Option<u64>,
    /// Print what happens, with --seed
    #[arg(long)]
    trace: bool,
    /// Virtual milliseconds of faults in each run; 10,000 unless told otherwise, of a quorum 6,000
    #[arg(long)]
    duration: Option<i64>,
    /// What may strike, by name, separated by commas; `list` prints the names
    #[arg(long)]
    faults: Option<String>,
    /// A rule to break; `list` prints the names
    #[arg(long)]
    mutation: Option<String>,
    /// Go on after a violation
    #[arg(long)]
    keep_going: bool,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// What all runs together came to.
#[derive(Default)]
struct Total {
    runs: u64,
    events: u64,
    virtual_ms: i64,
    acked: u64,
    messages: [u64; 3],
    strikes: Strikes,
    violations: Vec<Report>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.events += report.events;
        self.virtual_ms += report.virtual_ms;
        self.acked += report.acked;
        self.messages.iter_mut().zip(report.messages).for_each(|(total, count)| *total += count);
        self.strikes.add(&report.strikes);
        if report.violation.is_some() {
            self.violations.push(report);
        }
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.mutation.as_deref() == Some("list") {
        mutations().iter().for_each(|mutation| println!("{}", mutation.name()));
        return Ok(ExitCode::SUCCESS);
    }
    match args.world.as_str() {
        "cluster" => {}
        "quorum" => return quorum_world::main(&args),
        other => bail!("there is no world named {other}"),
    }
    let Some(options) = options(&args)? else { return Ok(ExitCode::SUCCESS) };
    // A panic is a violation, which is printed with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match args.seed {
        Some(seed) => one(seed, &options),
        None => many(&args, &options),
    }
}

fn options(args: &Args) -> Result<Option<Options>> {
    let mut options = Options {
        duration_ms: args.duration.unwrap_or(DURATION_MS),
        trace: args.trace,
        ..Options::default()
    };
    match args.faults.as_deref() {
        Some("list") => {
            Family::ALL.iter().for_each(|family| println!("{}", family.name()));
            return Ok(None);
        }
        Some("none") => options.faults.clear(),
        Some(names) => {
            options.faults.clear();
            for name in names.split(',') {
                let Some(family) = Family::named(name) else { bail!("there is no fault named {name}") };
                options.faults.push(family);
            }
        }
        None => {}
    }
    options.mutation = mutation(args)?;
    Ok(Some(options))
}

/// The rule to break, if one is named.
fn mutation(args: &Args) -> Result<Option<Mutation>> {
    let Some(name) = args.mutation.as_deref() else { return Ok(None) };
    let Some(mutation) = Mutation::named(name) else { bail!("this build cannot break a rule named {name}") };
    Ok(Some(mutation))
}

/// Calls `run` with every seed that is asked for, on as many threads; it says whether something was violated.
fn for_each_seed(args: &Args, run: impl Fn(u64) -> bool + Sync) {
    let (next, end) = (AtomicU64::new(args.from), args.from.saturating_add(args.seeds));
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if run(seed) && !args.keep_going {
                        next.store(end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

fn one(seed: u64, options: &Options) -> Result<ExitCode> {
    let report = run(seed, options);
    let again = run(seed, &Options { trace: false, ..options.clone() });
    if again.trace_hash != report.trace_hash {
        bail!("seed {seed} ran in two ways: {:016x} and {:016x}", report.trace_hash, again.trace_hash);
    }
    println!(
        "seed {seed}: trace {:016x}, {} events, {} records acknowledged, {} ms of virtual time",
        report.trace_hash, report.events, report.acked, report.virtual_ms
    );
    print_violation(&report, options);
    Ok(if report.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_violation(report: &Report, options: &Options) {
    if let Some(violation) = &report.violation {
        println!("VIOLATION of {} in seed {}: {}", violation.property, report.seed, violation.what);
        println!("  {}", replay_command(report.seed, options));
    }
}

fn many(args: &Args, options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    let total = Mutex::new((Total::default(), Instant::now()));
    for_each_seed(args, |seed| {
        let report = run(seed, options);
        print_violation(&report, options);
        let is_violated = report.violation.is_some();
        let Ok(mut total) = total.lock() else { return true };
        total.0.add(report);
        if total.1.elapsed() > Duration::from_secs(5) {
            total.1 = Instant::now();
            println!("{} seeds, {:.0} a minute", total.0.runs, per_minute(total.0.runs, start));
        }
        is_violated
    });
    let Ok((total, _)) = total.into_inner() else { bail!("a thread panicked") };
    summary(&total, options, start);
    Ok(if total.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn per_minute(runs: u64, start: Instant) -> f64 {
    runs as f64 * 60.0 / start.elapsed().as_secs_f64()
}

fn summary(total: &Total, options: &Options, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "\n{} seeds in {seconds:.1} s, {:.0} a minute; {} events; {:.1} hours of a cluster's time; {} records acknowledged",
        total.runs,
        per_minute(total.runs, start),
        total.events,
        total.virtual_ms as f64 / 3_600_000.0,
        total.acked
    );
    let [lost, twice, late] = total.messages;
    println!("messages lost {lost}, delivered twice {twice}, late {late}");
    println!("{:<18} {:>8} {:>8}", "fault", "struck", "skipped");
    for family in Family::ALL {
        let count =
            |counts: &std::collections::BTreeMap<Family, u64>| counts.get(&family).copied().unwrap_or(0);
        let (struck, skipped) = (count(&total.strikes.struck), count(&total.strikes.skipped));
        let remark = match (options.faults.contains(&family), struck) {
            (false, _) => "not asked for",
            (true, 0) => "NEVER STRUCK",
            _ => "",
        };
        println!("{:<18} {struck:>8} {skipped:>8} {remark}", family.name());
    }
    println!("{} violations", total.violations.len());
    let mut properties: std::collections::BTreeMap<&str, Vec<u64>> = Default::default();
    for report in &total.violations {
        if let Some(violation) = &report.violation {
            properties.entry(violation.property).or_default().push(report.seed);
        }
    }
    for (property, seeds) in properties {
        println!("  {property}: {} seeds, first {:?}", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
}
