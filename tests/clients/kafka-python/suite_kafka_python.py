"""kafka-python, which speaks the protocol by itself: produce, consume, groups, administration."""

import collections
import os
import signal
import subprocess
import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, OffsetSpec
from kafka.errors import (InvalidConfigurationError, InvalidPartitionsError, InvalidTopicError, KafkaError, LeaderNotAvailableError,
                          MessageSizeTooLargeError, NotLeaderForPartitionError, TopicAlreadyExistsError, UnknownTopicOrPartitionError)

from suite import bootstrap, case, equal, run_cases, unique, until

ADMIN = KafkaAdminClient(bootstrap_servers=bootstrap())


def create(name, partitions=1, configs=None):
    topic = unique(name)
    ADMIN.create_topics({topic: {"num_partitions": partitions, "configs": configs or {}}}, wait_for_metadata=True)
    ends = {TopicPartition(topic, partition): OffsetSpec.LATEST for partition in range(partitions)}
    until(lambda: all_lead(ends), lambda: f"leaders know that they lead {topic}")
    return topic


def all_lead(ends):
    """Only a broker that leads a partition tells its end offset (see ../README.md)."""
    try:
        return len(ADMIN.list_partition_offsets(ends)) == len(ends)
    except (UnknownTopicOrPartitionError, NotLeaderForPartitionError, LeaderNotAvailableError):
        return False


def send(topic, records, partition=None, timestamps=None, **settings):
    """Produces (key, value) pairs and waits for every acknowledgement; returns (partition, offset) in order."""
    producer = KafkaProducer(bootstrap_servers=bootstrap(), **{"linger_ms": 5, **settings})
    try:
        futures = [producer.send(topic, key=key, value=value, partition=partition, timestamp_ms=timestamps[n] if timestamps else None)
                   for n, (key, value) in enumerate(records)]
        return [(sent.partition, sent.offset) for sent in (future.get(timeout=20) for future in futures)]
    finally:
        producer.close(timeout=5)


def consumer(group, **settings):
    return KafkaConsumer(**{
        "bootstrap_servers": bootstrap(), "group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest",
        "session_timeout_ms": 6000, "heartbeat_interval_ms": 500, "metadata_max_age_ms": 1000, "consumer_timeout_ms": 20_000,
        **settings})


def read(client, count):
    messages = [message for _, message in zip(range(count), client)]
    equal(len(messages), count, "messages read")
    return messages


def whole(topic):
    """A reader of partition 0 from its start, outside any group."""
    client = consumer(None)
    client.assign([TopicPartition(topic, 0)])
    client.seek_to_beginning()
    return client


class Joined(ConsumerRebalanceListener):
    """Keeps a consumer's wish to join until it has joined.

    3.0.12 forgets a join that began because metadata had changed: `ConsumerCoordinator.need_rejoin` compares the metadata with
    that of the last assignment, and `_perform_assignment` makes the two equal before SyncGroup is answered. If `poll` gives up
    in between, the next one finds no need to join, so nobody takes the result of `_join_task`: the leader sends no heartbeats,
    loses its membership, and reads nothing any more, on Apache Kafka too. Java's coordinator sets `rejoinNeeded` in this case.
    """

    def __init__(self, client):
        self.client = client

    def on_partitions_assigned(self, assigned):
        pass

    def on_partitions_revoked(self, revoked):
        self.client._coordinator.request_rejoin()  # holds until the join that begins now is complete, whatever began it


