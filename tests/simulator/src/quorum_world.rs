//! `klamm-sim --world quorum`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, bail};
use klamm_simulator::raft::{DURATION_MS, Fault, Options, Report, replay_command, run};

use crate::{Args, for_each_seed, mutation, per_minute};

/// What all runs together came to.
#[derive(Default)]
struct Total {
    runs: u64,
    events: u64,
    virtual_ms: u64,
    committed: u64,
    epochs: u64,
    installed: u64,
    noticed: u64,
    strikes: BTreeMap<Fault, u64>,
    violations: BTreeMap<&'static str, Vec<u64>>,
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.virtual_ms += report.virtual_ms;
        self.committed += report.committed;
        self.epochs += report.epochs;
        self.installed += report.installed;
        self.noticed += report.noticed;
        for (fault, count) in &report.strikes {
            *self.strikes.entry(*fault).or_default() += count;
        }
        if let Some(violation) = &report.violation {
            self.violations.entry(violation.property).or_default().push(report.seed);
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let Some(options) = options(args)? else { return Ok(ExitCode::SUCCESS) };
    std::panic::set_hook(Box::new(|_| {}));
    match args.seed {
        Some(seed) => one(seed, &options),
        None => many(args, &options),
    }
}

fn options(args: &Args) -> Result<Option<Options>> {
    let duration_ms = args.duration.map_or(DURATION_MS, i64::unsigned_abs);
    let mut options = Options { duration_ms, trace: args.trace, ..Options::default() };
    match args.faults.as_deref() {
        Some("list") => {
            Fault::ALL.iter().for_each(|fault| println!("{}", fault.name()));
            return Ok(None);
        }
        Some("none") => options.faults.clear(),
        Some(names) => {
            options.faults.clear();
            for name in names.split(',') {
                let Some(fault) = Fault::named(name) else { bail!("there is no fault named {name}") };
                options.faults.push(fault);
            }
        }
        None => {}
    }
    options.mutation = mutation(args)?;
    Ok(Some(options))
}

fn one(seed: u64, options: &Options) -> Result<ExitCode> {
    let report = run(seed, options);
    let again = run(seed, &Options { trace: false, ..options.clone() });
    if again.trace_hash != report.trace_hash {
        bail!("seed {seed} ran in two ways: {:016x} and {:016x}", report.trace_hash, again.trace_hash);
    }
    println!(
        "seed {seed}: trace {:016x}, {} events, {} proposals committed, {} epochs, {} ms of virtual time",
        report.trace_hash, report.events, report.committed, report.epochs, report.virtual_ms
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
    let total = Mutex::new(Total::default());
    for_each_seed(args, |seed| {
        let report = run(seed, options);
        print_violation(&report, options);
        let Ok(mut total) = total.lock() else { return true };
        total.add(&report);
        report.violation.is_some()
    });
    let Ok(total) = total.into_inner() else { bail!("a thread panicked") };
    summary(&total, options, start);
    Ok(if total.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(total: &Total, options: &Options, start: Instant) {
    println!(
        "\n{} seeds in {:.1} s, {:.0} a minute; {} events; {:.1} hours of a quorum's time; {} proposals committed",
        total.runs,
        start.elapsed().as_secs_f64(),
        per_minute(total.runs, start),
        total.events,
        total.virtual_ms as f64 / 3_600_000.0,
        total.committed
    );
    println!(
        "{} controller epochs, {} snapshots installed, {} damaged disks that no process started on",
        total.epochs, total.installed, total.noticed
    );
    for fault in Fault::ALL {
        let struck = total.strikes.get(&fault).copied().unwrap_or(0);
        let remark = match (options.faults.contains(&fault), struck) {
            (false, _) => "not asked for",
            (true, 0) => "NEVER STRUCK",
            _ => "",
        };
        println!("{:<18} {struck:>8} {remark}", fault.name());
    }
    println!("{} violations", total.violations.values().map(Vec::len).sum::<usize>());
    for (property, seeds) in &total.violations {
        println!("  {property}: {} seeds, first {:?}", seeds.len(), &seeds[..seeds.len().min(5)]);
    }
}
