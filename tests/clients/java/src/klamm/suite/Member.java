package klamm.suite;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** A group member that reads until it is stopped, committing when partitions are taken from it. */
final class Member extends Thread {
  final Set<Integer> assigned = ConcurrentHashMap.newKeySet();
  final List<ConsumerRecord<String, String>> records = new CopyOnWriteArrayList<>();
  private final String group;
  private final String topic;
  private volatile boolean stopping;
  private volatile Exception error;

  Member(String group, String topic) {
    this.group = group;
    this.topic = topic;
    setDaemon(true);
    start();
  }

  @Override
  public void run() {
    try (KafkaConsumer<String, String> consumer = Kafka.consumer(Kafka.member(group))) {
      consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
          partitions.forEach(p -> assigned.add(p.partition()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
          consumer.commitSync();
          partitions.forEach(p -> assigned.remove(p.partition()));
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
          partitions.forEach(p -> assigned.remove(p.partition()));
        }
      });
      while (!stopping) {
        consumer.poll(Duration.ofMillis(100)).forEach(records::add);
      }
    } catch (Exception failed) {
      error = failed;
    }
  }

  void check() throws Exception {
    if (error != null) {
      throw error;
    }
  }

  void finish() throws Exception {
    stopping = true;
    join(20_000);
    check();
  }

  /** Waits until the members share all partitions evenly. */
  static void awaitSpread(List<Member> members, int partitions) throws Exception {
    Suite.until(() -> {
      for (Member member : members) {
        member.check();
      }
      List<Integer> owned = members.stream().flatMap(m -> m.assigned.stream()).toList();
      int most = members.stream().mapToInt(m -> m.assigned.size()).max().orElse(0);
      int least = members.stream().mapToInt(m -> m.assigned.size()).min().orElse(0);
      return owned.size() == partitions && Set.copyOf(owned).size() == partitions && most - least <= 1;
    }, members.size() + " members share " + partitions + " partitions");
  }

  static int total(List<Member> members) {
    return members.stream().mapToInt(m -> m.records.size()).sum();
  }
}