class Member(threading.Thread, Joined):
    """A group member that reads until it is stopped, committing what it has read."""

    def __init__(self, group, topic):
        super().__init__(daemon=True)
        self.group, self.topic = group, topic
        self.assigned, self.records, self.error = set(), [], None
        self.stopping = threading.Event()
        self.start()

    def on_partitions_assigned(self, assigned):
        self.assigned = {p.partition for p in assigned}

    def on_partitions_revoked(self, revoked):
        self.assigned = set()
        super().on_partitions_revoked(revoked)

    def run(self):
        try:
            self.client = consumer(self.group)
            self.client.subscribe([self.topic], listener=self)
            while not self.stopping.is_set():
                polled = self.client.poll(timeout_ms=100)
                for messages in polled.values():
                    self.records += [(m.partition, m.offset, m.key, m.value) for m in messages]
                if polled:
                    self.client.commit_async()
            self.client.close()
        except Exception as error:  # reported by the case that owns the member
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(20)
        if self.error:
            raise self.error


def await_spread(members, partitions):
    def spread():
        for member in members:
            if member.error:
                raise member.error
        sizes = [len(member.assigned) for member in members]
        return sorted(p for m in members for p in m.assigned) == list(range(partitions)) and max(sizes) - min(sizes) <= 1
    until(spread, lambda: f"{[m.assigned for m in members]} share {partitions} partitions")


def team(topic, partitions, size):
    """A group whose members join at once."""
    group = unique("group")
    members = [Member(group, topic) for _ in range(size)]
    await_spread(members, partitions)
    return members


def keyed(writer, keys=40, rounds=5):
    return [(f"{writer}-{key}".encode(), str(sequence).encode()) for sequence in range(rounds) for key in range(keys)]


