//! Nodes that fall silent without closing anything: a process that is stopped, a machine that vanishes. Others take over
//! within two seconds, also when the active controller is silent too, and whoever comes back, at another address too, is
//! taken in again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use klamm_harness::namespace::{self, Machine};
use klamm_harness::{Client, Cluster, ClusterSpec, Load, Place, until};

const PATIENCE: Duration = Duration::from_secs(40);
/// From the last sign of a leader to an acknowledged record under the next one.
const GAP: Duration = Duration::from_secs(2);
const TOPIC: &str = "payments";

/// How long it takes, from now, until a record is acknowledged by another leader of `payments-0` and all in sync with it.
fn takeover(cluster: &Cluster, silent: i32) -> Result<Duration> {
    let start = Instant::now();
    let mut clients = Vec::new();
    for id in cluster.broker_ids().into_iter().filter(|id| *id != silent) {
        clients.push(Client::new(&cluster.address(id)?));
    }
    until(PATIENCE, "every other broker knows another leader", || {
        for client in &mut clients {
            let leader = client.topology()?.leader(TOPIC, 0)?;
            ensure!(leader != silent, "{silent} still leads");
        }
        Ok(Some(()))
    })?;
    clients[0].produce(TOPIC, 0, &["acknowledged"])?;
    Ok(start.elapsed())
}

/// Makes the leader silent and measures, `rounds` times; the shortest counts, as the machine may be busy with more.
fn measure(cluster: &mut Cluster, rounds: usize, is_controller: bool) -> Result<()> {
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
        let silent = leader_that(cluster, is_controller)?;
        cluster.pause(silent)?;
        gaps.push(takeover(cluster, silent)?);
        cluster.resume(silent)?;
    }
    println!("silent leader, controller too: {is_controller}; gaps: {gaps:?}");
    check(&gaps)
}

fn check(gaps: &[Duration]) -> Result<()> {
    ensure!(gaps.iter().min().is_some_and(|gap| *gap < GAP), "none of {gaps:?} is below {GAP:?}");
    Ok(())
}

/// The leader of `payments-0`, once it is, or is not, the active controller as well: it stops and returns until then.
fn leader_that(cluster: &mut Cluster, is_controller: bool) -> Result<i32> {
    loop {
        let (leader, controller) = (cluster.leader_of(TOPIC, 0)?, cluster.controller()?);
        if (leader == controller) == is_controller {
            return Ok(leader);
        }
        let moves = if is_controller { controller } else { leader };
        cluster.terminate(moves)?;
        cluster.restart(moves)?;
        cluster.wait_ready()?;
        cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    }
}

fn spec() -> ClusterSpec {
    // Leaders stay where a test has put them.
    ClusterSpec::new(3).property("auto.leader.rebalance.enable", "false")
}

#[test]
fn silent_leader_is_replaced_within_two_seconds() -> Result<()> {
    let mut cluster = spec().start()?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    measure(&mut cluster, 3, false)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn silent_leader_that_is_the_controller_is_replaced_too() -> Result<()> {
    let mut cluster = spec().start()?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    measure(&mut cluster, 3, true)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn nobody_is_fenced_while_nothing_is_wrong() -> Result<()> {
    let cluster = spec().start()?;
    cluster.client().create_topic(TOPIC, 3, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 3);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        load.wait_for_more(50)?;
    }
    load.finish()?.verify(&mut cluster.client())?;
    for id in cluster.broker_ids() {
        let log = std::fs::read_to_string(cluster.log(id)?)?;
        ensure!(!log.contains("has been fenced"), "node {id} was fenced");
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn vanished_machine_is_replaced_and_taken_in_again() -> Result<()> {
    if !namespace::enter("vanished_machine_is_replaced_and_taken_in_again")? {
        return Ok(());
    }
    Machine::switch()?;
    let machines = [1, 2, 3].map(Machine::plug_in).into_iter().collect::<Result<Vec<_>>>()?;
    let mut spec = spec();
    for (id, machine) in (0..).zip(&machines) {
        spec = spec.place(id, machine.place());
    }
    let mut cluster = spec.start()?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    for is_controller in [false, true] {
        let mut gaps = Vec::new();
        for _ in 0..2 {
            cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
            let silent = leader_that(&mut cluster, is_controller)?;
            let machine = &machines[usize::try_from(silent)?];
            machine.vanish()?;
            gaps.push(takeover(&cluster, silent)?);
            machine.come_back()?;
            cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
        }
        println!("vanished leader, controller too: {is_controller}; gaps: {gaps:?}");
        check(&gaps)?;
    }
    cluster.succeed();
    Ok(())
}

const NAMES: [&str; 3] = ["kafka-0.test", "kafka-1.test", "kafka-2.test"];

fn hosts(folder: &Path, addresses: [&str; 3]) -> Result<()> {
    let pairs: Vec<_> = NAMES.into_iter().zip(addresses).collect();
    namespace::set_hosts(folder, &pairs)
}

#[test]
fn node_that_returns_at_another_address_is_found_by_its_name() -> Result<()> {
    if !namespace::enter("node_that_returns_at_another_address_is_found_by_its_name")? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut now = ["127.0.0.10", "127.0.0.11", "127.0.0.12"];
    hosts(folder.path(), now)?;
    let mut spec = ClusterSpec::new(3);
    for (id, name) in (0..).zip(NAMES) {
        spec = spec.place(id, Place { host: name.to_owned(), ..Place::default() });
    }
    let mut cluster = spec.start()?;
    cluster.client().create_topic(TOPIC, 3, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 3);
    load.wait_for_more(100)?;
    for (id, moved) in [(2, "127.0.0.22"), (0, "127.0.0.20"), (1, "127.0.0.21")] {
        cluster.terminate(id)?;
        now[usize::try_from(id)?] = moved;
        hosts(folder.path(), now)?;
        cluster.restart(id)?;
        cluster.wait_ready_of(id)?;
        (0..3).try_for_each(|partition| cluster.wait_isr(TOPIC, partition, &[0, 1, 2]))?;
        load.wait_for_more(100)?;
    }
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}
