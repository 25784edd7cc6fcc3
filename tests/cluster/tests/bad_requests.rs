//! Well-formed requests that ask for what cannot be: Kafka's own error code, and nothing changes.

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use klamm_harness::{Client, Cluster, ProduceError, coordinator};
use klamm_records::BatchBuilder;
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::{ErrorCode, Str};

const TOPIC: &str = "inbox";

fn batch(value: &[u8], producer: Option<(i64, i16, i32)>) -> Result<BytesMut> {
    let mut builder = BatchBuilder::new(0);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    builder.push(0, None, Some(value), &[])?;
    Ok(builder.finish()?)
}

fn assert_refused(client: &mut Client, batch: Bytes, acks: i16, expected: ErrorCode) -> Result<()> {
    match client.produce_batch(TOPIC, 0, acks, batch) {
        Err(ProduceError::Refused(code)) if code == expected => Ok(()),
        other => anyhow::bail!("expected {}, got {other:?}", expected.name()),
    }
}

#[test]
fn damaged_batches_are_refused_and_leave_no_trace() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    let good = batch(b"value", None)?;
    // Byte 17 is the checksum's first, 61 the first record's; byte 16 is the magic.
    for (position, expected) in [
        (17, ErrorCode::CorruptMessage),
        (63, ErrorCode::CorruptMessage),
        (good.len() - 1, ErrorCode::CorruptMessage),
    ] {
        let mut bad = good.clone();
        bad[position] ^= 0x40;
        assert_refused(&mut client, bad.freeze(), -1, expected)?;
    }
    let end = client.offset_at(TOPIC, 0, -1)?;
    ensure!(end == 0, "refused batches took offsets up to {end}");
    ensure!(client.produce(TOPIC, 0, &["fine"])? == 0, "the partition goes on at offset 0");
    cluster.succeed();
    Ok(())
}

#[test]
fn batches_that_are_cut_or_doubled_are_refused() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    let good = batch(b"value", None)?;
    let doubled = [good.clone(), good.clone()].concat();
    for bytes in [&good[..10], &good[..40], &good[..good.len() - 1], &doubled[..], &[][..], &[0xff; 200][..]]
    {
        let answer = client.produce_batch(TOPIC, 0, -1, Bytes::copy_from_slice(bytes));
        ensure!(matches!(answer, Err(ProduceError::Refused(_))), "{} bytes: {answer:?}", bytes.len());
    }
    ensure!(client.offset_at(TOPIC, 0, -1)? == 0, "nothing was stored");
    cluster.succeed();
    Ok(())
}

#[test]
fn record_over_the_limit_is_too_large() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[("max.message.bytes", "1000")])?;
    assert_refused(&mut client, batch(&[b'x'; 2000], None)?.freeze(), -1, ErrorCode::MessageTooLarge)?;
    assert_refused(&mut client, batch(&[b'x'; 2000], None)?.freeze(), 1, ErrorCode::MessageTooLarge)?;
    ensure!(client.produce(TOPIC, 0, &["small"])? == 0, "the partition goes on at offset 0");
    cluster.succeed();
    Ok(())
}

#[test]
fn acks_other_than_kafka_s_are_refused() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    assert_refused(&mut client, batch(b"v", None)?.freeze(), 2, ErrorCode::InvalidRequiredAcks)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn sequences_of_a_producer_are_checked() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    let (id, epoch) = client.producer_id()?;
    let send = |client: &mut Client, sequence| -> Result<_> {
        Ok(client.produce_batch(TOPIC, 0, -1, batch(b"v", Some((id, epoch, sequence)))?.freeze()))
    };
    for sequence in 0..3 {
        let answer = send(&mut client, sequence)?;
        ensure!(matches!(answer, Ok(offset) if offset == i64::from(sequence)), "{answer:?}");
    }
    let gap = send(&mut client, 5)?;
    ensure!(matches!(gap, Err(ProduceError::Refused(ErrorCode::OutOfOrderSequenceNumber))), "{gap:?}");
    let again = send(&mut client, 1)?;
    ensure!(matches!(again, Ok(1)), "a repeated batch has its first offset: {again:?}");
    let stale = client.produce_batch(TOPIC, 0, -1, batch(b"v", Some((id, epoch - 1, 0)))?.freeze());
    ensure!(matches!(stale, Err(ProduceError::Refused(_))), "an older epoch: {stale:?}");
    // The producer's state is on disk, too.
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    let mut client = cluster.client();
    cluster.leader_of(TOPIC, 0)?;
    let again = send(&mut client, 2)?;
    ensure!(matches!(again, Ok(2)), "a repeated batch after a restart: {again:?}");
    ensure!(client.offset_at(TOPIC, 0, -1)? == 3, "records in the log");
    cluster.succeed();
    Ok(())
}

#[test]
fn topic_names_that_would_leave_the_directory_are_refused() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    let long = "x".repeat(250);
    for name in ["with/slash", "..", ".", "", "../../etc", "nul\0", "space here", "__cluster_metadata", &long]
    {
        let code = client.try_create_topic(name, 1, &[])?;
        ensure!(code == ErrorCode::InvalidTopicException, "{name:?}: {}", code.name());
    }
    for (partitions, expected) in [(0, ErrorCode::InvalidPartitions), (-5, ErrorCode::InvalidPartitions)] {
        let code = client.try_create_topic("counted", partitions, &[])?;
        ensure!(code == expected, "{partitions} partitions: {}", code.name());
    }
    let code = client.try_create_topic("configured", 1, &[("retention.ms", "soon")])?;
    ensure!(code == ErrorCode::InvalidConfig, "{}", code.name());
    ensure!(client.topology()?.topics().is_empty(), "no topic was made");
    cluster.succeed();
    Ok(())
}

#[test]
fn offsets_of_groups_are_out_of_reach_for_producers() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    coordinator(&mut client, "readers")?;
    match client.produce_batch("__consumer_offsets", 0, -1, batch(b"not an offset", None)?.freeze()) {
        Err(ProduceError::Refused(ErrorCode::InvalidTopicException)) => {}
        other => anyhow::bail!("accepted: {other:?}"),
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn partitions_cannot_shrink() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 3, &[])?;
    for count in [2, 3, 0, -1] {
        let topic = CreatePartitionsTopic { name: Str::from(TOPIC), count, ..Default::default() };
        let request =
            CreatePartitionsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
        let answer = client.call(3, &request)?;
        let code = answer.results.first().map(|r| ErrorCode::from_code(r.error_code));
        ensure!(code == Some(ErrorCode::InvalidPartitions), "{count} partitions: {code:?}");
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn offsets_outside_of_the_log_and_unknown_partitions_are_named() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    client.produce(TOPIC, 0, &["a", "b"])?;
    let address = cluster.address(0)?;
    for (topic, partition, from, expected) in [
        (TOPIC, 0, 5, ErrorCode::OffsetOutOfRange),
        (TOPIC, 0, -7, ErrorCode::OffsetOutOfRange),
        (TOPIC, 9, 0, ErrorCode::UnknownTopicOrPartition),
        ("nowhere", 0, 0, ErrorCode::UnknownTopicOrPartition),
    ] {
        let error = client.fetch_at(&address, topic, partition, from).err().map(|e| e.to_string());
        ensure!(error.as_deref() == Some(expected.name()), "{topic}-{partition} from {from}: {error:?}");
    }
    cluster.succeed();
    Ok(())
}
