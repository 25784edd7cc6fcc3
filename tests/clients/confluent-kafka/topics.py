"""Topics that can be written to as soon as they are created, with any acks (see ../README.md)."""

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from suite import bootstrap, until

NOT_YET = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
           KafkaError._NOENT)  # the broker that was asked for the leaders has not heard of the topic


def create(admin, topics):
    """`topics`: list of NewTopic."""
    for future in admin.create_topics(topics).values():
        future.result(timeout=20)
    partitions = [TopicPartition(new.topic, partition) for new in topics for partition in range(new.num_partitions)]
    until(lambda: all_lead(partitions), lambda: f"leaders know that they lead {partitions}")


def all_lead(partitions):
    """Only a broker that leads a partition tells its end offset. A client of its own: librdkafka believes for 30 s that there is no
    such topic once a broker has said so."""
    client = AdminClient({"bootstrap.servers": bootstrap()})
    try:
        for future in client.list_offsets({partition: OffsetSpec.latest() for partition in partitions}).values():
            future.result(timeout=20)
    except KafkaException as error:
        if error.args[0].code() not in NOT_YET:
            raise
        return False
    return True
