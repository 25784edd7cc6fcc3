//! Disruption grants with real processes: a node is stopped with leave, comes back, and the next one gets its turn.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, Cluster, ClusterSpec, Load, Roles, until};
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::begin_disruption_response::BeginDisruptionResponse;
use klamm_wire::messages::describe_disruptions_request::DescribeDisruptionsRequest;
use klamm_wire::messages::describe_disruptions_response::DisruptionGrant;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;

const PATIENCE: Duration = Duration::from_secs(30);
const TOPIC: &str = "payments";

fn begin_for(client: &mut Client, node_id: i32, duration_ms: i32) -> Result<BeginDisruptionResponse> {
    let (holder, reason) = ("tests".into(), "image changed".into());
    let request = BeginDisruptionRequest { node_id, holder, reason, duration_ms, ..Default::default() };
    let answer = client.call(0, &request)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(answer)
}

fn begin(client: &mut Client, node: i32) -> Result<BeginDisruptionResponse> {
    begin_for(client, node, 60_000)
}

/// Asks until it is granted: the first answers after a start may still find something that catches up.
fn granted(client: &mut Client, node: i32) -> Result<i64> {
    until(PATIENCE, &format!("node {node} may stop"), || {
        let answer = begin(client, node)?;
        ensure!(answer.granted, "{:?}", answer.blockers);
        Ok(Some(answer.grant_id))
    })
}

fn kinds(answer: &BeginDisruptionResponse) -> Vec<&str> {
    answer.blockers.iter().map(|blocker| &*blocker.kind).collect()
}

fn grants(client: &mut Client) -> Result<Vec<DisruptionGrant>> {
    let answer = client.call(0, &DescribeDisruptionsRequest::default())?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(answer.grants)
}

fn the_grant(client: &mut Client) -> Result<DisruptionGrant> {
    grants(client)?.pop().context("a grant is out")
}

fn end(client: &mut Client, node_id: i32, grant_id: i64) -> Result<()> {
    let answer = client.call(0, &EndDisruptionRequest { node_id, grant_id, ..Default::default() })?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

#[test]
fn nodes_restart_one_after_another_each_with_leave() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 3, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 3);
    load.wait_for_more(100)?;
    for node in cluster.ids() {
        let grant = granted(&mut client, node)?;
        ensure!(!the_grant(&mut client)?.restored, "node {node} has not even stopped");
        let second = begin(&mut client, (node + 1) % 3)?;
        ensure!(kinds(&second).contains(&"OtherDisruption"), "{second:?}");
        cluster.terminate(node)?;
        ensure!(!the_grant(&mut client)?.restored, "node {node} is down");
        cluster.restart(node)?;
        until(PATIENCE, &format!("node {node} is restored"), || {
            let grant = the_grant(&mut client)?;
            Ok(grant.restored.then_some(()))
        })?;
        cluster.wait_ready_of(node)?;
        (0..3).try_for_each(|partition| cluster.wait_isr(TOPIC, partition, &[0, 1, 2]))?;
        ensure!(granted(&mut client, node)? == grant, "the same holder gets the same grant");
        end(&mut client, node, grant)?;
        end(&mut client, node, grant)?;
        ensure!(grants(&mut client)?.is_empty());
    }
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn nobody_else_may_stop_while_a_node_is_down() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 3, &[])?;
    (0..3).try_for_each(|partition| cluster.wait_isr(TOPIC, partition, &[0, 1, 2]))?;
    cluster.kill(2)?;
    let denied = begin(&mut client, 1)?;
    ensure!(!denied.granted && kinds(&denied).contains(&"Quorum"), "{denied:?}");
    let quorum = denied.blockers.first().context("a blocker")?;
    ensure!(
        (quorum.have, quorum.need) == (1, 2) && quorum.message.ends_with("not caught up: 2."),
        "{quorum:?}"
    );
    until(PATIENCE, "the partitions stand against it", || {
        let denied = begin(&mut client, 1)?;
        let mut partitions: Vec<i32> =
            denied.blockers.iter().filter(|b| &*b.kind == "MinIsr").map(|b| b.partition).collect();
        partitions.sort_unstable();
        ensure!(!denied.granted && partitions == [0, 1, 2], "{denied:?}");
        Ok(Some(()))
    })?;
    ensure!(grants(&mut client)?.is_empty(), "a denial is no grant");
    let dead = granted(&mut client, 2)?;
    cluster.restart(2)?;
    until(PATIENCE, "node 2 is restored", || Ok(the_grant(&mut client)?.restored.then_some(())))?;
    end(&mut client, 2, dead)?;
    granted(&mut client, 1)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn second_controller_stays_until_the_first_is_back() -> Result<()> {
    let mut cluster = ClusterSpec::new(1).roles(Roles::Separate { controllers: 3 }).start()?;
    let mut client = cluster.client();
    let active = cluster.controller()?;
    let others: Vec<i32> = (100..103).filter(|id| *id != active).collect();
    cluster.kill(others[0])?;
    for second in [others[1], active] {
        let denied = begin(&mut client, second)?;
        ensure!(!denied.granted && kinds(&denied) == ["Quorum"], "{second}: {denied:?}");
    }
    cluster.restart(others[0])?;
    granted(&mut client, others[1])?;
    cluster.succeed();
    Ok(())
}

#[test]
fn grant_outlives_its_controller_and_ends_by_itself() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let mut client = cluster.client();
    let first = cluster.controller()?;
    let node = (first + 1) % 3;
    let grant = granted(&mut client, node)?;
    cluster.terminate(first)?;
    until(PATIENCE, "another controller knows the grant", || {
        let known = the_grant(&mut client)?;
        Ok((known.grant_id == grant && known.node_id == node).then_some(()))
    })?;
    let renewed = begin_for(&mut client, node, 1_500)?;
    ensure!(renewed.granted && renewed.grant_id == grant && renewed.expires_in_ms == 1_500, "{renewed:?}");
    until(PATIENCE, "the grant ends", || Ok(grants(&mut client)?.is_empty().then_some(())))?;
    cluster.succeed();
    Ok(())
}

#[test]
fn clients_are_told_nothing_of_it() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let answer = cluster.client().call(0, &ApiVersionsRequest::default())?;
    ensure!(answer.api_keys.iter().all(|api| api.api_key < 1_000), "{answer:?}");
    cluster.succeed();
    Ok(())
}
