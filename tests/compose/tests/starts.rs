//! Single containers: without a word, as Testcontainers starts them, as Kubernetes does, and wrongly.

use std::time::Duration;

use anyhow::{Result, ensure};
use klamm_compose_tests::{APACHE_KAFKA, CP_KAFKA, Container, IMAGE};
use klamm_harness::{Client, until};

const RUNNING: &str = "Transitioning from RECOVERY to RUNNING";
const STARTED: &str = "Kafka Server started";

/// Environment options in the form that `docker create` takes.
fn variables(pairs: &[&'static str]) -> Vec<&'static str> {
    pairs.iter().flat_map(|pair| ["--env", *pair]).collect()
}

/// What Testcontainers sets for one node, whatever its language.
fn testcontainers() -> Vec<&'static str> {
    variables(&[
        "CLUSTER_ID=4L6g3nShT-eMCtK--X86sw",
        "KAFKA_NODE_ID=1",
        "KAFKA_BROKER_ID=1",
        "KAFKA_PROCESS_ROLES=broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094",
        "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME=BROKER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
        "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
    ])
}

/// The port of this machine behind a port of the container.
fn published(container: &Container, port: u16) -> Result<String> {
    let format = format!("{{{{(index (index .NetworkSettings.Ports \"{port}/tcp\") 0).HostPort}}}}");
    Ok(format!("localhost:{}", container.inspect(&format)?))
}

/// Waits for the port, hands over the script as Testcontainers does, and uses the broker.
fn start_by_script(container: &Container, port: u16, path: &str, script: &str) -> Result<()> {
    let address =
        until(Duration::from_secs(10), "the port is published", || published(container, port).map(Some))?;
    let file = std::env::temp_dir().join(format!("klamm-{}-{port}.sh", address.replace(':', "-")));
    std::fs::write(&file, script.replace("ADDRESS", &address))?;
    std::os::unix::fs::chown(&file, Some(0), Some(0))?;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    container.copy(&file.display().to_string(), path)?;
    std::fs::remove_file(file)?;
    container.wait_for_line(RUNNING)?;
    container.wait_for_line(STARTED)?;
    use_broker(&address)
}

fn use_broker(address: &str) -> Result<()> {
    let mut client = Client::new(address);
    client.create_topic("greetings", 1, &[])?;
    client.produce("greetings", 0, &["hello"])?;
    ensure!(client.read_all("greetings", 0)?.len() == 1, "what was written is read");
    Ok(())
}

#[test]
fn testcontainers_of_java_start_the_apache_image() -> Result<()> {
    let mut arguments = testcontainers();
    arguments.extend(variables(&["KAFKA_LISTENERS=PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094"]));
    arguments.extend(["--publish", "0:9092", APACHE_KAFKA, "sh", "-c"]);
    arguments.push(
        "while [ ! -f /tmp/testcontainers_start.sh ]; do sleep 0.1; done; /tmp/testcontainers_start.sh",
    );
    let container = Container::run(&arguments)?;
    let script = "#!/bin/bash\nexport KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://ADDRESS,BROKER://$(hostname):9093\n\
                  /etc/kafka/docker/run\n";
    start_by_script(&container, 9092, "/tmp/testcontainers_start.sh", script)
}

#[test]
fn testcontainers_of_java_start_the_confluent_image() -> Result<()> {
    let mut arguments = testcontainers();
    arguments.extend(variables(&[
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094",
    ]));
    arguments.extend(["--publish", "0:9092", CP_KAFKA, "sh", "-c"]);
    arguments.push(
        "while [ ! -f /tmp/testcontainers_start.sh ]; do sleep 0.1; done; /tmp/testcontainers_start.sh",
    );
    let container = Container::run(&arguments)?;
    let script = "#!/bin/bash\nexport KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://ADDRESS,BROKER://$(hostname -i):9093\n\
                  /etc/confluent/docker/run\n";
    start_by_script(&container, 9092, "/tmp/testcontainers_start.sh", script)
}

#[test]
fn testcontainers_of_go_edit_the_scripts_before_they_run_them() -> Result<()> {
    let mut arguments = testcontainers();
    arguments.extend(variables(&[
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
        "KAFKA_REST_BOOTSTRAP_SERVERS=PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
    ]));
    arguments.extend(["--publish", "0:9093", "--entrypoint", "sh", CP_KAFKA, "-c"]);
    arguments.push("while [ ! -f /usr/sbin/testcontainers_start.sh ]; do sleep 0.1; done; bash /usr/sbin/testcontainers_start.sh");
    let container = Container::run(&arguments)?;
    let script = "#!/bin/bash\nsource /etc/confluent/docker/bash-config\n\
        export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://ADDRESS,BROKER://$(hostname):9092\n\
        echo Starting Kafka KRaft mode\n\
        sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure\n\
        echo 'kafka-storage format --ignore-formatted -t \"$(kafka-storage random-uuid)\" -c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure\n\
        echo '' > /etc/confluent/docker/ensure\n\
        /etc/confluent/docker/configure\n/etc/confluent/docker/launch\n";
    start_by_script(&container, 9093, "/usr/sbin/testcontainers_start.sh", script)
}

#[test]
fn testcontainers_of_python_do_the_same_from_sh() -> Result<()> {
    let mut arguments = testcontainers();
    arguments.extend(variables(&[
        "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
    ]));
    arguments.extend(["--publish", "0:9093", CP_KAFKA, "sh", "-c"]);
    arguments.push("while [ ! -f /tc-start.sh ]; do sleep 0.1; done; sh /tc-start.sh");
    let container = Container::run(&arguments)?;
    let script = "\n#!/bin/bash\n\
        sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure\n\
        echo 'kafka-storage format --ignore-formatted -t 4L6g3nShT-eMCtK--X86sw -c /etc/kafka/kafka.properties' >> /etc/confluent/docker/configure\n\
        export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://ADDRESS,BROKER://$(hostname -i):9092\n\
        . /etc/confluent/docker/bash-config\n\
        /etc/confluent/docker/configure\n/etc/confluent/docker/launch\n";
    start_by_script(&container, 9093, "/tc-start.sh", script)
}

#[test]
fn without_a_variable_it_is_a_single_node_for_this_machine() -> Result<()> {
    let container = Container::run(&["--publish", "9092:9092", IMAGE])?;
    container.wait_for_line(RUNNING)?;
    use_broker("localhost:9092")?;
    let meta = container.exec(&["cat", "/tmp/kraft-combined-logs/meta.properties"])?;
    ensure!(meta.contains("cluster.id=5L6g3nShT-eMCtK--X86sw"), "{meta}");
    container.kill("TERM")?;
    ensure!(container.wait()? == 0, "it stops when asked:\n{}", container.logs()?);
    Ok(())
}

#[test]
fn arguments_are_variables_and_a_mounted_file_comes_first() -> Result<()> {
    let file = std::env::temp_dir().join(format!("klamm-mounted-{}.properties", std::process::id()));
    std::fs::write(
        &file,
        "node.id=7\nprocess.roles=broker,controller\ncontroller.quorum.voters=7@localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nnum.partitions=2\n",
    )?;
    let volume = format!("{}:/mnt/shared/config/server.properties:ro", file.display());
    let container = Container::run(&[
        "--volume",
        &volume,
        APACHE_KAFKA,
        "/etc/kafka/docker/run",
        "KAFKA_NUM_PARTITIONS=5",
    ])?;
    container.wait_for_line(RUNNING)?;
    let server = ["--bootstrap-server", "localhost:9092"];
    container.exec(&[&["kafka-topics"], &server[..], &["--create", "--topic", "t"]].concat())?;
    let described = container.exec(
        &[&["/opt/kafka/bin/kafka-topics.sh"], &server[..], &["--describe", "--topic", "t"]].concat(),
    )?;
    ensure!(described.contains("PartitionCount: 5") && described.contains("Leader: 7"), "{described}");
    std::fs::remove_file(file)?;
    Ok(())
}

/// As the operator's pods run: nothing may be written but the data, and nobody gains a privilege.
#[test]
fn a_read_only_root_and_no_privileges_are_enough() -> Result<()> {
    let container = Container::run(&[
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--user",
        "1000:1000",
        IMAGE,
        "klamm-broker",
        "--override",
        "process.roles=broker,controller",
        "--override",
        "node.id=0",
        "--override",
        "controller.quorum.voters=0@localhost:9090",
        "--override",
        "controller.listener.names=CONTROLLER",
        "--override",
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9090",
        "--override",
        "klamm.http.listener=0.0.0.0:8080",
        "--override",
        "log.dirs=/var/lib/kafka/data/klamm",
    ])?;
    container.wait_for_line(RUNNING)?;
    let health = container.exec(&["wget", "-q", "-O", "-", "http://localhost:8080/healthz"])?;
    ensure!(!health.is_empty(), "health is served");
    Ok(())
}

#[test]
fn the_image_is_no_roots_and_says_what_it_is() -> Result<()> {
    let container = Container::create(&[IMAGE])?;
    ensure!(
        container.inspect("{{.Config.User}}")? == "1000:1000",
        "a number, so that Kubernetes can check it"
    );
    ensure!(container.inspect("{{json .Config.ExposedPorts}}")?.contains("9092/tcp"), "the port");
    ensure!(container.inspect("{{json .Config.Volumes}}")?.contains("/var/lib/kafka/data"), "the volume");
    ensure!(
        container.inspect("{{json .Config.Labels}}")?.contains("org.opencontainers.image.title"),
        "labels"
    );
    Ok(())
}

#[test]
fn what_confluents_image_requires_is_asked_for_in_its_words() -> Result<()> {
    let role = "KAFKA_PROCESS_ROLES=broker,controller";
    let id = "CLUSTER_ID=any text";
    for (given, said) in [
        (vec![], "KAFKA_PROCESS_ROLES is required."),
        (vec![role], "CLUSTER_ID is required."),
        (vec![role, id], "KAFKA_ADVERTISED_LISTENERS is required."),
        (
            vec!["KAFKA_PROCESS_ROLES=controller", id, "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://a:1"],
            "KAFKA_ADVERTISED_LISTENERS is not supported on a KRaft controller.",
        ),
        (
            vec![role, id, "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://a:1", "KAFKA_PORT=9092"],
            "KAFKA_PORT is deprecated. Please use KAFKA_ADVERTISED_LISTENERS instead.",
        ),
    ] {
        let mut arguments = variables(&given);
        arguments.extend([CP_KAFKA, "/etc/confluent/docker/run"]);
        let container = Container::run(&arguments)?;
        ensure!(container.wait()? == 1, "{given:?} ends with 1");
        ensure!(container.logs()?.contains(said), "{said:?} in:\n{}", container.logs()?);
    }
    Ok(())
}

#[test]
fn variables_that_kubernetes_adds_for_a_service_change_nothing() -> Result<()> {
    let mut arguments = testcontainers();
    arguments.extend(variables(&[
        "KAFKA_LISTENERS=PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094",
        "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092,BROKER://localhost:9093",
        "KAFKA_PORT=tcp://10.96.0.9:9092",
        "KAFKA_SERVICE_HOST=10.96.0.9",
        "KAFKA_SERVICE_PORT=9092",
        "KAFKA_PORT_9092_TCP=tcp://10.96.0.9:9092",
        "KAFKA_PORT_9092_TCP_ADDR=10.96.0.9",
    ]));
    arguments.extend([CP_KAFKA, "/etc/confluent/docker/run"]);
    let container = Container::run(&arguments)?;
    container.wait_for_line(RUNNING)?;
    ensure!(!container.logs()?.contains("mean nothing"), "nothing to say:\n{}", container.logs()?);
    Ok(())
}
