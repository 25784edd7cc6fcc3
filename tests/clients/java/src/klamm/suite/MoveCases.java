package klamm.suite;

import static klamm.suite.Suite.check;
import static klamm.suite.Suite.equal;
import static klamm.suite.Suite.failureOf;
import static klamm.suite.Suite.unique;
import static klamm.suite.Suite.until;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/**
 * Partitions that move, and consumers that read nearby. Needs brokers 0 to 3, each in a rack of its own, with the rack-aware
 * replica selector.
 */
final class MoveCases {
  private static final List<String> THROTTLES = List.of("leader.replication.throttled.replicas", "follower.replication.throttled.replicas");
  private static final List<String> RATES = List.of("leader.replication.throttled.rate", "follower.replication.throttled.rate");

  @Suite.Case
  void a_plan_is_generated_executed_and_verified() throws Exception {
    String topic = createOn("move-plan", List.of(0, 1, 2));
    Kafka.sendNumbers(topic, 100);
    Path topics = file("{\"version\":1,\"topics\":[{\"topic\":\"" + topic + "\"}]}");
    Tool.Output plan = Tool.ok(Tool.REASSIGN, "--generate", "--topics-to-move-json-file", topics.toString(), "--broker-list", "1,2,3");
    plan.contains("Current partition replica assignment").contains("Proposed partition reassignment configuration").contains(topic);
    String target = plan.lines().stream().filter(line -> line.startsWith("{")).reduce((first, last) -> last).orElseThrow();
    check(!target.contains("[0,") && !target.contains(",0,"), "broker 0 is in the plan " + target);

    Path move = move(topic, List.of(3, 2, 1));
    Tool.ok(Tool.REASSIGN, "--execute", "--reassignment-json-file", move.toString(), "--throttle", "50000000")
        .contains("Successfully started partition reassignment for " + topic + "-0");
    until(() -> Tool.ok(Tool.REASSIGN, "--verify", "--reassignment-json-file", move.toString()).out()
        .contains("Reassignment of partition " + topic + "-0 is completed."), "the move is verified");
    until(() -> replicas(topic).equals(List.of(3, 2, 1)), "the new replicas are described");
    for (String key : THROTTLES) {
      until(() -> config(ConfigResource.Type.TOPIC, topic).get(key).value().isEmpty(), key + " is cleared");
    }
    until(() -> RATES.stream().allMatch(rate -> notDynamic(rate)), "the rates are cleared");
    equal(Kafka.readStart(topic, 100).size(), 100, "records after the move");
  }

  @Suite.Case
  void a_throttled_move_is_listed_described_and_cancelled() throws Exception {
    String topic = createOn("move-slow", List.of(0, 1, 2));
    fill(topic, 6_000);
    Path move = move(topic, List.of(0, 3, 2));
    Tool.ok(Tool.REASSIGN, "--execute", "--reassignment-json-file", move.toString(), "--throttle", "1000")
        .contains("Warning: You must run --verify periodically").contains("Successfully started partition reassignment");
    Tool.ok(Tool.REASSIGN, "--list").contains(topic + "-0: replicas: 0,3,2,1. adding: 3. removing: 1.");
    until(() -> {
      String[] described = Tool.ok(Tool.TOPICS, "--describe", "--topic", topic).row("Partition: 0");
      List<String> columns = List.of(described);
      return columns.contains("Adding") && columns.contains("Removing");
    }, "kafka-topics shows what is added and removed");
    Tool.ok(Tool.TOPICS, "--describe", "--topic", topic).contains("Adding Replicas: 3").contains("Removing Replicas: 1");
    Tool.ok(Tool.REASSIGN, "--verify", "--preserve-throttles", "--reassignment-json-file", move.toString())
        .contains("Reassignment of partition " + topic + "-0 is still in progress.");
    Tool.ok(Tool.REASSIGN, "--cancel", "--reassignment-json-file", move.toString())
        .contains("Successfully cancelled partition reassignment for: " + topic + "-0");
    check(!Tool.ok(Tool.REASSIGN, "--list").out().contains(topic), "it is listed after its cancellation");
    until(() -> List.copyOf(replicas(topic)).stream().sorted().toList().equals(List.of(0, 1, 2)), "the old replicas are back");
    until(() -> RATES.stream().allMatch(rate -> notDynamic(rate)), "the rates are cleared");
  }

  @Suite.Case
  void reassignments_are_refused_by_name() throws Exception {
    String topic = createOn("move-refused", List.of(0, 1, 2));
    check(reassign(topic, 0, null) instanceof NoReassignmentInProgressException, "nothing to cancel");
    check(reassign(topic, 0, List.of(1, 1)) instanceof InvalidReplicaAssignmentException, "a replica twice");
    check(reassign(topic, 0, List.of(77)) instanceof InvalidReplicaAssignmentException, "an unknown broker");
    check(reassign(topic, 5, List.of(1)) instanceof UnknownTopicOrPartitionException, "an unknown partition");
    check(reassign(unique("nowhere"), 0, List.of(1)) instanceof UnknownTopicOrPartitionException, "an unknown topic");
  }

