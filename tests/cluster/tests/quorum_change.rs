//! Controllers that come, go and lose their disks while records are written and topics are made.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use klamm_harness::{Cluster, ClusterSpec, Load, Roles, until};
use klamm_wire::messages::add_raft_voter_request::{AddRaftVoterRequest, Listener};
use klamm_wire::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData as Asked, TopicData,
};
use klamm_wire::messages::describe_quorum_response::PartitionData;
use klamm_wire::messages::remove_raft_voter_request::RemoveRaftVoterRequest;
use klamm_wire::{ErrorCode, Str};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(40);
/// The longest that a change may stay half done once everybody is reachable.
const SETTLED: Duration = Duration::from_secs(10);
const TOPIC: &str = "payments";

fn spec() -> ClusterSpec {
    ClusterSpec::new(3).roles(Roles::Separate { controllers: 3 })
}

fn under_load(cluster: &Cluster) -> Result<Load> {
    cluster.client().create_topic(TOPIC, 3, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 3);
    load.wait_for_more(100)?;
    Ok(load)
}

/// The quorum as its leader describes it.
fn quorum(cluster: &Cluster) -> Result<PartitionData> {
    let topic_name = Str::from("__cluster_metadata");
    let topic = TopicData { topic_name, partitions: vec![Asked::default()], ..Default::default() };
    let answer =
        cluster.client().call(2, &DescribeQuorumRequest { topics: vec![topic], ..Default::default() })?;
    let mut topics = answer.topics;
    let mut partitions = topics.pop().context("a topic")?.partitions;
    partitions.pop().context("a partition")
}

/// Voters as (id, directory id), ascending.
fn voters(cluster: &Cluster) -> Result<Vec<(i32, Uuid)>> {
    let described = quorum(cluster)?.current_voters;
    let mut voters: Vec<_> =
        described.iter().map(|voter| (voter.replica_id, voter.replica_directory_id)).collect();
    voters.sort_unstable();
    Ok(voters)
}

fn ids(cluster: &Cluster) -> Result<Vec<i32>> {
    Ok(voters(cluster)?.into_iter().map(|(id, _)| id).collect())
}

fn wait_voters(cluster: &Cluster, wanted: &[i32], limit: Duration) -> Result<()> {
    until(limit, &format!("the voters are {wanted:?}"), || {
        let found = ids(cluster)?;
        ensure!(found == wanted, "they are {found:?}");
        Ok(Some(()))
    })
}

fn add(cluster: &Cluster, id: i32) -> Result<ErrorCode> {
    let address = cluster.controller_address(id)?;
    let (host, port) = address.rsplit_once(':').context("an address")?;
    let listener = Listener {
        name: "CONTROLLER".into(),
        host: Str::copy_from(host),
        port: port.parse()?,
        ..Default::default()
    };
    let request = AddRaftVoterRequest {
        cluster_id: None,
        timeout_ms: 20_000,
        voter_id: id,
        voter_directory_id: cluster.directory_id(id)?,
        listeners: vec![listener],
        ..Default::default()
    };
    let answer = cluster.client().call(1, &request)?;
    Ok(ErrorCode::from_code(answer.error_code))
}

fn remove(cluster: &Cluster, id: i32, directory_id: Uuid) -> Result<ErrorCode> {
    let request = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: id,
        voter_directory_id: directory_id,
        ..Default::default()
    };
    Ok(ErrorCode::from_code(cluster.client().call(0, &request)?.error_code))
}

/// Tries until it is done: the first answers may come from a leader that dies.
fn removed(cluster: &Cluster, id: i32, directory_id: Uuid) -> Result<()> {
    until(PATIENCE, &format!("{id} is removed"), || match remove(cluster, id, directory_id)? {
        ErrorCode::None | ErrorCode::VoterNotFound => Ok(Some(())),
        other => anyhow::bail!("{}", other.name()),
    })
}

