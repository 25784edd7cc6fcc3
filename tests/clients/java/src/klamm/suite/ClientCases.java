package klamm.suite;

import static klamm.suite.Suite.check;
import static klamm.suite.Suite.equal;
import static klamm.suite.Suite.failureOf;
import static klamm.suite.Suite.unique;
import static klamm.suite.Suite.until;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The producer, the consumer and the administration client. */
final class ClientCases {
  private static final ReplicaInfo NONE = new ReplicaInfo(0, 0, false);

  @Suite.Case
  void idempotent_producer_keeps_order_and_count() throws Exception {
    String topic = Kafka.create("idempotent", 1);
    List<ProducerRecord<String, String>> records = new ArrayList<>();
    IntStream.range(0, 3000).forEach(n -> records.add(new ProducerRecord<>(topic, "k", String.valueOf(n))));
    List<RecordMetadata> sent = Kafka.send(records, Map.of("enable.idempotence", true, "batch.size", 500, "linger.ms", 0));
    for (int n = 0; n < sent.size(); n++) {
      equal(sent.get(n).offset(), (long) n, "offset of record " + n);
    }
    List<ConsumerRecord<byte[], byte[]>> read = Kafka.readStart(topic, 3000);
    for (int n = 0; n < read.size(); n++) {
      equal(new String(read.get(n).value(), StandardCharsets.UTF_8), String.valueOf(n), "value");
    }
  }

  @Suite.Case
  void acks_zero_one_and_all_are_stored() throws Exception {
    String topic = Kafka.create("acks", 1);
    for (String acks : List.of("0", "1", "all")) {
      Kafka.send(List.of(new ProducerRecord<>(topic, acks)), Map.of("acks", acks, "enable.idempotence", false));
    }
    List<String> read = Kafka.readStart(topic, 3).stream().map(r -> new String(r.value(), StandardCharsets.UTF_8)).toList();
    equal(read, List.of("0", "1", "all"), "values");
  }

  @Suite.Case
  void keys_values_and_headers_may_be_null() throws Exception {
    String topic = Kafka.create("nulls", 1);
    List<Header> headers = List.of(new RecordHeader("a", new byte[] {1}), new RecordHeader("a", new byte[] {2}),
        new RecordHeader("empty", new byte[0]), new RecordHeader("null", (byte[]) null));
    try (KafkaProducer<byte[], byte[]> producer = Kafka.bytesProducer(Map.of())) {
      producer.send(new ProducerRecord<>(topic, null, null, null, null, headers)).get();
      producer.send(new ProducerRecord<>(topic, new byte[0], new byte[0])).get();
    }
    List<ConsumerRecord<byte[], byte[]>> read = Kafka.readStart(topic, 2);
    check(read.get(0).key() == null && read.get(0).value() == null, "null key and value");
    equal(Arrays.asList(read.get(0).headers().toArray()), headers, "headers");
    check(read.get(1).key().length == 0 && read.get(1).value().length == 0, "empty is not null");
  }

  @Suite.Case
  void message_of_nearly_one_mebibyte() throws Exception {
    String topic = Kafka.create("large", 1);
    byte[] value = random(1_048_000);
    try (KafkaProducer<byte[], byte[]> producer = Kafka.bytesProducer(Map.of("max.request.size", 2_000_000))) {
      producer.send(new ProducerRecord<>(topic, value)).get();
      Throwable error = failureOf(() -> producer.send(new ProducerRecord<>(topic, random(1_500_000))).get());
      check(error instanceof RecordTooLargeException, "1.5 MB: " + error);
      equal(producer.send(new ProducerRecord<>(topic, new byte[10])).get().offset(), 1L, "offset after the refusal");
    }
    check(Arrays.equals(Kafka.readStart(topic, 2).get(0).value(), value), "the same bytes");
  }

