//! Starting, watching, adopting and stopping the processes of a cluster.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;

use support::{Site, is_alive, manifest, signal};

#[test]
#[ignore = "plays the broker when another test starts this program"]
fn stand_in_for_a_broker() {
    support::stand_in();
}

#[test]
fn a_cluster_comes_up_and_stops_and_keeps_its_ports_and_id() {
    let site = Site::new(3);
    let up = site.up();
    let first = site.wait_ready(3);
    assert_eq!(first["bootstrap"].as_str().unwrap().split(',').count(), 3);
    let pids = site.pids();
    assert!(up.terminate());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    let stopped = site.status();
    assert_eq!((&stopped["ready"], &stopped["brokers"][0]["pid"]), (&false.into(), &serde_json::Value::Null));
    let up = site.up();
    let second = site.wait_ready(3);
    assert_eq!((&first["bootstrap"], &first["clusterId"]), (&second["bootstrap"], &second["clusterId"]));
    assert!(up.terminate());
}

#[test]
fn a_node_that_dies_is_started_again() {
    let site = Site::new(3);
    let up = site.up();
    site.wait_ready(3);
    let victim = site.pids()[1];
    signal(victim, "KILL");
    site.wait_for("a restart", |status| {
        status["ready"] == true
            && status["brokers"][1]["restarts"] == 1
            && status["brokers"][1]["pid"] != victim
    });
    assert!(site.output().contains("node 1 died (signal: 9 (SIGKILL)); it is started again in 0.1 s"));
    assert!(up.terminate());
}

#[test]
fn nodes_that_survive_a_killed_up_are_taken_over() {
    let site = Site::new(3);
    let up = site.up();
    site.wait_ready(3);
    let pids = site.pids();
    up.kill();
    signal(pids[2], "KILL");
    let up = site.up();
    let id = up.id();
    site.wait_for("adoption", |status| status["operator"] == id && status["ready"] == true);
    assert_eq!(site.pids()[..2], pids[..2]);
    assert_ne!(site.pids()[2], pids[2]);
    assert!(up.terminate());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn down_stops_what_a_killed_up_left_behind() {
    let site = Site::new(1);
    let up = site.up();
    site.wait_ready(1);
    let pids = site.pids();
    up.kill();
    assert!(is_alive(pids[0]));
    assert!(site.run("down", &[]).status.success());
    assert!(!is_alive(pids[0]));
}

#[test]
fn a_second_up_names_the_holder_of_the_directory() {
    let site = Site::new(1);
    let up = site.up();
    site.wait_ready(1);
    let second = site.run("up", &[]);
    assert!(!second.status.success());
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains(&format!("is held by klamm-operator up with pid {}", up.id())), "{error}");
    assert!(error.contains("klamm-operator down --data"), "{error}");
    assert!(up.terminate());
}

#[test]
fn a_detached_up_returns_when_ready_and_down_stops_it() {
    let site = Site::new(3);
    let up = site.run("up", &["--detach"]);
    let said = String::from_utf8(up.stdout).unwrap();
    assert!(up.status.success(), "{said}");
    assert!(said.contains("c is ready.") && said.contains("klamm-operator down --data"), "{said}");
    let status = site.run("status", &["-o", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["ready"], true);
    let pids = site.pids();
    assert!(site.run("down", &[]).status.success());
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    let text = String::from_utf8(site.run("status", &[]).stdout).unwrap();
    assert!(text.starts_with("c  not ready  not running"), "{text}");
}

#[test]
fn an_edit_adds_a_fourth_node_and_a_bad_edit_touches_nothing() {
    let site = Site::new(3);
    let up = site.up();
    site.wait_ready(3);
    let pids = site.pids();
    site.write_manifest(&manifest(3).replace("replicas", "replcas"));
    site.wait_for("refusal", |status| status["conditions"][2]["reason"] == "InvalidSpec");
    assert!(site.output().contains(
        "line 7: KafkaCluster c: spec.kafka.replcas: there is no such field; did you mean replicas?"
    ));
    site.write_manifest(&manifest(1));
    site.wait_for("refusal", |status| {
        status["conditions"][2]["message"]
            .as_str()
            .is_some_and(|message| message.contains("scaling down is refused"))
    });
    assert_eq!(site.pids(), pids);
    site.write_manifest(&manifest(4));
    let grown = site.wait_ready(4);
    assert_eq!(grown["brokers"][3]["roles"], serde_json::json!(["broker"]));
    assert_eq!(site.pids()[..3], pids);
    assert!(up.terminate());
}

#[test]
fn a_port_in_use_is_named_before_anything_is_started() {
    let site = Site::new(3);
    let up = site.up();
    let status = site.wait_ready(3);
    assert!(up.terminate());
    let state = || std::fs::read_to_string(site.data().join("state.json")).unwrap();
    let before = state();
    // The last port of the last node: whoever looks at nodes one by one has started the others by then.
    for (field, purpose) in [("kafka", "plaintext"), ("http", "http")] {
        let address = status["brokers"][2][field].as_str().unwrap();
        let taken = TcpListener::bind(address).unwrap();
        let error = site.up().fails();
        let port = address.rsplit(':').next().unwrap();
        let named = format!(
            "port {port} of node 2 ({purpose}) is in use by another process: stop that process, or give the cluster \
             another directory with --data"
        );
        assert!(error.contains(&named), "{error}");
        assert_eq!(state(), before, "a node was started");
        drop(taken);
    }
    let up = site.up();
    site.wait_ready(3);
    assert!(up.terminate());
}

#[test]
fn a_node_that_cannot_stay_up_ends_it_with_the_end_of_its_log() {
    let site = Site::new(1);
    site.write_program(&site.path("broker"), "echo the disk belongs to another cluster; exit 1");
    let error = site.up().fails();
    assert!(error.contains("node 0 does not stay up (exit status: 1)"), "{error}");
    assert!(error.contains("the disk belongs to another cluster"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_the_way_out() {
    let site = Site::new(1);
    std::fs::write(site.data(), "a file").unwrap();
    let up = site.run("up", &[]);
    assert!(!up.status.success());
    let error = String::from_utf8(up.stderr).unwrap();
    assert!(
        error.contains("cannot use data directory") && error.contains("choose another one with --data"),
        "{error}"
    );
    std::fs::remove_file(site.data()).unwrap();
}

#[test]
fn a_directory_of_another_cluster_is_refused() {
    let site = Site::new(1);
    let up = site.up();
    site.wait_ready(1);
    assert!(up.terminate());
    site.write_manifest(&manifest(1).replace("name: c", "name: other"));
    let up = site.run("up", &[]);
    let error = String::from_utf8(up.stderr).unwrap();
    assert!(error.contains("holds the cluster c, and the manifest asks for other"), "{error}");
}

#[test]
fn a_changed_configuration_waits_while_the_cluster_does_not_say_how_its_partitions_are() {
    let site = Site::new(3);
    let up = site.up();
    site.wait_ready(3);
    let pids = site.pids();
    site.write_manifest(&(manifest(3) + "    config: {log.retention.hours: 1}\n"));
    site.wait_for("a held restart", |status| status["conditions"][1]["reason"] == "Rolling");
    let stored = std::fs::read_to_string(site.data().join("node-0/server.properties")).unwrap();
    assert!(stored.contains("log.retention.hours=1"));
    assert_eq!(site.pids(), pids);
    assert!(up.terminate());
}
