//! A controller that comes back with the disk of a quorum that was lost and founded anew.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use klamm_harness::{Cluster, ClusterSpec, Roles, until};
use klamm_wire::Str;
use klamm_wire::messages::describe_quorum_request::{
    DescribeQuorumRequest, PartitionData as Asked, TopicData,
};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than it takes until an observer is in the place of a silent voter.
const LONG: Duration = Duration::from_secs(8);
const NODES: [i32; 4] = [100, 101, 102, 0];
/// The controller that gets its old disk back.
const BACK: i32 = 102;

/// Every controller that has the log: node id and disk.
fn members(cluster: &Cluster) -> Result<Vec<(i32, Uuid)>> {
    let topic_name = Str::from("__cluster_metadata");
    let topic = TopicData { topic_name, partitions: vec![Asked::default()], ..Default::default() };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let answer = cluster.client().call(2, &request)?;
    let Some(partition) = answer.topics.first().and_then(|topic| topic.partitions.first()) else {
        anyhow::bail!("the quorum is not described");
    };
    let all = partition.current_voters.iter().chain(&partition.observers);
    let members = all.map(|one| (one.replica_id, one.replica_directory_id));
    let mut members: Vec<_> = members.filter(|(id, _)| *id >= 100).collect();
    members.sort_unstable();
    Ok(members)
}

#[test]
fn a_controller_with_the_disk_of_a_lost_quorum_is_kept_out_and_says_what_to_do() -> Result<()> {
    let mut cluster = ClusterSpec::new(1).roles(Roles::Separate { controllers: 3 }).start()?;
    (0..5).try_for_each(|n| cluster.client().create_topic(&format!("old-{n}"), 1, &[]))?;
    cluster.kill_all()?;
    let (dir, aside) = (cluster.data_dir(BACK)?, cluster.data_dir(BACK)?.with_extension("aside"));
    fs::rename(&dir, &aside)?;
    fs::create_dir(&dir)?;
    NODES.iter().try_for_each(|id| cluster.wipe(*id))?;
    NODES.iter().try_for_each(|id| cluster.restart(*id))?;
    cluster.wait_ready_of(0)?;
    cluster.client().create_topic("new", 1, &[])?;
    cluster.kill(BACK)?;
    cluster.controller()?;
    let before = members(&cluster)?;
    fs::remove_dir_all(&dir)?;
    fs::rename(&aside, &dir)?;
    cluster.restart(BACK)?;
    let complaint = "is of another metadata quorum than this one";
    until(PATIENCE, "it says what is wrong", || {
        Ok(fs::read_to_string(cluster.log(BACK)?)?.contains(complaint).then_some(()))
    })?;
    sleep(LONG);
    let now = members(&cluster)?;
    ensure!(now == before, "the members were {before:?} and are {now:?}");
    cluster.kill(BACK)?;
    cluster.wipe(BACK)?;
    cluster.restart(BACK)?;
    until(PATIENCE, "the empty disk is let in", || {
        let members = members(&cluster)?;
        let own = cluster.directory_id(BACK)?;
        Ok(members.contains(&(BACK, own)).then_some(()))
    })?;
    ensure!(cluster.client().topology()?.topics() == ["new"], "the topics are others");
    cluster.succeed();
    Ok(())
}
