package klamm.chaos;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.config.ConfigResource;

/**
 * The clients under test: BOOTSTRAP TOPIC PARTITIONS RATE ACKS REQUEST_TIMEOUT.
 *
 * <p>Commands are lines of standard input: {@code produce}, {@code change} (a metadata change after another), {@code compact}
 * (keys into a topic beside the other), {@code administer} (topics come and go), {@code retries}, {@code stop} (producing, when
 * every send has ended), {@code read} (everything). Each is answered by a line; at the end of the
 * input the program ends.
 */
public final class Workload {
  private static final int PRODUCERS = 3;

  private final Settings settings;
  private final String topic;
  private final int partitions;
  private final String acks;
  private final long pause;
  private final List<Producing> producers = new ArrayList<>();
  private Compacted compacted;

  private Workload(String[] arguments) {
    settings = new Settings(arguments[0], Integer.parseInt(arguments[5]));
    topic = arguments[1];
    partitions = Integer.parseInt(arguments[2]);
    pause = 1_000_000_000L * PRODUCERS / Integer.parseInt(arguments[3]);
    acks = arguments[4];
  }

  public static void main(String[] arguments) throws Exception {
    Workload workload = new Workload(arguments);
    background("flusher", () -> {
      while (true) {
        Thread.sleep(20);
        Journal.flush();
      }
    });
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String command = commands.readLine(); command != null; command = commands.readLine()) {
      Journal.done(command, workload.obey(command));
    }
    Runtime.getRuntime().halt(0);
  }

  private long obey(String command) throws Exception {
    switch (command) {
      case "produce" -> produce();
      case "change" -> background("changing", this::change);
      case "compact" -> {
        compacted = new Compacted(settings, topic + "-compacted");
        compacted.create();
        background("compacted", () -> {
          compacted.produce();
          return null;
        });
      }
      case "administer" -> {
        for (int number = 1; number <= 2; number++) {
          Administering administering = new Administering(settings, number);
          background("admin-" + number, () -> {
            administering.run();
            return null;
          });
        }
      }
      case "retries" -> {
        return producers.stream().mapToLong(Producing::retries).sum();
      }
      case "stop" -> {
        for (Producing producer : producers) {
          producer.finish();
        }
        if (compacted != null) {
          compacted.finish();
        }
      }
      case "read" -> {
        return new Reading(settings, topic, partitions).all() + (compacted == null ? 0 : compacted.read());
      }
      default -> throw new IllegalArgumentException(command);
    }
    return 0;
  }

  private void produce() {
    for (int number = 0; number < PRODUCERS; number++) {
      int remainder = number;
      int[] own = IntStream.range(0, partitions).filter(p -> p % PRODUCERS == remainder).toArray();
      producers.add(new Producing(new KafkaProducer<>(settings.producer(acks)), topic, number, own, pause));
    }
    producers.forEach(Thread::start);
    Reading reading = new Reading(settings, topic, partitions);
    background("tail", () -> {
      reading.follow();
      return null;
    });
    background("watch", () -> {
      reading.watch();
      return null;
    });
    for (String name : List.of("member-1", "member-2")) {
      background(name, () -> {
        new Member(settings, topic, name).run();
        return null;
      });
    }
  }

  /** Alters one setting of the topic again and again. */
  private Object change() throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    try (Admin admin = Admin.create(settings.admin())) {
      for (long number = 0; true; number++) {
        ConfigEntry entry = new ConfigEntry("max.compaction.lag.ms", String.valueOf(1_000_000_000L + number));
        long invoked = Journal.now();
        Throwable failure = null;
        try {
          admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
        } catch (Exception error) {
          failure = error;
        }
        Journal.changed(invoked, failure);
        Thread.sleep(20);
      }
    }
  }

  private static void background(String name, Callable<?> task) {
    Thread thread = new Thread(() -> {
      try {
        task.call();
      } catch (Exception error) {
        Journal.trouble(name, error);
      }
    }, name);
    thread.setDaemon(true);
    thread.start();
  }
}
