//! Bytes that no client should send: a clear answer or a closed connection, and everybody else is served on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Cluster, Connection};
use klamm_wire::catalogue;
use klamm_wire::messages::api_versions_response::ApiVersionsResponse;

const PATIENCE: Duration = Duration::from_secs(10);

fn open(cluster: &Cluster) -> Result<Connection> {
    Connection::open(&cluster.address(0)?, PATIENCE)
}

/// The broker is the same process and serves a well-behaved client.
fn assert_alive(cluster: &mut Cluster, pid: u32) -> Result<()> {
    ensure!(cluster.pid(0)? == pid && cluster.http(0, "/healthz")?.0 == 200, "the broker is not healthy");
    let brokers = cluster.client().topology()?.brokers();
    ensure!(brokers == [0], "brokers {brokers:?}");
    Ok(())
}

/// A frame with a version 1 request header and the given body.
fn frame(api: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend_from_slice(&api.to_be_bytes());
    content.extend_from_slice(&version.to_be_bytes());
    content.extend_from_slice(&7i32.to_be_bytes());
    content.extend_from_slice(&4i16.to_be_bytes());
    content.extend_from_slice(b"test");
    if flexible {
        content.push(0);
    }
    content.extend_from_slice(body);
    let mut framed = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    framed.extend(content);
    framed
}

#[test]
fn frame_that_lies_about_its_length_closes_its_connection_alone() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let pid = cluster.pid(0)?;
    let mut bystander = open(&cluster)?;
    for size in [i32::MAX, i32::MIN, -1, 200 << 20] {
        let mut liar = open(&cluster)?;
        liar.send_raw(&size.to_be_bytes())?;
        liar.expect_closed().with_context(|| format!("size {size}"))?;
    }
    for size in [0i32, 3, 7] {
        let mut liar = open(&cluster)?;
        let mut bytes = size.to_be_bytes().to_vec();
        bytes.resize(bytes.len() + usize::try_from(size)?, 0);
        liar.send_raw(&bytes)?;
        liar.expect_closed().with_context(|| format!("size {size}"))?;
    }
    // Promises more than it sends, and leaves.
    open(&cluster)?.send_raw(&[0, 0, 1, 0, 0, 3])?;
    bystander.send_raw(&frame(18, 0, false, &[]))?;
    ensure!(bystander.read_frame()?.is_some(), "a connection of its own is not touched");
    assert_alive(&mut cluster, pid)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn array_that_lies_about_its_length_reserves_nothing() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let pid = cluster.pid(0)?;
    let before = resident_kib(pid)?;
    for _ in 0..20 {
        // Metadata v1: 2,147,483,647 topics. Metadata v12: the same as an unsigned varint. Produce v3: a huge array.
        for bytes in [
            frame(3, 1, false, &i32::MAX.to_be_bytes()),
            frame(3, 12, true, &[0xff, 0xff, 0xff, 0xff, 0x07]),
            frame(0, 3, false, &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]),
        ] {
            let mut liar = open(&cluster)?;
            liar.send_raw(&bytes)?;
            liar.expect_closed()?;
        }
    }
    let grown = resident_kib(pid)?.saturating_sub(before);
    ensure!(grown < 64 << 10, "the process grew by {grown} KiB");
    assert_alive(&mut cluster, pid)?;
    cluster.succeed();
    Ok(())
}

fn resident_kib(pid: u32) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn unknown_api_and_unknown_version_close_the_connection() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let pid = cluster.pid(0)?;
    for (api, version) in
        [(999, 0), (-1, 0), (i16::MAX, 3), (3, 99), (3, -1), (0, 2), (1, 100), (1000, 0), (62, 0)]
    {
        let mut client = open(&cluster)?;
        client.send_raw(&frame(api, version, false, &[0; 8]))?;
        client.expect_closed().with_context(|| format!("api {api} version {version}"))?;
    }
    assert_alive(&mut cluster, pid)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn unknown_version_of_api_versions_is_answered_in_version_0() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = open(&cluster)?;
    client.send_raw(&frame(18, 99, true, &[1, 2, 3]))?;
    let answer = client.read_frame()?.context("an answer")?;
    ensure!(answer.get(..4) == Some(&7i32.to_be_bytes()), "correlation id");
    let answer: ApiVersionsResponse = klamm_wire::decode_from_bytes(answer.slice(4..), 0)?;
    ensure!(answer.error_code == 35, "UNSUPPORTED_VERSION, not {}", answer.error_code);
    ensure!(answer.api_keys.iter().any(|k| k.api_key == 18), "it names the versions that it has");
    cluster.succeed();
    Ok(())
}

#[test]
fn garbage_in_every_api_harms_nobody() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let pid = cluster.pid(0)?;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 32) as u8
    };
    for api in catalogue::all() {
        for version in api.min..=api.max {
            for length in [0, 1, 5, 40, 400] {
                let body: Vec<u8> = (0..length).map(|_| byte()).collect();
                let mut client = open(&cluster)?;
                client.send_raw(&frame(api.key, version, api.is_flexible(version), &body))?;
                // An answer or a closed connection are both fine, and so is an empty body that asks for nothing and waits.
                drop(client);
            }
        }
        ensure!(cluster.pid(0)? == pid, "the broker died of api {}", api.name);
    }
    assert_alive(&mut cluster, pid)?;
    cluster.succeed();
    Ok(())
}