  @Suite.Case
  void a_factor_grows_and_shrinks() throws Exception {
    String topic = createOn("move-factor", List.of(0));
    Kafka.sendNumbers(topic, 10);
    for (List<Integer> target : List.of(List.of(0, 1, 2, 3), List.of(3, 1))) {
      NewPartitionReassignment wanted = new NewPartitionReassignment(target);
      Kafka.ADMIN.alterPartitionReassignments(Map.of(new TopicPartition(topic, 0), Optional.of(wanted))).all().get();
      until(() -> Kafka.ADMIN.listPartitionReassignments().reassignments().get().isEmpty(), "the move to " + target);
      until(() -> replicas(topic).equals(target), "replicas " + target);
    }
    equal(Kafka.readStart(topic, 10).size(), 10, "records");
  }

  @Suite.Case
  void a_consumer_reads_from_the_replica_in_its_rack() throws Exception {
    String topic = createOn("near", List.of(0, 1));
    fill(topic, 3_000);
    String rack = Kafka.ADMIN.describeCluster().nodes().get().stream()
        .filter(node -> node.id() == 1).map(Node::rack).findFirst().orElseThrow();
    TopicPartition partition = new TopicPartition(topic, 0);
    try (KafkaConsumer<String, String> consumer = Kafka.consumer(Map.of("client.rack", rack))) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      Kafka.read(consumer, 3_000);
      double leader = received(consumer, 0);
      double near = received(consumer, 1);
      check(near > 2_500_000 && leader < 1_000_000, "received " + near + " from the follower, " + leader + " from the leader");
    }
  }

  private static double received(KafkaConsumer<?, ?> consumer, int node) {
    return consumer.metrics().entrySet().stream()
        .filter(metric -> metric.getKey().name().equals("incoming-byte-total")
            && ("node-" + node).equals(metric.getKey().tags().get("node-id")))
        .mapToDouble(metric -> (Double) metric.getValue().metricValue()).sum();
  }

  private static String createOn(String name, List<Integer> replicas) throws Exception {
    String topic = unique(name);
    Map<String, String> configs = Map.of("min.insync.replicas", "1");
    Kafka.ADMIN.createTopics(List.of(new NewTopic(topic, Map.of(0, replicas)).configs(configs))).all().get();
    until(() -> replicas(topic).equals(replicas), "every broker knows " + topic);
    return topic;
  }

  /** About a kilobyte a record. */
  private static void fill(String topic, int records) throws Exception {
    List<ProducerRecord<String, String>> all = new ArrayList<>();
    for (int n = 0; n < records; n++) {
      all.add(new ProducerRecord<>(topic, 0, String.valueOf(n), "x".repeat(1_000)));
    }
    Kafka.send(all, Map.of("acks", "all"));
  }

  private static List<Integer> replicas(String topic) throws Exception {
    try {
      return Kafka.ADMIN.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(0).replicas().stream()
          .map(Node::id).toList();
    } catch (java.util.concurrent.ExecutionException notYet) {
      return List.of();
    }
  }

  private static Throwable reassign(String topic, int partition, List<Integer> replicas) throws Exception {
    Optional<NewPartitionReassignment> wanted = Optional.ofNullable(replicas).map(NewPartitionReassignment::new);
    return failureOf(() -> Kafka.ADMIN.alterPartitionReassignments(Map.of(new TopicPartition(topic, partition), wanted)).all().get());
  }

  private static Config config(ConfigResource.Type type, String name) throws Exception {
    ConfigResource resource = new ConfigResource(type, name);
    return Kafka.ADMIN.describeConfigs(List.of(resource)).all().get().get(resource);
  }

  private static boolean notDynamic(String rate) {
    return IntStream.range(0, 4).allMatch(id -> {
      try {
        ConfigEntry entry = config(ConfigResource.Type.BROKER, String.valueOf(id)).get(rate);
        return entry == null || entry.isDefault();
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    });
  }

  private static Path move(String topic, List<Integer> replicas) throws Exception {
    String ids = replicas.stream().map(String::valueOf).collect(Collectors.joining(","));
    String any = replicas.stream().map(id -> "\"any\"").collect(Collectors.joining(","));
    return file("{\"version\":1,\"partitions\":[{\"topic\":\"" + topic + "\",\"partition\":0,\"replicas\":[" + ids + "],\"log_dirs\":[" + any + "]}]}");
  }

  private static Path file(String json) throws Exception {
    Path file = Files.createTempFile("move", ".json");
    file.toFile().deleteOnExit();
    return Files.writeString(file, json);
  }
}