#[test]
fn a_wiped_controller_disk_is_replaced_under_a_new_id_and_no_metadata_is_lost() -> Result<()> {
    let mut cluster = spec().start()?;
    let load = under_load(&cluster)?;
    let before = voters(&cluster)?;
    let leader = cluster.controller()?;
    let wiped = [100, 101, 102].into_iter().find(|id| *id != leader).context("a follower")?;
    cluster.kill(wiped)?;
    cluster.client().create_topic("without", 1, &[])?;
    cluster.wipe(wiped)?;
    let start = Instant::now();
    cluster.restart(wiped)?;
    until(PATIENCE, "the new disk votes", || {
        let now = voters(&cluster)?;
        let is_new = |(id, directory): &(i32, Uuid)| *id == wiped && !before.contains(&(*id, *directory));
        Ok((now.len() == 3 && now.iter().any(is_new)).then_some(()))
    })?;
    println!("a wiped disk was replaced within {:?}", start.elapsed());
    // Now it counts: the former leader goes, and what was decided without the new disk is still there.
    cluster.kill(leader)?;
    cluster.client().create_topic("after", 1, &[])?;
    let topology = cluster.client().topology()?;
    for topic in ["without", "after", TOPIC] {
        ensure!(topology.leader(topic, 0).is_ok(), "{topic} is lost");
    }
    load.wait_for_more(100)?;
    cluster.restart(leader)?;
    cluster.wait_ready()?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_wiped_controller_and_one_that_lags_do_not_form_a_majority() -> Result<()> {
    let mut cluster = spec().start()?;
    let leader = cluster.controller()?;
    let others: Vec<i32> = [100, 101, 102].into_iter().filter(|id| *id != leader).collect();
    let (lags, wiped) = (others[0], others[1]);
    cluster.kill(lags)?;
    cluster.client().create_topic("committed", 1, &[])?;
    cluster.kill(wiped)?;
    cluster.kill(leader)?;
    cluster.wipe(wiped)?;
    cluster.restart(lags)?;
    cluster.restart(wiped)?;
    // The wiped one knows after its first questions that there was a quorum before.
    until(PATIENCE, "the wiped controller says what it waits for", || {
        Ok(fs::read_to_string(cluster.log(wiped)?)?
            .contains("the metadata quorum is there already")
            .then_some(()))
    })?;
    for id in [lags, wiped] {
        let log = fs::read_to_string(cluster.log(id)?)?;
        let led = log.matches("this node is the active controller").count();
        ensure!(led == 0, "{id} was elected without what was committed");
    }
    cluster.restart(leader)?;
    cluster.wait_ready()?;
    ensure!(cluster.client().topology()?.leader("committed", 0).is_ok(), "a committed topic is lost");
    cluster.succeed();
    Ok(())
}

#[test]
fn three_controllers_become_five_and_three_again_under_load_with_kills_between() -> Result<()> {
    let mut cluster = spec().start()?;
    let load = under_load(&cluster)?;
    let founders = voters(&cluster)?;
    for id in [103, 104] {
        cluster.add_controller(id)?;
        cluster.wait_ready_of(id)?;
        until(PATIENCE, &format!("{id} observes"), || {
            Ok(quorum(&cluster)?.observers.iter().any(|one| one.replica_id == id).then_some(()))
        })?;
        ensure!(add(&cluster, id)? == ErrorCode::None, "{id} is not added");
        ensure!(add(&cluster, id)? == ErrorCode::DuplicateVoter, "{id} is added twice");
    }
    wait_voters(&cluster, &[100, 101, 102, 103, 104], PATIENCE)?;
    // Two of five may go, the leader first.
    let leader = cluster.controller()?;
    let other = [100, 101, 102].into_iter().find(|id| *id != leader).context("another")?;
    cluster.kill(leader)?;
    cluster.kill(other)?;
    cluster.client().create_topic("with-three-of-five", 1, &[])?;
    load.wait_for_more(100)?;
    cluster.restart(leader)?;
    cluster.restart(other)?;
    cluster.wait_ready()?;
    for (id, directory_id) in founders.into_iter().take(2) {
        removed(&cluster, id, directory_id)?;
    }
    wait_voters(&cluster, &[102, 103, 104], PATIENCE)?;
    cluster.terminate(100)?;
    cluster.terminate(101)?;
    cluster.client().create_topic("with-the-new-three", 1, &[])?;
    load.wait_for_more(100)?;
    // Brokers and controllers find the quorum again although none of them was told of the new nodes by its configuration.
    cluster.kill(102)?;
    cluster.client().create_topic("with-none-of-the-old", 1, &[])?;
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_removal_whose_leader_is_killed_is_settled_soon_after() -> Result<()> {
    let mut cluster = spec().start()?;
    let load = under_load(&cluster)?;
    let known = voters(&cluster)?;
    let leader = cluster.controller()?;
    let (id, directory_id) = *known.iter().find(|(id, _)| *id != leader).context("a follower")?;
    // The follower is stopped, so that the removal needs the other two; the leader dies in the middle of it.
    cluster.pause(id)?;
    let mut client = cluster.client();
    let request = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: id,
        voter_directory_id: directory_id,
        ..Default::default()
    };
    let asking = std::thread::spawn(move || client.call(0, &request));
    cluster.kill(leader)?;
    cluster.resume(id)?;
    cluster.restart(leader)?;
    let healed = Instant::now();
    // Lost with the leader, refused, or done: all are answers.
    let _answer = asking.join();
    let rest: Vec<i32> = known.iter().map(|(other, _)| *other).filter(|other| *other != id).collect();
    let all: Vec<i32> = known.iter().map(|(other, _)| *other).collect();
    let settled = until(SETTLED, "the voters are settled", || {
        let now = ids(&cluster)?;
        Ok((now == all || now == rest).then_some(now))
    })?;
    cluster.client().create_topic("after", 1, &[])?;
    println!("settled as {settled:?} within {:?}", healed.elapsed());
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_controller_far_behind_gets_a_snapshot_and_starts_from_it() -> Result<()> {
    let mut cluster = spec()
        .property("metadata.log.max.record.bytes.between.snapshots", "20000")
        .property("klamm.quorum.snapshot.keep.entries", "5")
        .start()?;
    let leader = cluster.controller()?;
    let away = [100, 101, 102].into_iter().find(|id| *id != leader).context("a follower")?;
    cluster.kill(away)?;
    let snapshot = |cluster: &Cluster, id: i32| -> Result<Option<String>> {
        let dir = cluster.data_dir(id)?.join("__cluster_metadata-0");
        let names = fs::read_dir(dir)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.ends_with(".checkpoint")).max())
    };
    let had = snapshot(&cluster, away)?;
    for topic in 0..25 {
        cluster.client().create_topic(&format!("many-{topic}"), 20, &[])?;
    }
    until(PATIENCE, "the leader has purged its log", || {
        let purged = cluster.data_dir(leader)?.join("__cluster_metadata-0/purged");
        Ok((purged.exists() && snapshot(&cluster, leader)?.is_some()).then_some(()))
    })?;
    cluster.restart(away)?;
    until(PATIENCE, "the controller that was away has a snapshot", || {
        Ok((snapshot(&cluster, away)? > had).then_some(()))
    })?;
    cluster.kill(away)?;
    cluster.restart(away)?;
    cluster.wait_ready()?;
    cluster.kill(leader)?;
    // A majority needs it now.
    cluster.client().create_topic("after", 1, &[])?;
    ensure!(cluster.client().topology()?.leader("many-24", 19).is_ok(), "metadata is lost");
    cluster.succeed();
    Ok(())
}
