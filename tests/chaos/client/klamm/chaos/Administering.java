package klamm.chaos;

import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** An administrator that creates and deletes topics whose names it shares with others: registers that hold there or not there. */
final class Administering {
  /** Changes of an administrator, of which the last is a deletion, before it goes on to the next name. */
  private static final int CHANGES = 8;
  private static final long PAUSE = 400;

  private final Settings settings;
  private final int number;

  Administering(Settings settings, int number) {
    this.settings = settings;
    this.number = number;
  }

  void run() throws InterruptedException {
    Random random = new Random(number);
    try (Admin admin = Admin.create(settings.administrator())) {
      for (int change = 0; true; change++) {
        String name = "object-" + change / CHANGES;
        if (change % CHANGES < CHANGES - 1 && random.nextBoolean()) {
          create(admin, name);
        } else {
          delete(admin, name);
        }
        Thread.sleep(random.nextLong(2 * PAUSE));
      }
    }
  }

  private void create(Admin admin, String name) throws InterruptedException {
    long invoked = Journal.now();
    String outcome = "unknown";
    try {
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 3))).all().get();
      outcome = "done";
    } catch (ExecutionException error) {
      if (error.getCause() instanceof TopicExistsException) {
        outcome = "present";
      }
    }
    Journal.administered(name, "create", invoked, outcome);
  }

  private void delete(Admin admin, String name) throws InterruptedException {
    long invoked = Journal.now();
    String outcome = "unknown";
    try {
      admin.deleteTopics(List.of(name)).all().get();
      outcome = "done";
    } catch (ExecutionException error) {
      if (error.getCause() instanceof UnknownTopicOrPartitionException) {
        outcome = "absent";
      }
    }
    Journal.administered(name, "delete", invoked, outcome);
  }
}
