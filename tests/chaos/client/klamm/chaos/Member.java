package klamm.chaos;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** A member of a group that commits what it has read a few times a second. */
final class Member {
  private static final long BETWEEN_COMMITS = 300_000_000L;

  private final String name;
  private final KafkaConsumer<String, String> consumer;
  private final Map<TopicPartition, OffsetAndMetadata> read = new HashMap<>();

  Member(Settings settings, String topic, String name) {
    this.name = name;
    consumer = new KafkaConsumer<>(settings.member("chaos"));
    consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
      @Override
      public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        partitions.forEach(p -> Journal.assigned(Member.this.name, p.partition(), consumer.groupMetadata().generationId()));
      }

      @Override
      public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        partitions.forEach(read::remove);
      }

      @Override
      public void onPartitionsLost(Collection<TopicPartition> partitions) {
        partitions.forEach(read::remove);
      }
    });
  }

  void run() {
    long committed = Journal.now();
    while (true) {
      try {
        consumer.poll(Duration.ofMillis(100)).forEach(r -> {
          Journal.polled(name, r.partition(), r.offset(), Values.parse(r.value()));
          read.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
        });
        if (Journal.now() - committed > BETWEEN_COMMITS) {
          commit();
          committed = Journal.now();
        }
      } catch (RuntimeException error) {
        Journal.trouble(name, error);
      }
    }
  }

  private void commit() {
    Map<TopicPartition, OffsetAndMetadata> offsets = Map.copyOf(read);
    if (offsets.isEmpty()) {
      return;
    }
    int generation = consumer.groupMetadata().generationId();
    long invoked = Journal.now();
    boolean acknowledged = false;
    try {
      consumer.commitSync(offsets);
      acknowledged = true;
    } catch (RuntimeException error) {
      // Whether it took effect nobody knows.
    }
    boolean outcome = acknowledged;
    offsets.forEach((p, o) -> Journal.committed(name, p.partition(), o.offset(), generation, invoked, outcome));
    read.clear();
  }
}
