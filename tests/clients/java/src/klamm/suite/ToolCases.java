package klamm.suite;

import static klamm.suite.Suite.check;
import static klamm.suite.Suite.equal;
import static klamm.suite.Suite.unique;
import static klamm.suite.Suite.until;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** kafka-topics, kafka-configs, the console clients and the other tools that a user types. */
final class ToolCases {
  @Suite.Case
  void topics_create_describe_alter_list_delete() throws Exception {
    String topic = unique("tool-topics");
    Tool.ok(Tool.TOPICS, "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=7200000")
        .contains("Created topic " + topic);
    until(() -> Tool.ok(Tool.TOPICS, "--list").lines().contains(topic), "listed");
    Tool.Output described = Tool.ok(Tool.TOPICS, "--describe", "--topic", topic);
    described.contains("PartitionCount: 2").contains("retention.ms=7200000").contains("Partition: 1");
    check(described.row("Partition: 1").length >= 8, "leader, replicas and ISR in " + described);
    Tool.ok(Tool.TOPICS, "--alter", "--topic", topic, "--partitions", "4");
    until(() -> Tool.ok(Tool.TOPICS, "--describe", "--topic", topic).out().contains("PartitionCount: 4"), "four partitions");
    Tool.Output again = Tool.run(Tool.TOPICS, "", "--create", "--topic", topic, "--partitions", "1");
    check(again.code() != 0 && (again.out() + again.err()).contains("already exists"), "second creation: " + again);
    Tool.ok(Tool.TOPICS, "--create", "--if-not-exists", "--topic", topic);
    Tool.Output shrunk = Tool.run(Tool.TOPICS, "", "--alter", "--topic", topic, "--partitions", "1");
    check(shrunk.code() != 0, "shrinking: " + shrunk);
    Tool.ok(Tool.TOPICS, "--delete", "--topic", topic);
    until(() -> !Tool.ok(Tool.TOPICS, "--list").lines().contains(topic), "gone");
  }

  @Suite.Case
  void topics_report_what_is_under_replicated() throws Exception {
    equal(Tool.ok(Tool.TOPICS, "--describe", "--under-replicated-partitions").out(), "", "under-replicated partitions");
    equal(Tool.ok(Tool.TOPICS, "--describe", "--unavailable-partitions").out(), "", "unavailable partitions");
    equal(Tool.ok(Tool.TOPICS, "--describe", "--under-min-isr-partitions").out(), "", "partitions under min ISR");
  }

  @Suite.Case
  void topic_with_a_slash_is_refused() throws Exception {
    Tool.Output refused = Tool.run(Tool.TOPICS, "", "--create", "--topic", "with/slash", "--partitions", "1");
    check(refused.code() != 0 && (refused.out() + refused.err()).contains("with/slash"), refused.toString());
  }

  @Suite.Case
  void console_producer_and_consumer() throws Exception {
    String topic = Kafka.create("tool-console", 1);
    String lines = IntStream.range(0, 50).mapToObj(n -> "k" + n + ":v" + n + "\n").collect(Collectors.joining());
    equal(Tool.run(Tool.CONSOLE_PRODUCER, lines, "--topic", topic, "--reader-property", "parse.key=true",
        "--reader-property", "key.separator=:").code(), 0, "exit code of the producer");
    Tool.Output read = Tool.ok(Tool.CONSOLE_CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", "50", "--timeout-ms", "20000",
        "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:");
    equal(read.out(), lines, "what the consumer prints");
  }

  @Suite.Case
  void console_consumer_in_a_group_goes_on_where_it_stopped() throws Exception {
    String topic = Kafka.create("tool-console-group", 1);
    String group = unique("tool-console");
    Kafka.sendNumbers(topic, 10);
    String[] arguments = {"--topic", topic, "--group", group, "--from-beginning", "--max-messages", "5", "--timeout-ms", "20000"};
    equal(Tool.ok(Tool.CONSOLE_CONSUMER, arguments).lines(), List.of("0", "1", "2", "3", "4"), "first run");
    equal(Tool.ok(Tool.CONSOLE_CONSUMER, arguments).lines(), List.of("5", "6", "7", "8", "9"), "second run");
  }

