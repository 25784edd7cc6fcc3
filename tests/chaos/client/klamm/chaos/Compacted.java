package klamm.chaos;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Semaphore;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TopicExistsException;

/** A compacted topic: a few keys whose values change again and again, and now and then end. */
final class Compacted {
  private static final int PARTITIONS = 2;
  private static final int KEYS = 16;
  private static final long PAUSE = 30;
  /** Number of a record, as a tombstone has no value. */
  private static final String NUMBER = "number";

  private final Settings settings;
  private final String topic;
  private volatile boolean stopping;
  private KafkaProducer<String, String> producer;

  Compacted(Settings settings, String topic) {
    this.settings = settings;
    this.topic = topic;
  }

  /** Creates the topic: a segment is closed, and thereby compacted, after a second. */
  void create() throws Exception {
    Map<String, String> configs = Map.of("cleanup.policy", "compact", "segment.ms", "1000", "min.cleanable.dirty.ratio", "0.01");
    try (Admin admin = Admin.create(settings.admin())) {
      admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 3).configs(configs))).all().get();
    } catch (java.util.concurrent.ExecutionException error) {
      if (!(error.getCause() instanceof TopicExistsException)) {
        throw error;
      }
    }
    producer = new KafkaProducer<>(settings.producer("all"));
  }

  void produce() throws InterruptedException {
    Random random = new Random(1);
    Semaphore room = new Semaphore(1_000);
    for (long number = 0; !stopping; number++) {
      room.acquire();
      send(random.nextInt(KEYS), number, random.nextInt(8) == 0, room);
      Thread.sleep(PAUSE);
    }
  }

  private synchronized void send(int key, long number, boolean ends, Semaphore room) {
    if (stopping) {
      return;
    }
    String value = ends ? null : Values.text(number);
    ProducerRecord<String, String> record = new ProducerRecord<>(topic, key % PARTITIONS, String.valueOf(key), value);
    record.headers().add(NUMBER, String.valueOf(number).getBytes(StandardCharsets.UTF_8));
    producer.send(record, (metadata, error) -> {
      room.release();
      Journal.keyed(key, number, error == null ? metadata.offset() : -1);
    });
  }

  /** Ends when every send has ended. */
  void finish() {
    synchronized (this) {
      stopping = true;
    }
    producer.flush();
  }

  /** Reads what is left; says how many partitions were not read to their end for a minute. */
  long read() {
    List<TopicPartition> partitions = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings.consumer())) {
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = new HashMap<>(consumer.endOffsets(partitions, Duration.ofSeconds(60)));
      long deadline = Journal.now() + 60_000_000_000L;
      while (!ends.isEmpty() && Journal.now() < deadline) {
        consumer.poll(Duration.ofMillis(100)).forEach(r -> {
          String number = new String(r.headers().lastHeader(NUMBER).value(), StandardCharsets.UTF_8);
          Journal.kept(Integer.parseInt(r.key()), Long.parseLong(number), r.offset());
        });
        ends.entrySet().removeIf(e -> consumer.position(e.getKey()) >= e.getValue());
      }
      return ends.size();
    }
  }
}
