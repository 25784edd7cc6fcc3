//! The table of broker keys about identity, listeners, threads and connections.

use super::spec::{Check, ConfigKind, ConfigSpec, Update, key};
use Check::{Any, AtLeast, SomeOf};
use ConfigKind::{Boolean, Int, List, Long, String};
use Update::{ClusterWide, ReadOnly};

#[rustfmt::skip]
pub(super) const TABLE: &[ConfigSpec] = &[
    key("node.id", Int, None, AtLeast(0), ReadOnly, "The id of this node in the cluster."),
    key("broker.id", Int, Some("-1"), AtLeast(-1), ReadOnly, "Old name of node.id."),
    key("broker.rack", String, None, Any, ReadOnly, "Failure domain of this broker; replicas of a partition are spread over racks."),
    key("process.roles", List, None, SomeOf(&["broker", "controller"]), ReadOnly, "What this process is: broker, controller or both."),
    key("listeners", List, Some("PLAINTEXT://:9092"), Any, ReadOnly, "Addresses to listen on, as NAME://host:port."),
    key("advertised.listeners", List, None, Any, ReadOnly, "Addresses told to clients; those of listeners when not set."),
    key("listener.security.protocol.map", String, Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, ReadOnly, "Security protocol of each listener name."),
    key("inter.broker.listener.name", String, None, Any, ReadOnly, "The listener that brokers use among themselves."),
    key("security.inter.broker.protocol", String, Some("PLAINTEXT"), Any, ReadOnly, "Security protocol between brokers when no inter-broker listener is named."),
    key("controller.listener.names", List, None, Any, ReadOnly, "Listeners of the controllers."),
    key("control.plane.listener.name", String, None, Any, ReadOnly, "Taken for compatibility; controllers have their own listeners."),
    key("early.start.listeners", List, None, Any, ReadOnly, "Listeners that answer before the broker is unfenced; those of the controllers when not set."),
    key("num.network.threads", Int, Some("3"), AtLeast(1), ClusterWide, "Taken for compatibility; connections share the worker threads."),
    key("num.io.threads", Int, Some("8"), AtLeast(1), ClusterWide, "Threads for requests that wait for a disk."),
    key("background.threads", Int, Some("10"), AtLeast(1), ClusterWide, "Threads for background work."),
    key("queued.max.requests", Int, Some("500"), AtLeast(1), ReadOnly, "Requests that may wait before the network stops reading."),
    key("queued.max.request.bytes", Long, Some("-1"), Any, ReadOnly, "Bytes of requests that may wait before the network stops reading; -1 is no limit."),
    key("socket.send.buffer.bytes", Int, Some("204800"), AtLeast(-1), ReadOnly, "Send buffer of a socket, in bytes; -1 is the system's default."),
    key("socket.receive.buffer.bytes", Int, Some("-1"), AtLeast(-1), ReadOnly, "Receive buffer of a socket, in bytes; -1 is the system's default."),
    key("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), ReadOnly, "Largest request, in bytes."),
    key("socket.listen.backlog.size", Int, Some("50"), AtLeast(1), ReadOnly, "Connections that may wait to be accepted."),
    key("max.connections", Int, Some("2147483647"), AtLeast(0), ClusterWide, "Connections that this broker accepts."),
    key("max.connections.per.ip", Int, Some("2147483647"), AtLeast(0), ClusterWide, "Connections accepted from one address."),
    key("max.connections.per.ip.overrides", String, Some(""), Any, ClusterWide, "Limits for single addresses, as address:limit pairs."),
    key("max.connection.creation.rate", Int, Some("2147483647"), AtLeast(0), ClusterWide, "New connections a second that this broker accepts."),
    key("connections.max.idle.ms", Long, Some("600000"), Any, ReadOnly, "Idle time after which a connection is closed, in milliseconds."),
    key("connections.max.reauth.ms", Long, Some("0"), Any, ReadOnly, "Longest life of an authenticated session, in milliseconds; 0 is no limit."),
    key("connection.failed.authentication.delay.ms", Int, Some("100"), AtLeast(0), ReadOnly, "Delay before a connection that failed to authenticate is closed, in milliseconds."),
    key("request.timeout.ms", Int, Some("30000"), AtLeast(1), ReadOnly, "Longest wait for an answer from another node, in milliseconds."),
    key("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024), ReadOnly, "Bytes that one Fetch answers at most."),
    key("max.request.partition.size.limit", Int, Some("2000"), AtLeast(1), ReadOnly, "Partitions in one answer of DescribeTopicPartitions."),
    key("max.incremental.fetch.session.cache.slots", Int, Some("1000"), AtLeast(0), ReadOnly, "Fetch sessions that are kept."),
    key("metric.reporters", List, Some(""), Any, ClusterWide, "Taken for compatibility; metrics are served for Prometheus."),
    key("klamm.http.listener", String, Some("0.0.0.0:9404"), Any, ReadOnly, "Address of health checks and metrics."),
    key("klamm.log.format", String, Some("text"), Check::OneOf(&["text", "json"]), ReadOnly, "Format of the log lines."),
    key("delete.topic.enable", Boolean, Some("true"), Any, ReadOnly, "Whether topics may be deleted."),
    key("auto.create.topics.enable", Boolean, Some("true"), Any, ReadOnly, "Whether asking for an unknown topic creates it."),
];
