package klamm.chaos;

import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.SerializationException;

/** One producer that sends to its partitions in turn at a steady rate, whatever became of the sends before. */
final class Producing extends Thread {
  /** Sends that may wait for their end: a producer that cannot send any more stops inventing records. */
  private static final int OUTSTANDING = 4_000;

  final KafkaProducer<String, String> producer;
  private final String topic;
  private final int number;
  private final int[] partitions;
  private final long pause;
  private final Semaphore room = new Semaphore(OUTSTANDING);
  private volatile boolean stopping;

  Producing(KafkaProducer<String, String> producer, String topic, int number, int[] partitions, long pauseNanos) {
    super("producer-" + number);
    this.producer = producer;
    this.topic = topic;
    this.number = number;
    this.partitions = partitions;
    this.pause = pauseNanos;
    setDaemon(true);
  }

  @Override
  public void run() {
    long next = Journal.now();
    for (long sequence = 0; !stopping; sequence++) {
      next += pause;
      long wait = next - Journal.now();
      if (wait > 0) {
        LockSupport.parkNanos(wait);
      } else {
        next -= wait;
      }
      room.acquireUninterruptibly();
      send(partitions[(int) (sequence % partitions.length)], Values.id(number, sequence));
    }
  }

  private void send(int partition, long value) {
    long invoked = Journal.now();
    try {
      producer.send(new ProducerRecord<>(topic, partition, null, Values.text(value)), (metadata, error) -> {
        room.release();
        if (error == null) {
          Journal.acknowledged(partition, value, invoked, metadata.offset());
        } else {
          Journal.failed(partition, value, invoked, isDefinite(error), error);
        }
      });
    } catch (RuntimeException error) {
      room.release();
      Journal.failed(partition, value, invoked, error instanceof ApiException && isDefinite((Exception) error), error);
    }
  }

  /** Refused before anything was sent. Every other failure may hide a record that was stored. */
  private static boolean isDefinite(Exception error) {
    return error instanceof RecordTooLargeException || error instanceof InvalidTopicException
        || error instanceof SerializationException;
  }

  /** Ends when every send has ended. */
  void finish() throws InterruptedException {
    stopping = true;
    join();
    producer.flush();
  }

  /** Sends that the producer tried again, each of which hid an error of the data path. */
  long retries() {
    return producer.metrics().entrySet().stream()
        .filter(e -> e.getKey().name().equals("record-retry-total") && e.getKey().group().equals("producer-metrics"))
        .mapToLong(e -> Math.round((Double) e.getValue().metricValue())).sum();
  }
}
