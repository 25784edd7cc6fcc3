"""librdkafka through confluent-kafka: produce, consume, groups, rebalances, administration."""

import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition, ConsumerGroupTopicPartitions, IsolationLevel
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)

import topics
from suite import bootstrap, case, equal, run_cases, unique, until

ADMIN = AdminClient({"bootstrap.servers": bootstrap()})


def create(name, partitions=1, config=None):
    topic = unique(name)
    topics.create(ADMIN, [NewTopic(topic, partitions, config=config or {})])
    return topic


def producer(**settings):
    return Producer({"bootstrap.servers": bootstrap(), **{k.replace("_", "."): v for k, v in settings.items()}})


def send(topic, records, client=None, **fields):
    """Produces (key, value) pairs and waits for every acknowledgement; returns (partition, offset) in order."""
    client = client or producer()
    reports = []

    def acknowledged(error, message):
        reports.append(error or (message.partition(), message.offset()))

    for key, value in records:
        client.produce(topic, key=key, value=value, on_delivery=acknowledged, **fields)
        client.poll(0)
    equal(client.flush(25), 0, "records without an acknowledgement")
    for report in reports:
        if not isinstance(report, tuple):
            raise KafkaException(report)
    return reports


def consumer(group, **settings):
    return Consumer({
        "bootstrap.servers": bootstrap(), "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "topic.metadata.refresh.interval.ms": 1000,
        **{k.replace("_", "."): v for k, v in settings.items()}})


def read(client, count, seconds=20):
    """Reads exactly `count` messages."""
    messages, deadline = [], time.monotonic() + seconds
    while len(messages) < count and time.monotonic() < deadline:
        message = client.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        messages.append(message)
    equal(len(messages), count, "messages read")
    return messages


class Member(threading.Thread):
    """A group member that reads until it is stopped, committing when partitions are taken from it."""

    def __init__(self, group, topic):
        super().__init__(daemon=True)
        self.client = consumer(group)
        self.topic = topic
        self.assigned = set()
        self.rebalances = 0
        self.records = []
        self.error = None
        self.stopping = threading.Event()
        self.start()

    def on_assign(self, _client, partitions):
        self.rebalances += 1
        self.assigned = {p.partition for p in partitions}

    def on_revoke(self, client, _partitions):
        self.assigned = set()
        try:
            client.commit(asynchronous=False)
        except KafkaException as error:
            if error.args[0].name() != "_NO_OFFSET":
                raise

    def run(self):
        try:
            self.client.subscribe([self.topic], on_assign=self.on_assign, on_revoke=self.on_revoke)
            while not self.stopping.is_set():
                message = self.client.poll(0.1)
                if message is not None:
                    if message.error():
                        raise KafkaException(message.error())
                    self.records.append((message.partition(), message.offset(), message.key(), message.value()))
            self.client.close()
        except Exception as error:  # reported by the case that owns the member
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(20)
        if self.error:
            raise self.error


def spread(members, partitions):
    """True once the members share all partitions."""
    for member in members:
        if member.error:
            raise member.error
    owned = sorted(p for member in members for p in member.assigned)
    sizes = [len(member.assigned) for member in members]
    return owned == list(range(partitions)) and max(sizes) - min(sizes) <= 1


def await_spread(members, partitions):
    until(lambda: spread(members, partitions), lambda: f"{[m.assigned for m in members]} share {partitions} partitions")


def keyed(writer, keys=40, rounds=5):
    return [(f"{writer}-{key}".encode(), str(sequence).encode()) for sequence in range(rounds) for key in range(keys)]


def assert_read_once_in_order(members, expected):
    """Everything was read once by the group, and each key in order, from one partition, by one member."""
    until(lambda: sum(len(m.records) for m in members) >= len(expected), "the group has read everything")
    sequences = collections.defaultdict(list)
    homes = collections.defaultdict(set)
    for index, member in enumerate(members):
        for partition, _, key, value in member.records:
            sequences[key].append(int(value))
            homes[key].add((partition, index))
    wanted = collections.defaultdict(list)
    for key, value in expected:
        wanted[key].append(int(value))
    equal(dict(sequences), dict(wanted), "sequences by key")
    equal({key: len(home) for key, home in homes.items() if len(home) != 1}, {}, "keys read in more than one place")


