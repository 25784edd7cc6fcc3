"""kafka-python's part in the exchange."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import exchange
from suite import bootstrap


def write(topic):
    for codec in exchange.CODECS:
        producer = KafkaProducer(bootstrap_servers=bootstrap(), compression_type=None if codec == "none" else codec, linger_ms=50)
        futures = [producer.send(topic, key=key, value=value, headers=headers)
                   for record_codec, key, value, headers in exchange.expected() if record_codec == codec]
        for future in futures:
            future.get(timeout=20)
        producer.close()


def read(topics):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap(), enable_auto_commit=False, consumer_timeout_ms=20_000)
    wanted = sum(1 for _ in exchange.expected())
    for topic in topics:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        records = []
        for message in consumer:
            records.append((message.key, message.value, list(message.headers)))
            if len(records) == wanted:
                break
        exchange.check(topic, records)
    consumer.close()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "exchange-write":
        write(arguments[0])
    else:
        read(arguments)
