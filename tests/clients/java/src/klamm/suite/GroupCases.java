package klamm.suite;

import static klamm.suite.Suite.check;
import static klamm.suite.Suite.equal;
import static klamm.suite.Suite.unique;
import static klamm.suite.Suite.until;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** How groups share partitions, rebalance and remember. */
final class GroupCases {
  private static final int KEYS = 40;
  private static final int ROUNDS = 5;

  @Suite.Case
  void flow_two_partitions_two_consumers() throws Exception {
    flow(2, 2, 1, 1);
  }

  @Suite.Case
  void flow_two_partitions_three_consumers_one_idle() throws Exception {
    flow(2, 3, 1, 1);
  }

  @Suite.Case
  void flow_three_partitions_two_consumers_two_producers() throws Exception {
    flow(3, 2, 2, 1);
  }

  @Suite.Case
  void flow_four_partitions_one_consumer() throws Exception {
    flow(4, 1, 1, 1);
  }

  @Suite.Case
  void flow_three_partitions_two_groups_of_two() throws Exception {
    flow(3, 2, 1, 2);
  }

  private static void flow(int partitions, int consumers, int producers, int groups) throws Exception {
    String topic = Kafka.create("flow", partitions);
    List<List<Member>> teams = IntStream.range(0, groups).mapToObj(n -> team(topic, consumers)).toList();
    for (List<Member> team : teams) {
      Member.awaitSpread(team, partitions);
    }
    List<CompletableFuture<Void>> writers = IntStream.range(0, producers).mapToObj(n -> CompletableFuture.runAsync(() -> {
      try {
        Kafka.send(keyed(topic, "producer" + n), Map.of("linger.ms", 1, "batch.size", 500));
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    })).toList();
    for (CompletableFuture<Void> writer : writers) {
      writer.get();
    }
    for (List<Member> team : teams) {
      assertReadInOrder(team, partitions, producers * KEYS * ROUNDS);
    }
  }

  private static List<Member> team(String topic, int size) {
    String group = unique("group");
    return Stream.generate(() -> new Member(group, topic)).limit(size).toList();
  }

  private static List<ProducerRecord<String, String>> keyed(String topic, String writer) {
    List<ProducerRecord<String, String>> records = new ArrayList<>();
    for (int round = 0; round < ROUNDS; round++) {
      for (int key = 0; key < KEYS; key++) {
        records.add(new ProducerRecord<>(topic, writer + "-" + key, String.valueOf(round)));
      }
    }
    return records;
  }

  private static void assertReadInOrder(List<Member> team, int partitions, int expected) throws Exception {
    until(() -> Member.total(team) >= expected, "the group has read everything");
    equal(Member.total(team), expected, "records read");
    Member.awaitSpread(team, partitions);
    List<Member> idle = team.stream().filter(member -> member.assigned.isEmpty()).toList();
    equal(idle.size(), Math.max(0, team.size() - partitions), "idle consumers");
    equal(Member.total(idle), 0, "records of idle consumers");
    for (Member member : team) {
      Map<String, List<String>> values = new HashMap<>();
      member.records.forEach(r -> values.computeIfAbsent(r.key(), k -> new ArrayList<>()).add(r.value()));
      values.forEach((key, read) -> equal(read, List.of("0", "1", "2", "3", "4"), "values of " + key));
      member.finish();
    }
  }

  @Suite.Case
  void rebalance_when_a_consumer_joins() throws Exception {
    String topic = Kafka.create("join", 2);
    String group = unique("join");
    Member first = new Member(group, topic);
    Member.awaitSpread(List.of(first), 2);
    Kafka.send(keyed(topic, "before"), Map.of());
    until(() -> first.records.size() == KEYS * ROUNDS, "the first reads alone");
    Member second = new Member(group, topic);
    List<Member> both = List.of(first, second);
    Member.awaitSpread(both, 2);
    Kafka.send(keyed(topic, "after"), Map.of());
    until(() -> Member.total(both) == 2 * KEYS * ROUNDS, "both read on");
    check(!second.records.isEmpty(), "the second consumer read something");
    first.finish();
    Member.awaitSpread(List.of(second), 2);
    second.finish();
  }

  @Suite.Case
  void rebalance_when_a_consumer_dies() throws Exception {
    String topic = Kafka.create("die", 2);
    String group = unique("die");
    Member survivor = new Member(group, topic);
    Process victim = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-Xmx64m", "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", System.getProperty("java.class.path"), "klamm.suite.Main", "member", group, topic).inheritIO().start();
    try {
      until(() -> survivor.assigned.size() == 1, "the other process takes a partition");
      victim.destroyForcibly();
      Kafka.send(keyed(topic, "while-dead"), Map.of());
      Member.awaitSpread(List.of(survivor), 2);
      until(() -> survivor.records.stream().map(r -> r.partition() + "/" + r.offset()).distinct().count() == KEYS * ROUNDS,
          "the survivor reads everything");
    } finally {
      victim.destroyForcibly();
    }
    survivor.finish();
  }

  @Suite.Case
  void rebalance_when_partitions_are_added() throws Exception {
    String topic = Kafka.create("grow", 2);
    List<Member> members = team(topic, 2);
    Member.awaitSpread(members, 2);
    Kafka.ADMIN.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
    Member.awaitSpread(members, 4);
    List<ProducerRecord<String, String>> records = new ArrayList<>();
    IntStream.range(0, 40).forEach(n -> records.add(new ProducerRecord<>(topic, n % 4, null, "v")));
    Kafka.send(records, Map.of());
    until(() -> Member.total(members) == 40, "all four partitions are read");
    for (Member member : members) {
      member.finish();
    }
  }

  @Suite.Case
  void manual_commit_is_found_again() throws Exception {
    String topic = Kafka.create("commit", 1);
    String group = unique("commit");
    TopicPartition partition = new TopicPartition(topic, 0);
    Kafka.sendNumbers(topic, 10);
    try (KafkaConsumer<String, String> first = Kafka.consumer(Kafka.member(group))) {
      first.subscribe(List.of(topic));
      Kafka.read(first, 10);
      first.commitSync(Map.of(partition, new OffsetAndMetadata(4, "by hand")));
    }
    try (KafkaConsumer<String, String> again = Kafka.consumer(Kafka.member(group))) {
      again.subscribe(List.of(topic));
      List<String> rest = Kafka.read(again, 6).stream().map(ConsumerRecord::value).toList();
      equal(rest, List.of("4", "5", "6", "7", "8", "9"), "values after the commit");
      OffsetAndMetadata found = again.committed(Set.of(partition)).get(partition);
      equal(found.offset() + " " + found.metadata(), "4 by hand", "offset found again");
    }
  }

  @Suite.Case
  void groups_are_independent() throws Exception {
    String topic = Kafka.create("independent", 1);
    Kafka.sendNumbers(topic, 5);
    for (String group : List.of(unique("left"), unique("right"))) {
      try (KafkaConsumer<String, String> consumer = Kafka.consumer(Kafka.member(group))) {
        consumer.subscribe(List.of(topic));
        Kafka.read(consumer, 5);
        consumer.commitSync();
      }
    }
  }

  @Suite.Case
  void offset_reset_latest_skips_what_was_there() throws Exception {
    String topic = Kafka.create("latest", 1);
    Kafka.sendNumbers(topic, 3);
    Map<String, Object> settings = new HashMap<>(Kafka.member(unique("latest")));
    settings.put("auto.offset.reset", "latest");
    try (KafkaConsumer<String, String> consumer = Kafka.consumer(settings)) {
      consumer.subscribe(List.of(topic));
      until(() -> {
        equal(consumer.poll(Duration.ofMillis(100)).count(), 0, "old records");
        return !consumer.assignment().isEmpty();
      }, "assigned");
      equal(consumer.position(new TopicPartition(topic, 0)), 3L, "position");
      Kafka.sendNumbers(topic, 1);
      equal(Kafka.read(consumer, 1).get(0).offset(), 3L, "first offset");
    }
  }

  @Suite.Case
  void cooperative_assignment_keeps_what_need_not_move() throws Exception {
    String topic = Kafka.create("cooperative", 4);
    Map<String, Object> settings = new HashMap<>(Kafka.member(unique("cooperative")));
    settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
    try (KafkaConsumer<String, String> first = Kafka.consumer(settings); KafkaConsumer<String, String> second = Kafka.consumer(settings)) {
      first.subscribe(List.of(topic));
      until(() -> first.poll(Duration.ofMillis(100)).isEmpty() && first.assignment().size() == 4, "the first owns all");
      second.subscribe(List.of(topic));
      until(() -> {
        check(first.assignment().size() >= 2, "the first never loses more than two partitions");
        first.poll(Duration.ofMillis(50));
        second.poll(Duration.ofMillis(50));
        return first.assignment().size() == 2 && second.assignment().size() == 2;
      }, "two each");
    }
  }

  @Suite.Case
  void static_member_keeps_its_partitions_over_a_restart() throws Exception {
    String topic = Kafka.create("static", 2);
    String group = unique("static");
    Map<String, Object> settings = new HashMap<>(Kafka.member(group));
    settings.put("group.instance.id", "one");
    String before = memberOf(topic, settings);
    equal(memberOf(topic, settings).isEmpty(), before.isEmpty(), "the member returns under the same instance id");
    equal(Kafka.ADMIN.describeConsumerGroups(List.of(group)).all().get().get(group).members().size(), 1, "members");
  }

  private static String memberOf(String topic, Map<String, Object> settings) throws Exception {
    try (KafkaConsumer<String, String> consumer = Kafka.consumer(settings)) {
      consumer.subscribe(List.of(topic));
      until(() -> consumer.poll(Duration.ofMillis(100)).isEmpty() && consumer.assignment().size() == 2, "assigned");
      return consumer.groupMetadata().memberId();
    }
  }
}
