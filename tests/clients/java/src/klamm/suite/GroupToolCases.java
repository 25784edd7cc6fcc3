package klamm.suite;

import static klamm.suite.Suite.check;
import static klamm.suite.Suite.equal;
import static klamm.suite.Suite.unique;
import static klamm.suite.Suite.until;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** kafka-consumer-groups: listing, describing, every way to reset offsets, deleting. */
final class GroupToolCases {
  private static final long START = 1_700_000_000_000L;
  private static final long HOUR = 3_600_000L;

  /** A topic with ten records an hour apart, and an empty group that has committed offset 5 of it. */
  private static final class Fixture {
    final String topic = Kafka.create("reset", 1, Map.of("retention.ms", "-1"));
    final String group = unique("reset");

    Fixture() throws Exception {
      List<ProducerRecord<String, String>> records = new ArrayList<>();
      for (int n = 0; n < 10; n++) {
        records.add(new ProducerRecord<>(topic, 0, START + n * HOUR, null, "v" + n));
      }
      Kafka.send(records, Map.of("batch.size", 0));
      try (KafkaConsumer<String, String> consumer = Kafka.consumer(Kafka.member(group))) {
        consumer.assign(List.of(new TopicPartition(topic, 0)));
        consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(5)));
      }
    }

    long committed() throws Exception {
      return Kafka.ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(new TopicPartition(topic, 0)).offset();
    }

    /** Resets and asserts both what the tool prints and what the group has afterwards. */
    void reset(long expected, String... how) throws Exception {
      List<String> arguments = new ArrayList<>(List.of("--reset-offsets", "--group", group, "--topic", topic, "--execute"));
      arguments.addAll(List.of(how));
      Tool.Output output = Tool.ok(Tool.GROUPS, arguments.toArray(String[]::new));
      String[] row = output.row(topic);
      equal(row[row.length - 1], String.valueOf(expected), "new offset in " + output);
      equal(committed(), expected, "committed offset after " + List.of(how));
    }
  }

  private static String date(long millis) {
    return DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS").withZone(ZoneOffset.UTC).format(Instant.ofEpochMilli(millis)) + "Z";
  }

  @Suite.Case
  void reset_offsets_to_earliest() throws Exception {
    new Fixture().reset(0, "--to-earliest");
  }

  @Suite.Case
  void reset_offsets_to_latest() throws Exception {
    new Fixture().reset(10, "--to-latest");
  }

  @Suite.Case
  void reset_offsets_to_offset() throws Exception {
    Fixture fixture = new Fixture();
    fixture.reset(3, "--to-offset", "3");
    fixture.reset(10, "--to-offset", "99");
  }

  @Suite.Case
  void reset_offsets_shift_by() throws Exception {
    Fixture fixture = new Fixture();
    fixture.reset(7, "--shift-by", "2");
    fixture.reset(4, "--shift-by", "-3");
  }

  @Suite.Case
  void reset_offsets_to_datetime() throws Exception {
    new Fixture().reset(4, "--to-datetime", date(START + 3 * HOUR + HOUR / 2));
  }

  @Suite.Case
  void reset_offsets_by_duration() throws Exception {
    long sinceFourth = System.currentTimeMillis() - (START + 3 * HOUR + HOUR / 2);
    new Fixture().reset(4, "--by-duration", "PT" + sinceFourth / 1000 + "S");
  }

  @Suite.Case
  void reset_offsets_to_current() throws Exception {
    new Fixture().reset(5, "--to-current");
  }

  @Suite.Case
  void reset_offsets_from_file() throws Exception {
    Fixture fixture = new Fixture();
    Path file = Files.createTempFile("reset", ".csv");
    Files.writeString(file, fixture.topic + ",0,8\n");
    Tool.ok(Tool.GROUPS, "--reset-offsets", "--group", fixture.group, "--from-file", file.toString(), "--execute");
    Files.delete(file);
    equal(fixture.committed(), 8L, "committed offset");
  }

  @Suite.Case
  void reset_offsets_dry_run_and_export_change_nothing() throws Exception {
    Fixture fixture = new Fixture();
    String[] common = {"--reset-offsets", "--group", fixture.group, "--topic", fixture.topic, "--to-earliest"};
    String[] dry = Arrays.copyOf(common, common.length + 1);
    dry[common.length] = "--dry-run";
    Tool.ok(Tool.GROUPS, dry).contains(fixture.topic);
    dry[common.length] = "--export";
    Tool.ok(Tool.GROUPS, dry).contains(fixture.topic + ",0,0");
    equal(fixture.committed(), 5L, "committed offset");
  }

  @Suite.Case
  void reset_offsets_of_all_topics_of_all_groups_needs_no_topic() throws Exception {
    Fixture fixture = new Fixture();
    Tool.ok(Tool.GROUPS, "--reset-offsets", "--group", fixture.group, "--all-topics", "--to-latest", "--execute").contains(fixture.topic);
    equal(fixture.committed(), 10L, "committed offset");
  }

  @Suite.Case
  void reset_offsets_of_an_active_group_is_refused() throws Exception {
    Fixture fixture = new Fixture();
    Member member = new Member(fixture.group, fixture.topic);
    Member.awaitSpread(List.of(member), 1);
    Tool.Output refused = Tool.run(Tool.GROUPS, "", "--reset-offsets", "--group", fixture.group, "--topic", fixture.topic, "--to-earliest", "--execute");
    check((refused.out() + refused.err()).contains("inactive"), "what the tool says: " + refused);
    member.finish();
  }

  @Suite.Case
  void groups_are_listed_and_described() throws Exception {
    Fixture fixture = new Fixture();
    Member member = new Member(fixture.group, fixture.topic);
    Member.awaitSpread(List.of(member), 1);
    check(Tool.ok(Tool.GROUPS, "--list").lines().contains(fixture.group), "listed");
    Tool.ok(Tool.GROUPS, "--list", "--state").contains("Stable");
    until(() -> member.records.size() == 5, "the rest is read");
    String[] row = Tool.ok(Tool.GROUPS, "--describe", "--group", fixture.group).row(fixture.topic);
    equal(row[0] + " " + row[1] + " " + row[2], fixture.group + " " + fixture.topic + " 0", "group, topic, partition");
    String[] state = Tool.ok(Tool.GROUPS, "--describe", "--group", fixture.group, "--state").row(fixture.group);
    check(List.of(state).contains("Stable") && List.of(state).contains("range"), "state and assignor in " + List.of(state));
    String[] members = Tool.ok(Tool.GROUPS, "--describe", "--group", fixture.group, "--members", "--verbose").row(fixture.group);
    check(String.join(" ", members).contains(fixture.topic), "assignment in " + List.of(members));
    member.finish();
    String[] after = Tool.ok(Tool.GROUPS, "--describe", "--group", fixture.group).row(fixture.topic);
    equal(after[3] + " " + after[4] + " " + after[5], "10 10 0", "current offset, end and lag");
    Tool.ok(Tool.GROUPS, "--describe", "--group", fixture.group, "--state").contains("Empty");
  }

  @Suite.Case
  void offsets_and_groups_are_deleted() throws Exception {
    Fixture fixture = new Fixture();
    Tool.ok(Tool.GROUPS, "--delete-offsets", "--group", fixture.group, "--topic", fixture.topic).contains("Successful");
    equal(Kafka.ADMIN.listConsumerGroupOffsets(fixture.group).partitionsToOffsetAndMetadata().get().size(), 0, "offsets that are left");
    Fixture other = new Fixture();
    Tool.ok(Tool.GROUPS, "--delete", "--group", other.group).contains("was successful");
    until(() -> !Tool.ok(Tool.GROUPS, "--list").lines().contains(other.group), "gone");
  }

  @Suite.Case
  void unknown_group_is_reported() throws Exception {
    String group = unique("never-was");
    Tool.Output output = Tool.run(Tool.GROUPS, "", "--describe", "--group", group);
    check((output.out() + output.err()).contains(group), output.toString());
  }
}
