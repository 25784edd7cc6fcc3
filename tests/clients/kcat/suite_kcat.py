"""kcat of the Debian package (librdkafka 2.0): what a user types at a shell."""

import json
import os
import subprocess

from suite import bootstrap, case, equal, run_cases, unique, until

HERE = os.path.dirname(os.path.abspath(__file__))


def create(name, partitions=1):
    topic = unique(name)
    subprocess.run([os.path.join(HERE, "../confluent-kafka/run"), "create-topics", f"{topic}:{partitions}"], check=True, timeout=30)
    return topic


def kcat(*arguments, stdin=b"", timeout=30):
    done = subprocess.run(["kcat", "-b", bootstrap(), *arguments], input=stdin, capture_output=True, timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(f"kcat {' '.join(arguments)} exits with {done.returncode}: {done.stderr.decode()[-300:]}")
    return done.stdout.decode()


def lines(count):
    return b"".join(b"%d\n" % n for n in range(count))


@case
def metadata_lists_brokers_topics_and_partitions():
    topic = create("metadata", 3)
    listed = json.loads(kcat("-L", "-J"))
    equal(len(listed["brokers"]) >= len(bootstrap().split(",")), True, "brokers")
    found = next(t for t in listed["topics"] if t["topic"] == topic)
    equal(sorted(p["partition"] for p in found["partitions"]), [0, 1, 2], "partitions")
    equal(all(p["leader"] >= 0 and p["replicas"] and p["isrs"] for p in found["partitions"]), True, "leaders and replicas")


@case
def produced_lines_are_consumed_in_order():
    topic = create("lines")
    kcat("-P", "-t", topic, stdin=lines(500))
    equal(kcat("-C", "-t", topic, "-e", "-q"), lines(500).decode(), "lines")


@case
def key_value_headers_offset_and_partition_are_shown():
    topic = create("format", 2)
    kcat("-P", "-t", topic, "-p", "1", "-K:", "-H", "trace=abc", stdin=b"k1:v1\nk2:v2\n")
    shown = kcat("-C", "-t", topic, "-e", "-q", "-f", "%p %o %k=%s %h\\n")
    equal(shown, "1 0 k1=v1 trace=abc\n1 1 k2=v2 trace=abc\n", "format")


@case
def null_is_not_empty():
    topic = create("nulls")
    kcat("-P", "-t", topic, "-K:", "-Z", stdin=b"tombstone:\n")
    kcat("-P", "-t", topic, "-K:", stdin=b"empty:\n")
    values = [json.loads(line)["payload"] for line in kcat("-C", "-t", topic, "-e", "-q", "-J").splitlines()]
    equal(values, [None, ""], "values")


@case
def same_key_goes_to_one_partition():
    topic = create("keys", 4)
    kcat("-P", "-t", topic, "-K:", stdin=b"".join(b"key%d:%d\n" % (n % 10, n) for n in range(100)))
    homes = {}
    for line in kcat("-C", "-t", topic, "-e", "-q", "-f", "%k %p\\n").splitlines():
        key, partition = line.split()
        homes.setdefault(key, set()).add(partition)
    equal(sorted(len(home) for home in homes.values()), [1] * 10, "partitions of each key")


@case
def offsets_select_what_is_read():
    topic = create("offsets")
    kcat("-P", "-t", topic, stdin=lines(10))
    equal(kcat("-C", "-t", topic, "-o", "7", "-e", "-q"), "7\n8\n9\n", "absolute")
    equal(kcat("-C", "-t", topic, "-o", "-2", "-e", "-q"), "8\n9\n", "from the end")
    equal(kcat("-C", "-t", topic, "-c", "2", "-q"), "0\n1\n", "count")


@case
def offsets_are_found_by_time():
    topic = create("time")
    kcat("-P", "-t", topic, stdin=lines(3))
    last = json.loads(kcat("-C", "-t", topic, "-o", "-1", "-e", "-q", "-J"))["ts"]
    equal(kcat("-Q", "-t", f"{topic}:0:{last + 1}").split()[-1], "-1", "after the last")
    equal(kcat("-C", "-t", topic, "-o", "s@0", "-e", "-q"), "0\n1\n2\n", "since the epoch")
    equal(kcat("-Q", "-t", f"{topic}:0:-1").split()[-1], "3", "end")
    equal(kcat("-Q", "-t", f"{topic}:0:-2").split()[-1], "0", "beginning")


@case
def every_codec_is_read_back():
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        topic = create(codec)
        kcat("-P", "-t", topic, "-z", codec, "-X", "linger.ms=50", stdin=lines(300))
        equal(kcat("-C", "-t", topic, "-e", "-q", "-X", "check.crcs=true"), lines(300).decode(), codec)


@case
def idempotent_producer_is_accepted():
    topic = create("idempotent")
    kcat("-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "batch.num.messages=10", stdin=lines(500))
    equal(kcat("-C", "-t", topic, "-e", "-q"), lines(500).decode(), "lines")


@case
def acks_zero_and_one_are_stored():
    topic = create("acks")
    for acks in ("0", "1"):
        kcat("-P", "-t", topic, "-X", f"acks={acks}", stdin=f"acks {acks}\n".encode())
    until(lambda: kcat("-C", "-t", topic, "-e", "-q") == "acks 0\nacks 1\n", "both were stored")


@case
def balanced_group_reads_everything_once():
    topic, group = create("group", 2), unique("group")
    kcat("-P", "-t", topic, "-K:", stdin=b"".join(b"%d:%d\n" % (n, n) for n in range(100)))
    arguments = ["-G", group, "-e", "-q", "-X", "auto.offset.reset=earliest", "-f", "%s\\n", topic]
    first = kcat(*arguments)
    equal(sorted(map(int, first.split())), list(range(100)), "values")
    equal(kcat(*arguments), "", "the second run finds the committed offsets")


@case
def large_message_passes():
    topic = create("large")
    value = b"x" * 1_000_000
    kcat("-P", "-t", topic, "-X", "message.max.bytes=2000000", stdin=value)
    equal(len(kcat("-C", "-t", topic, "-e", "-q").strip()), 1_000_000, "bytes")


@case
def unknown_topic_is_reported():
    done = subprocess.run(["kcat", "-b", bootstrap(), "-C", "-t", unique("never-created"), "-e", "-q"], capture_output=True, timeout=30)
    equal(b"nknown topic" in done.stderr or b"opic error" in done.stderr, True, done.stderr.decode()[-200:])


if __name__ == "__main__":
    run_cases()