def flow(partitions, consumers, producers=1, groups=1):
    topic = create("flow", partitions)
    teams = [team(topic, partitions, consumers) for _ in range(groups)]
    expected = [keyed(f"producer{writer}") for writer in range(producers)]
    threads = [threading.Thread(target=send, args=(topic, records)) for records in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for members in teams:
        until(lambda: sum(len(m.records) for m in members) >= sum(map(len, expected)), "the group has read everything")
        sequences = collections.defaultdict(list)
        for member in members:
            for _, _, key, value in member.records:
                sequences[key].append(int(value))
        equal(dict(sequences), {key: list(range(5)) for records in expected for key, _ in records}, "sequences by key")
        await_spread(members, partitions)
        idle = [m for m in members if not m.assigned]
        equal(len(idle), max(0, consumers - partitions), "idle consumers")
        equal([m.records for m in idle], [[] for _ in idle], "records of idle consumers")
        for member in members:
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
    second = Member(group, topic)
    await_spread([first, second], 2)
    send(topic, keyed("after"))
    until(lambda: len(first.records) + len(second.records) == 200, "everything was read")
    first.stop()
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
    topic = create("grow", 2)
    members = team(topic, 2, 2)
    ADMIN.create_partitions({topic: 4})
    await_spread(members, 4)
    for partition in range(4):
        send(topic, [(b"k", b"v")] * 10, partition=partition)
    until(lambda: sum(len(m.records) for m in members) == 40, "all four partitions are read")
    for member in members:
        member.stop()


@case
def manual_commit_is_found_again():
    topic, group = create("commit"), unique("commit")
    send(topic, [(None, b"%d" % n) for n in range(10)])
    partition = TopicPartition(topic, 0)
    first = consumer(group)
    first.subscribe([topic], listener=Joined(first))
    read(first, 4)
    first.commit({partition: OffsetAndMetadata(4, "by hand", -1)})
    first.close(autocommit=False)
    again = consumer(group)
    again.subscribe([topic], listener=Joined(again))
    equal([m.value for m in read(again, 6)], [b"%d" % n for n in range(4, 10)], "values after the commit")
    found = again.committed(partition, metadata=True)
    equal((found.offset, found.metadata), (4, "by hand"), "offset found again")
    again.close(autocommit=False)


@case
def groups_are_independent():
    topic = create("independent")
    send(topic, [(None, b"%d" % n) for n in range(5)])
    for group in (unique("left"), unique("right")):
        client = consumer(group)
        client.subscribe([topic], listener=Joined(client))
        equal([m.value for m in read(client, 5)], [b"%d" % n for n in range(5)], f"values in {group}")
        client.commit()
        client.close()


@case
def offset_reset_latest_skips_what_was_there():
    topic = create("latest")
    send(topic, [(None, b"old")])
    client = consumer(unique("latest"), auto_offset_reset="latest")
    client.subscribe([topic], listener=Joined(client))
    until(lambda: not client.poll(timeout_ms=100) and client.assignment(), "assigned, and nothing old was read")
    equal(client.position(TopicPartition(topic, 0)), 1, "position")
    send(topic, [(None, b"new")])
    equal(read(client, 1)[0].value, b"new", "first message")
    client.close()


@case
def idempotent_producer_keeps_order_and_count():
    topic = create("idempotent")
    equal(send(topic, [(b"k", b"%d" % n) for n in range(1000)], batch_size=500), [(0, n) for n in range(1000)], "offsets")
    client = whole(topic)
    equal([int(m.value) for m in read(client, 1000)], list(range(1000)), "values")
    client.close()


@case
def keys_values_and_headers_may_be_null():
    topic = create("nulls")
    producer = KafkaProducer(bootstrap_servers=bootstrap())
    headers = [("a", b"1"), ("a", b"2"), ("empty", b""), ("ünïcode", "✓".encode())]
    producer.send(topic, key=b"tombstone", value=None, headers=headers).get(timeout=20)
    producer.send(topic, key=None, value=b"").get(timeout=20)
    producer.close()
    client = whole(topic)
    first, second = read(client, 2)
    equal((first.key, first.value, list(first.headers)), (b"tombstone", None, headers), "tombstone and headers")
    equal((second.key, second.value, list(second.headers)), (None, b"", []), "empty is not null")
    client.close()


@case
def acks_zero_one_and_all_are_stored():
    topic = create("acks")
    for acks in (0, 1, "all"):
        send(topic, [(None, b"%s" % str(acks).encode())], acks=acks, enable_idempotence=False)
    client = whole(topic)
    equal([m.value for m in read(client, 3)], [b"0", b"1", b"all"], "values")
    client.close()


@case
def message_of_nearly_one_mebibyte():
    topic = create("large")
    value = os.urandom(1_048_000)
    send(topic, [(b"k", value)])
    client = whole(topic)
    equal(read(client, 1)[0].value == value, True, "the same bytes")
    client.close()


@case
def message_over_the_limit_is_refused():
    topic = create("too-large", configs={"max.message.bytes": "10000"})
    try:
        send(topic, [(None, os.urandom(20_000))])
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError("accepted")
    equal(send(topic, [(None, b"small")]), [(0, 0)], "the topic goes on")


@case
def lookup_by_time():
    topic = create("time", configs={"retention.ms": "-1"})
    start = 1_600_000_000_000
    send(topic, [(None, b"%d" % n) for n in range(5)], timestamps=[start + n * 1000 for n in range(5)], batch_size=0)
    partition = TopicPartition(topic, 0)
    client = whole(topic)
    found = client.offsets_for_times({partition: start + 1500})[partition]
    equal((found.offset, found.timestamp), (2, start + 2000), "between")
    equal(client.offsets_for_times({partition: start + 5000})[partition], None, "after the last")
    equal((client.beginning_offsets([partition])[partition], client.end_offsets([partition])[partition]), (0, 5), "ends")
    equal(ADMIN.list_partition_offsets({partition: OffsetSpec.MAX_TIMESTAMP})[partition].offset, 4, "offset of the largest timestamp")
    client.close()


@case
def deleted_records_are_gone():
    topic = create("delete-records")
    send(topic, [(None, b"%d" % n) for n in range(10)])
    ADMIN.delete_records({TopicPartition(topic, 0): 6})
    client = whole(topic)
    equal([m.offset for m in read(client, 4)], [6, 7, 8, 9], "offsets that are left")
    client.close()


def partitions_of(topic):
    """Another broker than the one that was asked to create the topic may answer, and hear of it a moment later."""
    try:
        return sorted(p["partition_index"] for p in ADMIN.describe_topics([topic])[0]["partitions"])
    except UnknownTopicOrPartitionError:
        return []


@case
def topics_are_created_described_and_deleted():
    topic = create("lifecycle", 3, {"retention.ms": "3600000"})
    until(lambda: partitions_of(topic) == [0, 1, 2], lambda: f"partitions {partitions_of(topic)}")
    try:
        ADMIN.create_topics([topic])
    except TopicAlreadyExistsError:
        pass
    else:
        raise AssertionError("created twice")
    ADMIN.delete_topics([topic])
    until(lambda: topic not in ADMIN.list_topics(), "gone")


@case
def bad_topic_requests_name_their_error():
    for expected, request in ((InvalidTopicError, {"with/slash": {"num_partitions": 1}}), (InvalidPartitionsError, {"zero": {"num_partitions": 0}})):
        try:
            ADMIN.create_topics(request)
        except expected:
            continue
        raise AssertionError(f"{request} accepted")
    topic = create("shrink", 3)
    try:
        ADMIN.create_partitions({topic: 2})
    except InvalidPartitionsError:
        return
    raise AssertionError("shrunk")


@case
def configurations_are_altered_and_described():
    topic = create("configs", configs={"retention.ms": "3600000"})

    def configs():
        return ADMIN.describe_configs([ConfigResource("TOPIC", topic)])["topic"][topic]

    equal(configs()["retention.ms"]["value"], "3600000", "retention.ms as created")
    ADMIN.alter_configs([ConfigResource("TOPIC", topic, {"retention.ms": "123456"})])
    until(lambda: configs()["retention.ms"]["value"] == "123456", "retention.ms was altered")
    ADMIN.reset_configs([ConfigResource("TOPIC", topic, ["retention.ms"])])
    until(lambda: "retention.ms" not in configs(), "retention.ms was reset")
    try:
        result = ADMIN.alter_configs([ConfigResource("TOPIC", topic, {"retention.ms": "soon"})])
    except InvalidConfigurationError:
        return
    equal("nvalid" in str(result), True, f"a refusal in {result}")


@case
def groups_are_listed_described_altered_and_deleted():
    topic, group = create("groups", 2), unique("groups")
    member = Member(group, topic)
    await_spread([member], 2)
    equal(group in [listed["group_id"] for listed in ADMIN.list_groups()], True, "listed")
    described = ADMIN.describe_groups([group])[group]
    equal((described["group_state"], len(described["members"])), ("Stable", 1), "state and members")
    member.stop()
    partition = TopicPartition(topic, 0)
    ADMIN.alter_group_offsets(group, {partition: OffsetAndMetadata(3, "", -1)})
    equal(ADMIN.list_group_offsets({group: None})[group][partition].offset, 3, "altered offset")
    ADMIN.delete_groups([group])
    until(lambda: group not in [listed["group_id"] for listed in ADMIN.list_groups()], "gone")


@case
def cluster_and_log_directories_are_described():
    cluster = ADMIN.describe_cluster()
    equal(bool(cluster["cluster_id"]), True, "cluster id")
    equal(len(cluster["brokers"]) >= len(bootstrap().split(",")), True, "brokers")
    topic = create("log-dirs")
    send(topic, [(None, b"x" * 1000)])

    def sizes():
        return [partition["partition_size"] for broker in ADMIN.describe_log_dirs() for directory in broker["log_dirs"]
                for described in directory["topics"] if described["name"] == topic for partition in described["partitions"]]

    until(lambda: sizes() and all(size > 1000 for size in sizes()), lambda: f"sizes {sizes()} count the record")


@case
def unknown_topic_is_an_error():
    try:
        send(unique("never-created"), [(None, b"x")], max_block_ms=1000)
    except KafkaError:
        return
    raise AssertionError("accepted")


if __name__ == "__main__":
    if sys.argv[1:2] == ["member"]:
        Member(*sys.argv[2:4]).join()
    else:
        run_cases()
