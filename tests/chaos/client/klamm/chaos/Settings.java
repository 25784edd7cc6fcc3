package klamm.chaos;

import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What the clients are configured with: Kafka's defaults but for the back-offs, and the time after which silence counts. */
final class Settings {
  private final Map<String, Object> shared = new HashMap<>();
  private final int requestTimeout;

  Settings(String bootstrap, int requestTimeout) {
    this.requestTimeout = requestTimeout;
    shared.put("bootstrap.servers", bootstrap);
    shared.put("retry.backoff.ms", 20);
    shared.put("retry.backoff.max.ms", 100);
    shared.put("reconnect.backoff.ms", 20);
    shared.put("reconnect.backoff.max.ms", 100);
    shared.put("request.timeout.ms", requestTimeout);
    shared.put("socket.connection.setup.timeout.ms", requestTimeout);
    shared.put("socket.connection.setup.timeout.max.ms", requestTimeout);
  }

  Map<String, Object> producer(String acks) {
    Map<String, Object> all = new HashMap<>(shared);
    all.put("acks", acks);
    all.put("enable.idempotence", acks.equals("all"));
    all.put("linger.ms", 0);
    all.put("max.block.ms", 120_000);
    all.put("delivery.timeout.ms", 120_000);
    all.put("key.serializer", StringSerializer.class.getName());
    all.put("value.serializer", StringSerializer.class.getName());
    return all;
  }

  Map<String, Object> consumer() {
    Map<String, Object> all = new HashMap<>(shared);
    all.put("isolation.level", "read_committed");
    all.put("enable.auto.commit", false);
    all.put("auto.offset.reset", "none");
    all.put("default.api.timeout.ms", 10_000);
    // A fetch that waits as long as the client does is given up together with all that is behind it on its connection: where
    // nothing new comes, the client would never learn of another leader.
    all.put("fetch.max.wait.ms", Math.min(500, requestTimeout / 2));
    all.put("key.deserializer", StringDeserializer.class.getName());
    all.put("value.deserializer", StringDeserializer.class.getName());
    return all;
  }

  /** A member that notices a death quickly and starts where nobody has committed yet at the beginning. */
  Map<String, Object> member(String group) {
    Map<String, Object> all = consumer();
    all.put("group.id", group);
    all.put("auto.offset.reset", "earliest");
    all.put("session.timeout.ms", 10_000);
    all.put("heartbeat.interval.ms", 500);
    return all;
  }

  /** Tries nothing twice: what was tried twice may meet its own traces. */
  Map<String, Object> administrator() {
    Map<String, Object> all = admin();
    all.put("retries", 0);
    return all;
  }

  Map<String, Object> admin() {
    Map<String, Object> all = new HashMap<>(shared);
    all.put("default.api.timeout.ms", 60_000);
    return all;
  }
}
