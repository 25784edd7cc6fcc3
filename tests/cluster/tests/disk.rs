//! What is on our disks, as Kafka's own tool reads it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use klamm_harness::{Cluster, Load, suite};
use klamm_records::{BatchBuilder, Compression};

const TOPIC: &str = "dumped";

/// Words of `kafka.tools.DumpLogSegments` that mean that something does not fit.
const COMPLAINTS: &[&str] = &[
    "isvalid: false",
    "Exception",
    "mismatch",
    "Mismatches",
    "Non-consecutive",
    "out of order",
    "Found timestamp",
];

/// Runs Kafka's dump tool over files; returns what it printed.
fn dump(files: &[PathBuf], options: &[&str]) -> Result<String> {
    let names: Vec<_> = files.iter().map(|f| f.to_str().context("a path in UTF-8")).collect::<Result<_>>()?;
    let output = suite::command("java", "127.0.0.1:1")?
        .args(["tool", "org.apache.kafka.tools.DumpLogSegments", "--files", &names.join(",")])
        .args(options)
        .output()?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "kafka-dump-log ends with {}: {text}", output.status);
    let text = without_first_offsets(&text);
    for complaint in COMPLAINTS {
        ensure!(!text.contains(complaint), "kafka-dump-log says {complaint:?} of {names:?}:\n{text}");
    }
    Ok(text)
}

/// With several files the tool calls it a gap that a segment does not start at offset 0 ("-1 is followed by 3000"), on
/// Apache Kafka's own segments too. Every other gap stays.
fn without_first_offsets(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = Vec::with_capacity(lines.len());
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let is_first = |next: &&str| next.trim_start().starts_with("-1 is followed by ");
        if line.starts_with("Non-consecutive offsets in ") && lines.get(at + 1).is_some_and(is_first) {
            let more = lines.get(at + 2).is_some_and(|next| next.contains(" is followed by "));
            kept.extend(more.then_some(*line));
            at += 2;
            continue;
        }
        kept.push(line);
        at += 1;
    }
    kept.join("\n")
}

fn files_of(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Batches of every codec, enough of them for several segments and index entries.
fn fill(cluster: &Cluster) -> Result<usize> {
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[("segment.bytes", "1048576"), ("index.interval.bytes", "4096")])?;
    let mut records = 0;
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (round, codec) in (1i64..).zip(codecs.into_iter().cycle().take(150)) {
        let mut builder = BatchBuilder::new(0).compression(codec);
        for n in 0..20u32 {
            // Values that compress badly, so that size does not depend on the codec.
            let value: Vec<u8> = (0..1500u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) ^ n.wrapping_mul(40_503) >> 3) as u8)
                .collect();
            builder.push(1_700_000_000_000 + round * 1000 + i64::from(n), Some(b"key"), Some(&value), &[])?;
            records += 1;
        }
        client.produce_batch(TOPIC, 0, -1, builder.finish()?.freeze())?;
    }
    Ok(records)
}

#[test]
fn kafka_dump_log_reads_segments_indexes_and_snapshots() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let records = fill(&cluster)?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 1);
    load.wait_for_more(200)?;
    let produced = load.finish()?.len();
    cluster.terminate(0)?;
    let dir = cluster.data_dir(0)?.join(format!("{TOPIC}-0"));
    let segments = files_of(&dir, "log")?;
    ensure!(segments.len() > 1, "several segments, not {segments:?}");
    let text = dump(&segments, &["--deep-iteration", "--print-data-log"])?;
    let found = text.lines().filter(|line| line.starts_with("| offset:")).count();
    ensure!(found >= records + produced, "{found} records instead of {records} and {produced}");
    dump(&files_of(&dir, "index")?, &["--index-sanity-check"])?;
    dump(&files_of(&dir, "index")?, &[])?;
    dump(&files_of(&dir, "timeindex")?, &[])?;
    let snapshots = files_of(&dir, "snapshot")?;
    ensure!(!snapshots.is_empty(), "a producer snapshot of a clean stop");
    let text = dump(&snapshots, &[])?;
    ensure!(text.contains("producerId:"), "the producer's state in {text}");
    cluster.succeed();
    Ok(())
}

#[test]
fn kafka_dump_log_decodes_committed_offsets() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    suite::run("franz-go", &["manual_commit"], &cluster.bootstrap())?;
    cluster.terminate(0)?;
    let mut decoded = String::new();
    for entry in fs::read_dir(cluster.data_dir(0)?)? {
        let dir = entry?.path();
        if dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with("__consumer_offsets-")) {
            let filled: Vec<PathBuf> = files_of(&dir, "log")?
                .into_iter()
                .filter(|f| f.metadata().is_ok_and(|m| m.len() > 0))
                .collect();
            if !filled.is_empty() {
                decoded += &dump(&filled, &["--offsets-decoder"])?;
            }
        }
    }
    ensure!(decoded.contains("\"offset\":4"), "the committed offset in {decoded}");
    ensure!(decoded.contains("\"protocolType\":\"consumer\""), "the group's metadata in {decoded}");
    cluster.succeed();
    Ok(())
}

#[test]
fn copied_partition_has_the_same_bytes_on_every_replica() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 1);
    load.wait_for_more(500)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    cluster.terminate_all()?;
    let mut copies: Vec<Bytes> = Vec::new();
    for id in cluster.ids() {
        let segments = files_of(&cluster.data_dir(id)?.join(format!("{TOPIC}-0")), "log")?;
        copies.push(fs::read(segments.first().context("a segment")?)?.into());
    }
    ensure!(copies.iter().all(|copy| !copy.is_empty() && *copy == copies[0]), "the replicas differ");
    cluster.succeed();
    Ok(())
}
