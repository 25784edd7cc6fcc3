"""confluent-kafka's part in the exchange, and `create-topics` for suites whose client cannot create topics."""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import exchange
import topics
from suite import bootstrap


def create_topics(specs):
    new = [NewTopic(name, int(partitions)) for name, partitions in (spec.rsplit(":", 1) for spec in specs)]
    topics.create(AdminClient({"bootstrap.servers": bootstrap()}), new)


def write(topic):
    for codec in exchange.CODECS:
        producer = Producer({"bootstrap.servers": bootstrap(), "compression.type": codec, "linger.ms": 50})
        for record_codec, key, value, headers in exchange.expected():
            if record_codec == codec:
                producer.produce(topic, key=key, value=value, headers=headers)
        if producer.flush(20):
            raise TimeoutError(f"{codec}: not everything was acknowledged")


def read(topic):
    consumer = Consumer({"bootstrap.servers": bootstrap(), "group.id": "unused", "enable.auto.commit": False, "check.crcs": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    wanted = sum(1 for _ in exchange.expected())
    records = []
    while len(records) < wanted:
        messages = consumer.consume(wanted - len(records), timeout=20)
        if not messages:
            break
        for message in messages:
            if message.error():
                raise RuntimeError(message.error())
            records.append((message.key(), message.value(), message.headers() or []))
    consumer.close()
    exchange.check(topic, records)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "create-topics":
        create_topics(arguments)
    elif command == "exchange-write":
        write(arguments[0])
    else:
        for name in arguments:
            read(name)
