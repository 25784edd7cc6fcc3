//! A cluster that grows while it runs.

use anyhow::{Result, ensure};
use klamm_harness::{Cluster, Load, until};

#[test]
fn fourth_broker_joins_under_load_and_gets_partitions_of_new_topics() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic("old", 3, &[])?;
    let load = Load::start(&cluster.bootstrap(), "old", 3);
    load.wait_for_more(100)?;
    cluster.add_broker(3)?;
    cluster.wait_ready()?;
    let mut client = cluster.client();
    until(std::time::Duration::from_secs(20), "all brokers know the fourth", || {
        Ok((client.topology()?.brokers().len() == 4).then_some(()))
    })?;
    client.create_topic("new", 8, &[])?;
    let topology = client.topology()?;
    let replicas = |p| topology.replicas("new", p).is_ok_and(|replicas| replicas.contains(&3));
    let leads = |p| topology.replicas("new", p).is_ok_and(|replicas| replicas.first() == Some(&3));
    ensure!(
        (0..8).filter(|p| replicas(*p)).count() == 6,
        "8 partitions with 3 replicas on 4 brokers: 6 each"
    );
    ensure!((0..8).filter(|p| leads(*p)).count() == 2, "8 partitions on 4 brokers: 2 leaders each");
    let newcomer = Load::start(&cluster.bootstrap(), "new", 8);
    newcomer.wait_for_more(400)?;
    // It is a replica like any other: what it led goes on without it, and it returns.
    cluster.kill(3)?;
    newcomer.wait_for_more(400)?;
    cluster.restart(3)?;
    cluster.wait_ready()?;
    for partition in 0..8 {
        let mut all = cluster.client().topology()?.replicas("new", partition)?;
        all.sort_unstable();
        cluster.wait_isr("new", partition, &all)?;
    }
    load.finish()?.verify(&mut cluster.client())?;
    newcomer.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}