  @Suite.Case
  void max_message_bytes_of_the_topic_counts() throws Exception {
    String topic = Kafka.create("small", 1, Map.of("max.message.bytes", "5000"));
    Throwable error = failureOf(() -> Kafka.send(List.of(new ProducerRecord<>(topic, "x".repeat(10_000))), Map.of()));
    check(error instanceof RecordTooLargeException, "10 kB: " + error);
  }

  private static byte[] random(int size) {
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    return bytes;
  }

  @Suite.Case
  void log_append_time_is_the_broker_s() throws Exception {
    String topic = Kafka.create("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
    List<RecordMetadata> sent = Kafka.send(List.of(new ProducerRecord<>(topic, 0, 1000L, "k", "v")), Map.of());
    ConsumerRecord<byte[], byte[]> read = Kafka.readStart(topic, 1).get(0);
    equal(read.timestampType().name, "LogAppendTime", "timestamp type");
    check(read.timestamp() > 1_600_000_000_000L, "time " + read.timestamp());
    equal(sent.get(0).timestamp(), read.timestamp(), "time that the producer was told");
  }

  @Suite.Case
  void lookup_by_time() throws Exception {
    String topic = Kafka.create("time", 1, Map.of("retention.ms", "-1"));
    long start = 1_600_000_000_000L;
    for (int n = 0; n < 5; n++) {
      Kafka.send(List.of(new ProducerRecord<>(topic, 0, start + n * 1000L, null, "v")), Map.of());
    }
    TopicPartition partition = new TopicPartition(topic, 0);
    try (KafkaConsumer<byte[], byte[]> consumer = Kafka.bytesConsumer()) {
      OffsetAndTimestamp between = consumer.offsetsForTimes(Map.of(partition, start + 1500)).get(partition);
      equal(between.offset() + "@" + between.timestamp(), "2@" + (start + 2000), "between");
      equal(consumer.offsetsForTimes(Map.of(partition, start + 5000)).get(partition), null, "after the last");
      equal(consumer.beginningOffsets(List.of(partition)).get(partition), 0L, "beginning");
      equal(consumer.endOffsets(List.of(partition)).get(partition), 5L, "end");
    }
    equal(Kafka.ADMIN.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition).get().offset(), 4L, "max");
  }

