//! Starts that cannot work: the process ends at once and its last words name the thing.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Broker, Cluster, ClusterSpec};

const PATIENCE: Duration = Duration::from_secs(15);

/// Starts a broker that must end with an error; returns what it printed.
fn last_words(cluster: &Cluster, config: &Path) -> Result<String> {
    let log = config.with_extension("log");
    let mut broker = Broker::start(&[], cluster.binary(), config, &log)?;
    let status = broker.wait(PATIENCE).context("a process that cannot work ends")?;
    ensure!(!status.success(), "it ended with {status}");
    let text = fs::read_to_string(log)?;
    ensure!(!text.contains("panicked"), "a panic: {text}");
    Ok(text)
}

/// The first node's configuration with one property replaced, in a file of its own.
fn changed(cluster: &Cluster, key: &str, value: &str) -> Result<std::path::PathBuf> {
    let text = fs::read_to_string(cluster.config(0)?)?;
    let kept = text.lines().filter(|line| !line.starts_with(&format!("{key}=")));
    let lines: Vec<String> = kept.map(str::to_owned).chain([format!("{key}={value}")]).collect();
    let path = cluster.config(0)?.with_file_name(format!("changed-{key}.properties"));
    fs::write(&path, lines.join("\n"))?;
    Ok(path)
}

fn assert_names(words: &str, things: &[&str]) -> Result<()> {
    for thing in things {
        ensure!(words.contains(thing), "{thing:?} is not named in: {words}");
    }
    Ok(())
}

#[test]
fn port_in_use_is_named() -> Result<()> {
    let cluster = ClusterSpec::new(1).prepare()?;
    let address = cluster.address(0)?;
    let _squatter = TcpListener::bind(&address)?;
    let port = address.rsplit(':').next().context("a port")?.to_owned();
    assert_names(&last_words(&cluster, &cluster.config(0)?)?, &[&port])?;
    cluster.succeed();
    Ok(())
}

#[test]
fn data_directory_that_cannot_be_written_is_named() -> Result<()> {
    let cluster = ClusterSpec::new(1).prepare()?;
    let file = cluster.config(0)?.with_file_name("a-file");
    fs::write(&file, "in the way")?;
    let dir = file.join("data");
    let dir = dir.to_str().context("a path in UTF-8")?;
    assert_names(&last_words(&cluster, &changed(&cluster, "log.dirs", dir)?)?, &[dir])?;
    cluster.succeed();
    Ok(())
}

#[test]
fn disk_of_another_cluster_is_refused_and_left_alone() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    cluster.client().create_topic("kept", 1, &[])?;
    cluster.client().produce("kept", 0, &["value"])?;
    cluster.terminate(0)?;
    let words = last_words(&cluster, &changed(&cluster, "cluster.id", "another-cluster-entire")?)?;
    assert_names(&words, &["another-cluster-entire", "a2xhbW0taGFybmVzcy0wMQ"])?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    ensure!(cluster.client().read_all("kept", 0)?.len() == 1, "the data is untouched");
    cluster.succeed();
    Ok(())
}

#[test]
fn disk_of_another_node_is_refused() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    cluster.terminate(0)?;
    let config = changed(&cluster, "node.id", "7")?;
    let text = fs::read_to_string(&config)?.replace("quorum.voters=0@", "quorum.voters=7@");
    fs::write(&config, text)?;
    assert_names(&last_words(&cluster, &config)?, &["node", "0", "7"])?;
    cluster.succeed();
    Ok(())
}

#[test]
fn data_directory_in_use_is_named() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let free = klamm_harness::Ports::reserve(3)?.all();
    let text = fs::read_to_string(changed(&cluster, "klamm.http.listener", "none")?)?;
    let (kafka, controller) = (cluster.address(0)?, cluster.controller_address(0)?);
    let moved = text
        .replace(&kafka, &format!("127.0.0.1:{}", free[0]))
        .replace(&controller, &format!("127.0.0.1:{}", free[1]));
    let config = cluster.config(0)?.with_file_name("second.properties");
    fs::write(&config, moved)?;
    let dir = cluster.data_dir(0)?;
    assert_names(&last_words(&cluster, &config)?, &[dir.to_str().context("a path in UTF-8")?])?;
    ensure!(cluster.client().topology()?.brokers() == [0], "the first process goes on");
    cluster.succeed();
    Ok(())
}

#[test]
fn properties_that_cannot_be_are_named() -> Result<()> {
    let cluster = ClusterSpec::new(1).prepare()?;
    for (key, value) in [
        ("node.id", "first"),
        ("process.roles", "brokr"),
        ("controller.quorum.voters", "nonsense"),
        ("listeners", "127.0.0.1"),
        ("log.dirs", ""),
    ] {
        let words = last_words(&cluster, &changed(&cluster, key, value)?)?;
        assert_names(&words, &[key]).with_context(|| format!("{key}={value}"))?;
    }
    let missing = cluster.config(0)?.with_file_name("missing.properties");
    assert_names(&last_words(&cluster, &missing)?, &["missing.properties"])?;
    cluster.succeed();
    Ok(())
}