def flow(partitions, consumers, producers=1, groups=1):
    topic = create("flow", partitions)
    names = [unique("flow-group") for _ in range(groups)]
    members = [[Member(name, topic) for _ in range(consumers)] for name in names]
    for group in members:
        await_spread(group, partitions)
    expected = []
    threads = []
    for writer in range(producers):
        records = keyed(f"producer{writer}")
        expected += records
        threads.append(threading.Thread(target=send, args=(topic, records)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for group in members:
        assert_read_once_in_order(group, expected)
        await_spread(group, partitions)
        idle = [m for m in group if not m.assigned]
        equal(len(idle), max(0, consumers - partitions), "idle consumers")
        equal([m.records for m in idle], [[] for _ in idle], "records of idle consumers")
        equal([len(m.records) > 0 for m in group if m.assigned], [True] * min(partitions, consumers), "busy consumers read")
        for member in group:
            member.stop()


@case
def flow_two_partitions_two_consumers():
    flow(2, 2)


@case
def flow_two_partitions_three_consumers_one_idle():
    flow(2, 3)


@case
def flow_three_partitions_two_consumers_two_producers():
    flow(3, 2, producers=2)


@case
def flow_four_partitions_one_consumer():
    flow(4, 1)


@case
def flow_three_partitions_two_groups_of_two():
    flow(3, 2, groups=2)


@case
def rebalance_when_a_consumer_joins():
    topic, group = create("join", 2), unique("join")
    first = Member(group, topic)
    await_spread([first], 2)
    send(topic, keyed("before"))
    until(lambda: len(first.records) == 200, "the first consumer reads alone")
    second = Member(group, topic)
    await_spread([first, second], 2)
    send(topic, keyed("after"))
    until(lambda: len(first.records) + len(second.records) >= 400, "both read on")
    equal(len(second.records) > 0, True, "the second consumer read something")
    equal(len({(p, o) for m in (first, second) for p, o, _, _ in m.records}), 400, "distinct records")
    first.stop()
    await_spread([second], 2)
    second.stop()


@case
def rebalance_when_a_consumer_dies():
    topic, group = create("die", 2), unique("die")
    survivor = Member(group, topic)
    victim = subprocess.Popen([sys.executable, os.path.abspath(__file__), "member", group, topic])
    try:
        until(lambda: len(survivor.assigned) == 1, "the other process takes a partition")
        victim.send_signal(signal.SIGKILL)
        send(topic, keyed("while-dead"))
        await_spread([survivor], 2)
        until(lambda: len({(p, o) for p, o, _, _ in survivor.records}) == 200, "the survivor reads everything")
    finally:
        victim.kill()
        victim.wait()
    survivor.stop()


@case
def rebalance_when_partitions_are_added():
    topic, group = create("grow", 2), unique("grow")
    members = [Member(group, topic), Member(group, topic)]
    await_spread(members, 2)
    ADMIN.create_partitions([NewPartitions(topic, 4)])[topic].result(timeout=20)
    await_spread(members, 4)
    client = producer()
    for partition in range(4):
        send(topic, [(b"k", b"%d" % n) for n in range(10)], client, partition=partition)
    until(lambda: sum(len(m.records) for m in members) == 40, "all four partitions are read")
    for member in members:
        member.stop()


@case
def manual_commit_is_found_again():
    topic, group = create("commit"), unique("commit")
    send(topic, [(None, b"%d" % n) for n in range(10)])
    first = consumer(group)
    first.subscribe([topic])
    fourth = read(first, 4)[-1]
    equal(first.commit(message=fourth, asynchronous=False)[0].offset, 4, "committed offset")
    first.close()
    again = consumer(group)
    again.subscribe([topic])
    equal([m.value() for m in read(again, 6)], [b"%d" % n for n in range(4, 10)], "values after the commit")
    equal(again.committed([TopicPartition(topic, 0)], timeout=10)[0].offset, 4, "offset found again")
    again.close()


@case
def commit_carries_metadata():
    topic, group = create("metadata"), unique("metadata")
    send(topic, [(None, b"x")])
    client = consumer(group)
    client.commit(offsets=[TopicPartition(topic, 0, 1, "by hand")], asynchronous=False)
    equal(client.committed([TopicPartition(topic, 0)], timeout=10)[0].metadata, "by hand", "metadata")
    client.close()


@case
def groups_are_independent():
    topic = create("independent")
    send(topic, [(None, b"%d" % n) for n in range(5)])
    for group in (unique("left"), unique("right")):
        client = consumer(group)
        client.subscribe([topic])
        equal([m.value() for m in read(client, 5)], [b"%d" % n for n in range(5)], f"values in {group}")
        client.commit(asynchronous=False)
        client.close()


@case
def offset_reset_latest_skips_what_was_there():
    topic, group = create("latest"), unique("latest")
    send(topic, [(None, b"old")])
    client = consumer(group, auto_offset_reset="latest")
    client.subscribe([topic])
    until(lambda: client.poll(0.1) is None and client.assignment(), "assigned, and nothing old was read")
    for _ in range(20):  # only the client knows when it has looked up its position: new records until one arrives
        send(topic, [(None, b"new")])
        message = client.poll(0.5)
        if message is not None:
            equal(message.value(), b"new", "first message")
            client.close()
            return
    raise AssertionError("no new message")


@case
def cooperative_assignment_moves_only_what_must_move():
    topic, group = create("cooperative", 4), unique("cooperative")
    clients = [consumer(group, partition_assignment_strategy="cooperative-sticky") for _ in range(2)]
    clients[0].subscribe([topic])
    until(lambda: clients[0].poll(0.1) or len(clients[0].assignment()) == 4, "first owns all")
    clients[1].subscribe([topic])

    def shared():
        for client in clients:
            client.poll(0.1)
        return [len(client.assignment()) for client in clients] == [2, 2]

    until(shared, "two partitions each")
    for client in clients:
        client.close()


@case
def static_member_returns_without_a_rebalance():
    topic, group = create("static", 2), unique("static")
    other = Member(group, topic)
    await_spread([other], 2)
    first = consumer(group, group_instance_id="one")
    first.subscribe([topic])
    until(lambda: first.poll(0.1) or first.assignment(), "assigned")
    mine = [p.partition for p in first.assignment()]
    until(lambda: len(other.assigned) == 1, "the other has one")
    before = other.rebalances
    first.close()
    again = consumer(group, group_instance_id="one")
    again.subscribe([topic])
    until(lambda: again.poll(0.1) or again.assignment(), "assigned again")
    equal([p.partition for p in again.assignment()], mine, "partitions of the static member")
    equal(other.rebalances, before, "rebalances of the other member")
    again.close()
    other.stop()


@case
def idempotent_producer_keeps_order_and_count():
    topic = create("idempotent")
    client = producer(enable_idempotence=True, linger_ms=1, batch_num_messages=50)
    reports = send(topic, [(b"k", b"%d" % n) for n in range(2000)], client)
    equal(reports, [(0, n) for n in range(2000)], "offsets")
    reader = consumer(unique("idempotent"))
    reader.assign([TopicPartition(topic, 0, 0)])
    equal([int(m.value()) for m in read(reader, 2000)], list(range(2000)), "values")
    reader.close()


@case
def keys_values_and_headers_may_be_null():
    topic = create("nulls")
    client = producer()
    headers = [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("ünïcode", "✓".encode())]
    client.produce(topic, key=None, value=None, headers=headers)
    client.produce(topic, key=b"", value=b"")
    equal(client.flush(20), 0, "unacknowledged")
    reader = consumer(unique("nulls"))
    reader.assign([TopicPartition(topic, 0, 0)])
    first, second = read(reader, 2)
    equal((first.key(), first.value(), first.headers()), (None, None, headers), "nulls and headers")
    equal((second.key(), second.value(), second.headers()), (b"", b"", None), "empty is not null")
    reader.close()


@case
def acks_zero_one_and_all_are_stored():
    topic = create("acks")
    for acks in (0, 1, -1):
        send(topic, [(None, b"acks %d" % acks)], producer(acks=acks))
    reader = consumer(unique("acks"))
    reader.assign([TopicPartition(topic, 0, 0)])
    equal([m.value() for m in read(reader, 3)], [b"acks 0", b"acks 1", b"acks -1"], "values")
    reader.close()


@case
def message_of_nearly_one_mebibyte():
    topic = create("large")
    value = os.urandom(1_048_000)
    send(topic, [(b"k", value)], producer(message_max_bytes=2_000_000))
    reader = consumer(unique("large"))
    reader.assign([TopicPartition(topic, 0, 0)])
    equal(read(reader, 1)[0].value() == value, True, "the same bytes")
    reader.close()


@case
def message_over_the_limit_is_refused():
    topic = create("too-large", config={"max.message.bytes": "10000"})
    try:
        send(topic, [(None, os.urandom(20_000))])
    except KafkaException as error:
        equal(error.args[0].name(), "MSG_SIZE_TOO_LARGE", "error")
    else:
        raise AssertionError("accepted")
    equal(send(topic, [(None, b"small")]), [(0, 0)], "the topic goes on")


@case
def lookup_by_time():
    topic = create("time", config={"retention.ms": "-1"})
    for n in range(5):
        send(topic, [(None, b"%d" % n)], timestamp=1_600_000_000_000 + n * 1000)
    reader = consumer(unique("time"))

    def found(timestamp):
        return reader.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=10)[0].offset

    equal(found(1_600_000_000_000), 0, "exact")
    equal(found(1_600_000_001_500), 2, "between")
    equal(found(1_600_000_005_000), -1, "after the last")
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10), (0, 5), "watermarks")
    reader.close()
    latest = ADMIN.list_offsets({TopicPartition(topic, 0): OffsetSpec.max_timestamp()}, isolation_level=IsolationLevel.READ_COMMITTED)
    equal(list(latest.values())[0].result(timeout=10).offset, 4, "offset of the largest timestamp")


