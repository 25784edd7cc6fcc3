//! `examples/compose.yaml`: three nodes serve inside their network and outside, and the loss of one loses nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use klamm_compose_tests::{Project, spring};
use klamm_harness::{Client, Load, until};

const OUTSIDE: &str = "localhost:9092,localhost:9192,localhost:9292";
const INSIDE: &str = "kafka-1:29092,kafka-2:29092,kafka-3:29092";
const NODES: [(&str, &str); 3] = [("kafka-1", "healthy"), ("kafka-2", "healthy"), ("kafka-3", "healthy")];
const TOPIC: &str = "under-load";

fn wait_in_sync(client: &mut Client, isr: &[i32]) -> Result<()> {
    until(Duration::from_secs(30), &format!("all partitions have the ISR {isr:?}"), || {
        let topology = client.topology()?;
        let mut found = (0..3).map(|partition| topology.isr(TOPIC, partition));
        let all = found.all(|found| {
            found.is_ok_and(|mut found| {
                found.sort_unstable();
                found == isr
            })
        });
        Ok(all.then_some(()))
    })
}

#[test]
fn three_nodes_serve_inside_and_outside_and_survive_the_loss_of_one() -> Result<()> {
    let project = Project::up("examples/compose.yaml")?;
    project.wait(&NODES)?;
    let mut client = Client::new(OUTSIDE);
    ensure!(client.topology()?.brokers() == [1, 2, 3], "all three are known");

    let network = project.network("kafka");
    let from_inside = std::thread::spawn(move || spring::inside(&network, INSIDE));
    spring::outside(OUTSIDE)?;
    from_inside.join().map_err(|_| anyhow::anyhow!("the application inside panicked"))??;

    client.create_topic(TOPIC, 3, &[])?;
    let load = Load::start(OUTSIDE, TOPIC, 3);
    load.wait_for_more(500)?;
    project.kill("kafka-2")?;
    load.wait_for_more(1000)?;
    wait_in_sync(&mut client, &[1, 3])?;
    project.start("kafka-2")?;
    project.wait(&NODES)?;
    wait_in_sync(&mut client, &[1, 2, 3])?;
    load.wait_for_more(500)?;
    load.finish()?.verify(&mut client)?;

    // The others know the killed one again, and it knows them.
    let known = project.exec(
        "kafka-2",
        &["kafka-metadata-quorum", "--bootstrap-server", "localhost:29092", "describe", "--replication"],
    )?;
    ensure!(known.lines().count() == 4, "three controllers: {known}");
    Ok(())
}
