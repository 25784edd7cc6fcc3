package klamm.payments;

import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.kafka.listener.MessageListenerContainer;

/** Asserts what a user of the application relies on: `ok <case>` or `FAIL <case>: <why>`. */
final class Checks {
  private final String run = UUID.randomUUID().toString().substring(0, 8);
  private ConfigurableApplicationContext application;
  private boolean passed = true;

  private interface Check {
    void run() throws Exception;
  }

  boolean run() {
    check("application_starts_and_groups_share_the_partitions", this::start);
    check("committed_order_is_published_keyed_by_payment_id", this::committedOrder);
    check("rolled_back_order_publishes_nothing", this::rolledBackOrder);
    check("event_is_published_only_after_the_commit", this::afterCommit);
    check("order_of_a_key_is_kept", this::orderOfKey);
    check("latest_group_reads_only_what_is_new", this::latestGroup);
    check("acknowledged_offsets_are_found_again_after_a_restart", this::restart);
    check("what_was_not_acknowledged_comes_again", this::withoutAcknowledgment);
    if (application != null) {
      application.close();
    }
    return passed;
  }

  private void check(String name, Check check) {
    try {
      check.run();
      System.out.println("ok " + name);
    } catch (Throwable error) {
      error.printStackTrace();
      passed = false;
      System.out.println("FAIL " + name + ": " + String.valueOf(error).replace('\n', ' '));
    }
  }

  private OrderService orders() {
    return application.getBean(OrderService.class);
  }

  private PaymentListeners listeners() {
    return application.getBean(PaymentListeners.class);
  }

  private PaymentPublisher publisher() {
    return application.getBean(PaymentPublisher.class);
  }

  private void start() throws Exception {
    application = PaymentApplication.start(run);
    KafkaListenerEndpointRegistry registry = application.getBean(KafkaListenerEndpointRegistry.class);
    for (MessageListenerContainer container : registry.getListenerContainers()) {
      until(() -> container.getAssignedPartitions() != null && container.getAssignedPartitions().size() == 3, "three partitions");
    }
    // Only the consumer knows when it has looked up the end: pay until the group that wants new payments has one.
    until(() -> {
      orders().pay(id("warm-up"), 1, () -> {});
      return !listeners().latest.isEmpty();
    }, "the latest group reads");
  }

  private String id(String name) {
    return name + "-" + run;
  }

  private static List<ConsumerRecord<String, PaymentSucceeded>> of(List<ConsumerRecord<String, PaymentSucceeded>> all, String paymentId) {
    return all.stream().filter(record -> paymentId.equals(record.key())).toList();
  }

  private void committedOrder() throws Exception {
    orders().pay(id("paid"), 4200, () -> {});
    until(() -> of(listeners().earliest, id("paid")).size() == 1, "the payment is read");
    ConsumerRecord<String, PaymentSucceeded> record = of(listeners().earliest, id("paid")).get(0);
    equal(record.value(), new PaymentSucceeded(id("paid"), 4200), "payload");
    equal(record.headers().toArray().length, 0, "headers, type headers being off");
    equal(record.topic(), "payment.success", "topic");
  }

  private void rolledBackOrder() throws Exception {
    int before = publisher().sent.size();
    try {
      orders().pay(id("rolled-back"), 1, () -> { throw new IllegalStateException("card declined"); });
      throw new AssertionError("the transaction was committed");
    } catch (IllegalStateException expected) {
      equal(orders().stored(id("rolled-back")), 0, "stored orders");
    }
    equal(publisher().sent.size(), before, "published events");
    orders().pay(id("rolled-back-fence"), 1, () -> {});
    until(() -> of(listeners().earliest, id("rolled-back-fence")).size() == 1, "a later payment is read");
    equal(of(listeners().earliest, id("rolled-back")).size(), 0, "payments that were rolled back");
  }

  private void afterCommit() throws Exception {
    int before = publisher().sent.size();
    orders().pay(id("after"), 1, () -> equal(publisher().sent.size(), before, "events before the commit"));
    equal(publisher().sent.size(), before + 1, "events after the commit");
    equal(orders().stored(id("after")), 1, "stored orders");
    publisher().sent.get(before).get(20, TimeUnit.SECONDS);
  }

  private void orderOfKey() throws Exception {
    IntStream.range(0, 50).forEach(amount -> orders().pay(id("ordered"), amount, () -> {}));
    until(() -> of(listeners().earliest, id("ordered")).size() == 50, "all are read");
    List<ConsumerRecord<String, PaymentSucceeded>> read = of(listeners().earliest, id("ordered"));
    equal(read.stream().map(r -> r.value().amount()).toList(), IntStream.range(0, 50).boxed().toList(), "amounts in order");
    equal(Set.copyOf(read.stream().map(ConsumerRecord::partition).toList()).size(), 1, "partitions of one key");
  }

  private void latestGroup() throws Exception {
    application.close();
    String other = run + "-other";
    application = PaymentApplication.start(other);
    until(() -> of(listeners().earliest, id("ordered")).size() == 50, "the new group reads from the beginning");
    until(() -> {
      orders().pay(id("new"), 1, () -> {});
      return !listeners().latest.isEmpty();
    }, "the other new group reads what is new");
    equal(of(listeners().latest, id("ordered")).size(), 0, "old payments in the group that wants new ones");
  }

  private void restart() throws Exception {
    application.close();
    application = PaymentApplication.start(run);
    orders().pay(id("restarted"), 1, () -> {});
    until(() -> of(listeners().earliest, id("restarted")).size() == 1, "a payment after the restart");
    equal(of(listeners().earliest, id("ordered")).size(), 0, "payments that were acknowledged before");
  }

  private void withoutAcknowledgment() throws Exception {
    listeners().acknowledging = false;
    orders().pay(id("unacknowledged"), 1, () -> {});
    until(() -> of(listeners().earliest, id("unacknowledged")).size() == 1, "read without an acknowledgment");
    application.close();
    application = PaymentApplication.start(run);
    until(() -> of(listeners().earliest, id("unacknowledged")).size() == 1, "read again");
  }

  private static void equal(Object actual, Object expected, String what) {
    if (!expected.equals(actual)) {
      throw new AssertionError(what + ": expected " + expected + ", got " + actual);
    }
  }

  private static void until(Callable<Boolean> condition, String what) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.call()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("not within 30 s: " + what);
      }
      Thread.sleep(100);
    }
  }
}