@case
def deleted_records_are_gone():
    topic = create("delete-records")
    send(topic, [(None, b"%d" % n) for n in range(10)])
    future = list(ADMIN.delete_records([TopicPartition(topic, 0, 6)]).values())[0]
    equal(future.result(timeout=20).low_watermark, 6, "low watermark")
    reader = consumer(unique("delete-records"))
    reader.subscribe([topic])
    equal([m.offset() for m in read(reader, 4)], [6, 7, 8, 9], "offsets that are left")
    reader.close()


@case
def topics_are_created_described_and_deleted():
    topic = create("lifecycle", 3, {"retention.ms": "3600000"})
    partitions = until(lambda: ADMIN.list_topics(timeout=10).topics.get(topic), "listed").partitions
    equal(sorted(partitions), [0, 1, 2], "partitions")
    try:
        ADMIN.create_topics([NewTopic(topic, 1)])[topic].result(timeout=20)
    except KafkaException as error:
        equal(error.args[0].name(), "TOPIC_ALREADY_EXISTS", "second creation")
    else:
        raise AssertionError("created twice")
    ADMIN.delete_topics([topic])[topic].result(timeout=20)
    until(lambda: topic not in ADMIN.list_topics(timeout=10).topics, "gone")


@case
def bad_topic_requests_name_their_error():
    for name, partitions, code in (("with/slash", 1, "TOPIC_EXCEPTION"), ("x" * 250, 1, "TOPIC_EXCEPTION"), ("none", 0, "INVALID_PARTITIONS")):
        try:
            list(ADMIN.create_topics([NewTopic(name, partitions)]).values())[0].result(timeout=20)
        except KafkaException as error:
            equal(error.args[0].name(), code, f"error for {name[:20]!r} with {partitions}")
        else:
            raise AssertionError(f"{name!r} accepted")
    topic = create("shrink", 3)
    try:
        ADMIN.create_partitions([NewPartitions(topic, 2)])[topic].result(timeout=20)
    except KafkaException as error:
        equal(error.args[0].name(), "INVALID_PARTITIONS", "shrinking")
    else:
        raise AssertionError("shrunk")


