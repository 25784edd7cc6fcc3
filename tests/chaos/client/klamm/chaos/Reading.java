package klamm.chaos;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Consumers that are given their partitions: one that follows what is produced, and one that reads everything in the end. */
final class Reading {
  private final Settings settings;
  private final List<TopicPartition> partitions;

  Reading(Settings settings, String topic, int partitions) {
    this.settings = settings;
    this.partitions = IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
  }

  void follow() {
    Map<String, Object> named = settings.consumer();
    named.put("client.id", "tail");
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(named)) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (true) {
        poll(consumer, "tail");
      }
    }
  }

  private static void poll(KafkaConsumer<String, String> consumer, String name) {
    try {
      consumer.poll(Duration.ofMillis(100)).forEach(r -> Journal.polled(name, r.partition(), r.offset(), Values.parse(r.value())));
    } catch (RuntimeException error) {
      Journal.trouble(name, error);
    }
  }

  /** Start and end of every partition as the brokers give them, twice a second. */
  void watch() throws InterruptedException {
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings.consumer())) {
      while (true) {
        long invoked = Journal.now();
        try {
          Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
          Map<TopicPartition, Long> starts = consumer.beginningOffsets(partitions);
          ends.forEach((p, end) -> Journal.offsets(p.partition(), invoked, starts.get(p), end));
        } catch (RuntimeException error) {
          // What nobody answers says nothing.
        }
        Thread.sleep(500);
      }
    }
  }

  /** From the beginning to where the end is now; says how many partitions were not read to their end for a minute. */
  long all() {
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings.consumer())) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = new HashMap<>(consumer.endOffsets(partitions, Duration.ofSeconds(60)));
      long deadline = Journal.now() + 60_000_000_000L;
      long before = -1;
      while (!ends.isEmpty() && Journal.now() < deadline) {
        poll(consumer, "final");
        ends.entrySet().removeIf(e -> consumer.position(e.getKey()) >= e.getValue());
        long read = partitions.stream().mapToLong(consumer::position).sum();
        if (read > before) {
          before = read;
          deadline = Journal.now() + 60_000_000_000L;
        }
      }
      return ends.size();
    } catch (RuntimeException error) {
      Journal.trouble("final", error);
      return partitions.size();
    }
  }
}
