package klamm.suite;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients with the settings that the cases share. */
final class Kafka {
  static final Admin ADMIN = Admin.create(Map.of("bootstrap.servers", Suite.BOOTSTRAP));

  static String create(String name, int partitions, Map<String, String> configs) throws Exception {
    String topic = Suite.unique(name);
    ADMIN.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), Optional.empty()).configs(configs))).all().get();
    awaitLeaders(topic, partitions);
    return topic;
  }

  /** Only a broker that leads a partition tells its end offset (see the suites' README.md). */
  private static void awaitLeaders(String topic, int partitions) throws Exception {
    Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
    for (int partition = 0; partition < partitions; partition++) {
      ends.put(new TopicPartition(topic, partition), OffsetSpec.latest());
    }
    Suite.until(() -> allLead(ends), "leaders know that they lead " + topic);
  }

  /** The admin client itself asks again who does not lead yet, but not who does not know the topic. */
  private static boolean allLead(Map<TopicPartition, OffsetSpec> ends) throws Exception {
    try {
      ADMIN.listOffsets(ends).all().get();
      return true;
    } catch (ExecutionException error) {
      if (error.getCause() instanceof UnknownTopicOrPartitionException) {
        return false;
      }
      throw error;
    }
  }

  static String create(String name, int partitions) throws Exception {
    return create(name, partitions, Map.of());
  }

  static KafkaProducer<String, String> producer(Map<String, Object> settings) {
    return new KafkaProducer<>(with(settings), new StringSerializer(), new StringSerializer());
  }

  static KafkaProducer<byte[], byte[]> bytesProducer(Map<String, Object> settings) {
    return new KafkaProducer<>(with(settings), new ByteArraySerializer(), new ByteArraySerializer());
  }

  static KafkaConsumer<String, String> consumer(Map<String, Object> settings) {
    return new KafkaConsumer<>(with(settings), new StringDeserializer(), new StringDeserializer());
  }

  static KafkaConsumer<byte[], byte[]> bytesConsumer() {
    return new KafkaConsumer<>(with(Map.of()), new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static Map<String, Object> with(Map<String, Object> settings) {
    Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", Suite.BOOTSTRAP, "metadata.max.age.ms", 1000));
    all.putAll(settings);
    return all;
  }

  /** Settings of a group member that commits by hand and notices a death quickly. */
  static Map<String, Object> member(String group) {
    return Map.of("group.id", group, "enable.auto.commit", false, "auto.offset.reset", "earliest",
        "session.timeout.ms", 6000, "heartbeat.interval.ms", 500);
  }

  /** Sends in order, waits for every acknowledgement. */
  static List<RecordMetadata> send(List<ProducerRecord<String, String>> records, Map<String, Object> settings) throws Exception {
    try (KafkaProducer<String, String> producer = producer(settings)) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      records.forEach(record -> sent.add(producer.send(record)));
      List<RecordMetadata> acknowledged = new ArrayList<>();
      for (Future<RecordMetadata> one : sent) {
        acknowledged.add(one.get());
      }
      return acknowledged;
    }
  }

  static void sendNumbers(String topic, int count) throws Exception {
    List<ProducerRecord<String, String>> records = new ArrayList<>();
    for (int n = 0; n < count; n++) {
      records.add(new ProducerRecord<>(topic, "k", String.valueOf(n)));
    }
    send(records, Map.of());
  }

  /** Reads exactly `count` records with a consumer that is already subscribed or assigned. */
  static <K, V> List<ConsumerRecord<K, V>> read(KafkaConsumer<K, V> consumer, int count) {
    List<ConsumerRecord<K, V>> records = new ArrayList<>();
    long deadline = System.nanoTime() + Duration.ofSeconds(25).toNanos();
    while (records.size() < count && System.nanoTime() < deadline) {
      consumer.poll(Duration.ofMillis(200)).forEach(records::add);
    }
    Suite.equal(records.size(), count, "records read");
    return records;
  }

  /** Reads `count` records of partition 0 from its start, outside any group. */
  static List<ConsumerRecord<byte[], byte[]>> readStart(String topic, int count) {
    try (KafkaConsumer<byte[], byte[]> consumer = bytesConsumer()) {
      TopicPartition partition = new TopicPartition(topic, 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      return read(consumer, count);
    }
  }
}
