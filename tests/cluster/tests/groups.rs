//! Consumer groups, step by step with a raw client: membership, generations, and offsets that outlive coordinators.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use klamm_harness::{Cluster, ClusterSpec, Joined, Member, committed, coordinator, until};
use klamm_wire::ErrorCode;

const GROUP: &str = "readers";
const TOPIC: &str = "news";
const SESSION: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);

fn member(cluster: &Cluster) -> Member {
    Member::new(cluster.client(), GROUP, SESSION)
}

/// Joins alone and takes everything.
fn settle(member: &mut Member) -> Result<Joined> {
    let joined = member.join()?;
    ensure!(joined.leader == member.id && joined.members == [member.id.as_str()], "{joined:?}");
    let part = member.sync(&[(member.id.clone(), b"all")])?;
    ensure!(part.as_ref() == b"all", "assigned {part:?}");
    Ok(joined)
}

/// Waits until a heartbeat says that the group rebalances.
fn wait_rebalance(member: &mut Member) -> Result<()> {
    until(PATIENCE, "a heartbeat tells of the rebalance", || match member.heartbeat()? {
        ErrorCode::RebalanceInProgress => Ok(Some(())),
        ErrorCode::None => Ok(None),
        code => Err(anyhow!("{}", code.name())),
    })
}

#[test]
fn member_joins_beats_and_leaves() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut member = member(&cluster);
    let joined = settle(&mut member)?;
    ensure!(joined.generation == 1, "{joined:?}");
    ensure!(member.heartbeat()?.is_none(), "a member in good standing");
    member.generation = 7;
    let code = member.heartbeat()?;
    ensure!(code == ErrorCode::IllegalGeneration, "another generation: {}", code.name());
    member.generation = 1;
    member.leave()?;
    let code = member.heartbeat()?;
    ensure!(code == ErrorCode::UnknownMemberId, "after leaving: {}", code.name());
    cluster.succeed();
    Ok(())
}

#[test]
fn second_member_causes_a_rebalance_into_one_new_generation() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let (mut first, mut second) = (member(&cluster), member(&cluster));
    settle(&mut first)?;
    let joining = std::thread::spawn(move || second.join().map(|joined| (second, joined)));
    wait_rebalance(&mut first)?;
    let joined = first.join()?;
    let (mut second, other) = joining.join().map_err(|_| anyhow!("a member panicked"))??;
    ensure!(joined.generation == 2 && other.generation == 2, "{joined:?} and {other:?}");
    ensure!(joined.leader == first.id && other.leader == first.id, "one leader, who stays");
    ensure!(joined.members.len() == 2 && other.members.is_empty(), "the leader alone is told the members");
    let follower = second.id.clone();
    let waiting = std::thread::spawn(move || second.sync(&[]).map(|part| (second, part)));
    let part = first.sync(&[(first.id.clone(), b"left"), (follower, b"right")])?;
    let (mut second, other) = waiting.join().map_err(|_| anyhow!("a member panicked"))??;
    ensure!(part.as_ref() == b"left" && other.as_ref() == b"right", "{part:?} and {other:?}");
    second.leave()?;
    wait_rebalance(&mut first)?;
    ensure!(settle(&mut first)?.generation == 3, "the one who stays gets a generation of its own");
    cluster.succeed();
    Ok(())
}

#[test]
fn member_that_falls_silent_is_removed_after_its_session() -> Result<()> {
    let cluster = ClusterSpec::new(1).property("group.min.session.timeout.ms", "100").start()?;
    let mut silent = Member::new(cluster.client(), GROUP, Duration::from_millis(1_000));
    settle(&mut silent)?;
    let mut next = member(&cluster);
    // The join waits for the silent member and must end with its session, not with its rebalance timeout.
    let joined = next.join()?;
    ensure!(joined.members == [next.id.as_str()], "{joined:?}");
    let code = silent.heartbeat()?;
    ensure!(code == ErrorCode::UnknownMemberId, "the silent one returns: {}", code.name());
    cluster.succeed();
    Ok(())
}

#[test]
fn commit_of_a_stranger_is_refused() -> Result<()> {
    let cluster = Cluster::start(1)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let mut inside = member(&cluster);
    settle(&mut inside)?;
    let mut outside = member(&cluster);
    outside.id = "nobody".to_owned();
    outside.generation = 1;
    let code = outside.commit(TOPIC, 0, 5)?;
    ensure!(code == ErrorCode::UnknownMemberId, "a stranger: {}", code.name());
    inside.generation = 0;
    let code = inside.commit(TOPIC, 0, 5)?;
    ensure!(code == ErrorCode::IllegalGeneration, "an older generation: {}", code.name());
    ensure!(committed(&mut cluster.client(), GROUP, TOPIC, 0)?.is_none(), "nothing is committed");
    cluster.succeed();
    Ok(())
}

#[test]
fn offsets_and_members_outlive_the_coordinator() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, 2, &[])?;
    let mut member = member(&cluster);
    settle(&mut member)?;
    for offset in 1..=20 {
        ensure!(member.commit(TOPIC, 0, offset)?.is_none() && member.commit(TOPIC, 1, 2 * offset)?.is_none());
    }
    for round in 1..=2 {
        let mut client = cluster.client();
        let (first, _) = coordinator(&mut client, GROUP)?;
        cluster.kill(first)?;
        let (second, _) = until(PATIENCE, "another node coordinates", || {
            Ok(Some(coordinator(&mut client, GROUP)?).filter(|(id, _)| *id != first))
        })?;
        ensure!(second != first);
        for (partition, offset) in [(0, 19 + round), (1, 40)] {
            let found = committed(&mut client, GROUP, TOPIC, partition)?;
            ensure!(found == Some(offset), "{TOPIC}-{partition} is committed at {found:?}, not {offset}");
        }
        let code = member.heartbeat()?;
        ensure!(code.is_none(), "the member of the old coordinator: {}", code.name());
        ensure!(member.commit(TOPIC, 0, 20 + round)?.is_none(), "the member goes on committing");
        cluster.restart(first)?;
        cluster.wait_ready()?;
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn offsets_outlive_all_brokers() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let mut member = member(&cluster);
    settle(&mut member)?;
    ensure!(member.commit(TOPIC, 0, 41)?.is_none() && member.commit(TOPIC, 0, 42)?.is_none());
    cluster.kill_all()?;
    for id in cluster.ids() {
        cluster.restart(id)?;
    }
    cluster.wait_ready()?;
    let found = committed(&mut cluster.client(), GROUP, TOPIC, 0)?;
    ensure!(found == Some(42), "committed at {found:?}");
    let code = member.heartbeat()?;
    ensure!(code.is_none(), "the member is known: {}", code.name());
    cluster.succeed();
    Ok(())
}