@case
def unknown_topic_is_an_error():
    try:
        send(unique("never-created"), [(None, b"x")], producer(message_timeout_ms=5000, topic_metadata_propagation_max_ms=500))
    except KafkaException as error:
        equal(error.args[0].name() in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_MSG_TIMED_OUT"), True, error.args[0].name())
    else:
        raise AssertionError("accepted")


@case
def configurations_are_altered_and_described():
    topic = create("configs")
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry("retention.ms", "123456", incremental_operation=AlterConfigOpType.SET)])
    list(ADMIN.incremental_alter_configs([resource]).values())[0].result(timeout=20)

    def retention():
        described = list(ADMIN.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values())[0].result(timeout=20)
        return described["retention.ms"]

    until(lambda: retention().value == "123456", "retention.ms was set")
    equal(retention().is_default, False, "is default")
    bad = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
        ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)])
    try:
        list(ADMIN.incremental_alter_configs([bad]).values())[0].result(timeout=20)
    except KafkaException as error:
        equal(error.args[0].name(), "INVALID_CONFIG", "error")
    else:
        raise AssertionError("accepted")


@case
def groups_are_listed_described_altered_and_deleted():
    topic, group = create("groups", 2), unique("groups")
    send(topic, [(b"%d" % n, b"v") for n in range(10)])
    member = Member(group, topic)
    await_spread([member], 2)
    until(lambda: len(member.records) == 10, "read")
    equal(group in [g.group_id for g in ADMIN.list_consumer_groups().result(timeout=20).valid], True, "listed")
    described = ADMIN.describe_consumer_groups([group])[group].result(timeout=20)
    equal((described.state.name, len(described.members)), ("STABLE", 1), "state and members")
    equal(sorted(p.partition for p in described.members[0].assignment.topic_partitions), [0, 1], "assignment")
    member.stop()
    offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 3)])
    ADMIN.alter_consumer_group_offsets([offsets])[group].result(timeout=20)
    found = ADMIN.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(timeout=20)
    equal({p.partition: p.offset for p in found.topic_partitions}[0], 3, "altered offset")
    ADMIN.delete_consumer_groups([group])[group].result(timeout=20)
    until(lambda: group not in [g.group_id for g in ADMIN.list_consumer_groups().result(timeout=20).valid], "gone")


@case
def cluster_is_described():
    cluster = ADMIN.describe_cluster().result(timeout=20)
    equal(bool(cluster.cluster_id), True, "cluster id")
    equal(cluster.controller.id in [n.id for n in cluster.nodes], True, "controller is one of the nodes")
    equal(len(cluster.nodes) >= len(bootstrap().split(",")), True, "nodes")


@case
def statistics_name_no_broker_error():
    statistics = []
    client = Producer({"bootstrap.servers": bootstrap(), "statistics.interval.ms": 200, "stats_cb": lambda text: statistics.append(json.loads(text))})
    send(create("statistics"), [(None, b"x")], client)
    until(lambda: client.poll(0.1) >= 0 and statistics, "statistics")
    errors = {name: broker["rxerrs"] + broker["txerrs"] for name, broker in statistics[-1]["brokers"].items()}
    equal({name: count for name, count in errors.items() if count}, {}, "protocol errors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["member"]:
        Member(*sys.argv[2:4]).join()
    else:
        run_cases()