  @Suite.Case
  void deleted_records_are_gone() throws Exception {
    String topic = Kafka.create("delete-records", 1);
    Kafka.sendNumbers(topic, 10);
    TopicPartition partition = new TopicPartition(topic, 0);
    var deleted = Kafka.ADMIN.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(6)));
    equal(deleted.lowWatermarks().get(partition).get().lowWatermark(), 6L, "low watermark");
    equal(Kafka.readStart(topic, 4).get(0).offset(), 6L, "first offset that is left");
  }

  @Suite.Case
  void topics_are_created_described_and_deleted() throws Exception {
    String topic = Kafka.create("lifecycle", 3, Map.of("retention.ms", "3600000"));
    until(() -> Kafka.ADMIN.listTopics().names().get().contains(topic), "listed");
    AtomicReference<TopicDescription> found = new AtomicReference<>();
    until(() -> {
      try {
        found.set(Kafka.ADMIN.describeTopics(List.of(topic)).allTopicNames().get().get(topic));
      } catch (ExecutionException another) { // a broker that has not heard of it yet
        return false;
      }
      return found.get().partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == p.replicas().size());
    }, "every partition has a leader and a full ISR");
    TopicDescription described = found.get();
    equal(described.partitions().size(), 3, "partitions");
    equal(Kafka.ADMIN.describeTopics(TopicCollection.ofTopicIds(List.of(described.topicId())))
        .allTopicIds().get().get(described.topicId()).name(), topic, "name by id");
    Kafka.ADMIN.deleteTopics(List.of(topic)).all().get();
    until(() -> !Kafka.ADMIN.listTopics().names().get().contains(topic), "gone");
  }

  @Suite.Case
  void bad_topic_requests_name_their_error() throws Exception {
    String topic = Kafka.create("twice", 2);
    expect(TopicExistsException.class, new NewTopic(topic, 1, (short) 1));
    expect(InvalidTopicException.class, new NewTopic("with/slash", 1, (short) 1));
    expect(InvalidTopicException.class, new NewTopic("..", 1, (short) 1));
    expect(InvalidPartitionsException.class, new NewTopic(unique("zero"), 0, (short) 1));
    expect(InvalidReplicationFactorException.class, new NewTopic(unique("many"), 1, (short) 100));
    expect(InvalidConfigurationException.class, new NewTopic(unique("config"), 1, (short) 1).configs(Map.of("retention.ms", "soon")));
    expect(InvalidConfigurationException.class, new NewTopic(unique("config"), 1, (short) 1).configs(Map.of("no.such.key", "1")));
    Throwable shrunk = failureOf(() -> Kafka.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all().get());
    check(shrunk instanceof InvalidPartitionsException, "shrinking: " + shrunk);
  }

  private static void expect(Class<? extends Throwable> type, NewTopic topic) throws Exception {
    Throwable error = failureOf(() -> Kafka.ADMIN.createTopics(List.of(topic)).all().get());
    check(type.isInstance(error), topic + ": " + error);
  }

  @Suite.Case
  void configurations_are_altered_and_described() throws Exception {
    String topic = Kafka.create("configs", 1);
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    alter(resource, "retention.ms", "123456", AlterConfigOp.OpType.SET);
    until(() -> describe(resource).get("retention.ms").value().equals("123456"), "retention.ms was altered");
    equal(describe(resource).get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
    alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
    until(() -> describe(resource).get("cleanup.policy").value().contains("compact"), "cleanup.policy was appended to");
    alter(resource, "retention.ms", "", AlterConfigOp.OpType.DELETE);
    until(() -> describe(resource).get("retention.ms").isDefault(), "retention.ms was reset");
    check(describe(resource).get("retention.ms").documentation().length() > 10, "documentation");
    check(!describe(resource).get("segment.bytes").synonyms().isEmpty(), "synonyms");
  }

  private static void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType how) throws Exception {
    Collection<AlterConfigOp> operations = List.of(new AlterConfigOp(new ConfigEntry(name, value), how));
    Kafka.ADMIN.incrementalAlterConfigs(Map.of(resource, operations)).all().get();
  }

  private static Map<String, ConfigEntry> describe(ConfigResource resource) throws Exception {
    DescribeConfigsOptions options = new DescribeConfigsOptions().includeDocumentation(true).includeSynonyms(true);
    return Kafka.ADMIN.describeConfigs(List.of(resource), options).all().get().get(resource).entries().stream()
        .collect(Collectors.toMap(ConfigEntry::name, entry -> entry));
  }

  @Suite.Case
  void cluster_quorum_and_log_directories_are_described() throws Exception {
    var cluster = Kafka.ADMIN.describeCluster();
    Collection<Node> nodes = cluster.nodes().get();
    check(nodes.size() >= Suite.BOOTSTRAP.split(",").length, "nodes " + nodes);
    check(!cluster.clusterId().get().isEmpty(), "cluster id");
    var quorum = Kafka.ADMIN.describeMetadataQuorum().quorumInfo().get();
    check(quorum.leaderId() >= 0 && quorum.highWatermark() > 0, "quorum " + quorum);
    check(quorum.voters().stream().anyMatch(v -> v.replicaId() == quorum.leaderId()), "the leader is a voter");
    String topic = Kafka.create("log-dirs", 1);
    Kafka.sendNumbers(topic, 10);
    List<Integer> ids = nodes.stream().map(Node::id).toList();
    until(() -> Kafka.ADMIN.describeLogDirs(ids).allDescriptions().get().values().stream()
        .flatMap(dirs -> dirs.values().stream()).map(LogDirDescription::replicaInfos)
        .anyMatch(replicas -> replicas.getOrDefault(new TopicPartition(topic, 0), NONE).size() > 0), "the topic's size on disk");
  }
}
