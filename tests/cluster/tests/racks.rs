//! `broker.rack`: told to clients, and replicas of new partitions are spread over racks (KIP-36).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Cluster, ClusterSpec};
use klamm_wire::messages::describe_cluster_request::DescribeClusterRequest;
use klamm_wire::messages::metadata_request::MetadataRequest;

const RACKS: [&str; 4] = ["a", "a", "b", "b"];

fn cluster() -> Result<Cluster> {
    let spec = ClusterSpec::new(4).property("default.replication.factor", "2");
    let spec = (0..).zip(RACKS).fold(spec, |spec, (id, rack)| spec.property_of(id, "broker.rack", rack));
    spec.start()
}

fn rack_of(id: i32) -> Result<&'static str> {
    RACKS.get(usize::try_from(id)?).copied().with_context(|| format!("there is no broker {id}"))
}

#[test]
fn clients_are_told_the_racks_and_replicas_are_spread_over_them() -> Result<()> {
    let cluster = cluster()?;
    let mut client = cluster.client();
    client.create_topic("spread", 12, &[])?;
    let metadata = client.call(12, &MetadataRequest { topics: None, ..Default::default() })?;
    for broker in &metadata.brokers {
        ensure!(broker.rack.as_deref() == Some(rack_of(broker.node_id)?), "Metadata says {broker:?}");
    }
    let described = client.call(1, &DescribeClusterRequest { endpoint_type: 1, ..Default::default() })?;
    ensure!((metadata.brokers.len(), described.brokers.len()) == (4, 4));
    for broker in &described.brokers {
        ensure!(
            broker.rack.as_deref() == Some(rack_of(broker.broker_id)?),
            "DescribeCluster says {broker:?}"
        );
    }
    let topic = metadata.topics.iter().find(|topic| topic.name.as_deref() == Some("spread"));
    let mut leaders = [0; 4];
    for partition in &topic.context("the topic")?.partitions {
        let replicas = &partition.replica_nodes;
        let racks = replicas.iter().map(|id| rack_of(*id)).collect::<Result<BTreeSet<_>>>()?;
        ensure!((replicas.len(), racks.len()) == (2, 2), "{partition:?} is in the racks {racks:?}");
        leaders[usize::try_from(replicas[0])?] += 1;
    }
    ensure!(leaders == [3; 4], "preferred leaders are even: {leaders:?}");
    cluster.succeed();
    Ok(())
}