  @Suite.Case
  void console_producer_with_every_codec() throws Exception {
    for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
      String topic = Kafka.create("tool-" + codec, 1);
      equal(Tool.run(Tool.CONSOLE_PRODUCER, "a\nb\n", "--topic", topic, "--compression-codec", codec).code(), 0, codec);
      equal(Kafka.readStart(topic, 2).size(), 2, "records with " + codec);
    }
  }

  @Suite.Case
  void configs_of_a_topic_are_altered_described_and_deleted() throws Exception {
    String topic = Kafka.create("tool-configs", 1);
    String[] entity = {"--entity-type", "topics", "--entity-name", topic};
    Tool.ok(Tool.CONFIGS, with(entity, "--alter", "--add-config", "retention.ms=123456,max.message.bytes=20000"));
    until(() -> {
      String out = Tool.ok(Tool.CONFIGS, with(entity, "--describe")).out();
      return out.contains("retention.ms=123456") && out.contains("max.message.bytes=20000");
    }, "both are described");
    Tool.ok(Tool.CONFIGS, with(entity, "--alter", "--delete-config", "retention.ms"));
    until(() -> !Tool.ok(Tool.CONFIGS, with(entity, "--describe")).out().contains("retention.ms="), "one is deleted");
    Tool.ok(Tool.CONFIGS, with(entity, "--describe", "--all")).contains("segment.bytes=").contains("DEFAULT_CONFIG:");
    Tool.Output bad = Tool.run(Tool.CONFIGS, "", with(entity, "--alter", "--add-config", "retention.ms=soon"));
    check(bad.code() != 0, "a bad value: " + bad);
    Tool.Output unknown = Tool.run(Tool.CONFIGS, "", with(entity, "--alter", "--add-config", "no.such.key=1"));
    check(unknown.code() != 0, "an unknown key: " + unknown);
  }

  @Suite.Case
  void configs_of_brokers_are_altered_described_and_deleted() throws Exception {
    int id = Kafka.ADMIN.describeCluster().nodes().get().iterator().next().id();
    String[] one = {"--entity-type", "brokers", "--entity-name", String.valueOf(id)};
    Tool.ok(Tool.CONFIGS, with(one, "--describe", "--all")).contains("node.id=" + id);
    Tool.ok(Tool.CONFIGS, with(one, "--alter", "--add-config", "log.cleaner.threads=2"));
    until(() -> Tool.ok(Tool.CONFIGS, with(one, "--describe")).out().contains("log.cleaner.threads=2"), "set on one broker");
    Tool.ok(Tool.CONFIGS, with(one, "--alter", "--delete-config", "log.cleaner.threads"));
    until(() -> !Tool.ok(Tool.CONFIGS, with(one, "--describe")).out().contains("log.cleaner.threads=2"), "deleted on one broker");
    String[] all = {"--entity-type", "brokers", "--entity-default"};
    Tool.ok(Tool.CONFIGS, with(all, "--alter", "--add-config", "log.retention.ms=604800001"));
    until(() -> Tool.ok(Tool.CONFIGS, with(all, "--describe")).out().contains("log.retention.ms=604800001"), "set for all");
    Tool.ok(Tool.CONFIGS, with(all, "--alter", "--delete-config", "log.retention.ms"));
    Tool.Output fixed = Tool.run(Tool.CONFIGS, "", with(one, "--alter", "--add-config", "node.id=9"));
    check(fixed.code() != 0, "a read-only key: " + fixed);
  }

  private static String[] with(String[] first, String... more) {
    return Stream.concat(List.of(first).stream(), List.of(more).stream()).toArray(String[]::new);
  }

  @Suite.Case
  void get_offsets_of_every_kind() throws Exception {
    String topic = Kafka.create("tool-offsets", 2);
    Kafka.sendNumbers(topic, 7);
    String home = Tool.ok(Tool.GET_OFFSETS, "--topic", topic, "--time", "-1").lines().stream()
        .filter(line -> line.endsWith(":7")).findFirst().orElseThrow().split(":")[1];
    Tool.ok(Tool.GET_OFFSETS, "--topic", topic, "--time", "earliest").contains(topic + ":" + home + ":0");
    Tool.ok(Tool.GET_OFFSETS, "--topic", topic, "--time", "latest").contains(topic + ":" + home + ":7");
    Tool.ok(Tool.GET_OFFSETS, "--topic", topic, "--time", "1000").contains(topic + ":" + home + ":0");
    Tool.ok(Tool.GET_OFFSETS, "--topic-partitions", topic + ":" + home, "--time", "max-timestamp").contains(topic + ":" + home + ":");
  }

  @Suite.Case
  void delete_records() throws Exception {
    String topic = Kafka.create("tool-delete-records", 1);
    Kafka.sendNumbers(topic, 10);
    Path file = Files.createTempFile("delete-records", ".json");
    Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"offset\":4}]}");
    Tool.ok(Tool.DELETE_RECORDS, "--offset-json-file", file.toString()).contains("low_watermark: 4");
    Files.delete(file);
    equal(Kafka.readStart(topic, 6).get(0).offset(), 4L, "first offset that is left");
  }

  @Suite.Case
  void log_dirs() throws Exception {
    String topic = Kafka.create("tool-log-dirs", 1);
    Kafka.sendNumbers(topic, 100);
    Tool.Output described = Tool.ok(Tool.LOG_DIRS, "--describe", "--topic-list", topic);
    described.contains("\"logDirs\"").contains("\"partition\":\"" + topic + "-0\"").contains("\"error\":null");
  }

  @Suite.Case
  void metadata_quorum() throws Exception {
    Tool.Output status = Tool.ok(Tool.METADATA_QUORUM, "describe", "--status");
    status.contains("ClusterId:").contains("LeaderId:").contains("HighWatermark:").contains("CurrentVoters:");
    check(Integer.parseInt(status.row("LeaderEpoch:")[1]) >= 0, "leader epoch in " + status);
    Tool.Output replication = Tool.ok(Tool.METADATA_QUORUM, "describe", "--replication");
    replication.contains("LogEndOffset").contains("Leader");
  }

  @Suite.Case
  void leader_election() throws Exception {
    String topic = Kafka.create("tool-election", 1);
    Tool.Output elected = Tool.ok(Tool.LEADER_ELECTION, "--election-type", "preferred", "--topic", topic, "--partition", "0");
    elected.contains(topic);
  }

  @Suite.Case
  void broker_api_versions() throws Exception {
    Tool.Output versions = Tool.ok(Tool.API_VERSIONS);
    versions.contains("Produce(0): 0 to ").contains("Fetch(1): 4 to ").contains("ApiVersions(18):");
  }

  @Suite.Case
  void cluster_id() throws Exception {
    String id = Kafka.ADMIN.describeCluster().clusterId().get();
    List<String> arguments = List.of("cluster-id", "--bootstrap-server", Suite.BOOTSTRAP);
    Tool.runPlain(Tool.CLUSTER, "", arguments).contains("Cluster ID: " + id);
  }
}
