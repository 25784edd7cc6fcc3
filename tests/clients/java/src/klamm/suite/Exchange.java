package klamm.suite;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** The Java client's part in the exchange. */
final class Exchange {
  private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

  static void write(String topic) throws Exception {
    for (String codec : CODECS) {
      Kafka.send(records(topic, codec), Map.of("compression.type", codec, "linger.ms", 50));
    }
    Suite.exitWith(true);
  }

  static void read(List<String> topics) {
    for (String topic : topics) {
      List<String> wanted = CODECS.stream().flatMap(codec -> records(topic, codec).stream())
          .map(r -> show(r.key(), r.value(), r.headers())).toList();
      List<String> found = Kafka.readStart(topic, wanted.size()).stream().map(Exchange::show).toList();
      for (int n = 0; n < wanted.size(); n++) {
        Suite.equal(found.get(n), wanted.get(n), topic + " at offset " + n);
      }
    }
    Suite.exitWith(true);
  }

  private static List<ProducerRecord<String, String>> records(String topic, String codec) {
    List<ProducerRecord<String, String>> records = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      List<Header> headers = List.of(header("codec", codec), header("origin", "exchange"));
      String value = codec + " " + i + " " + "x".repeat(100);
      records.add(new ProducerRecord<>(topic, 0, i == 19 ? null : codec + "-" + i, i == 18 ? null : value, headers));
    }
    return records;
  }

  private static Header header(String name, String value) {
    return new RecordHeader(name, value.getBytes(StandardCharsets.UTF_8));
  }

  private static String show(ConsumerRecord<byte[], byte[]> record) {
    return show(text(record.key()), text(record.value()), record.headers());
  }

  private static String show(String key, String value, Iterable<Header> headers) {
    return key + "=" + value + " "
        + StreamSupport.stream(headers.spliterator(), false).map(h -> h.key() + ":" + text(h.value())).toList();
  }

  private static String text(byte[] bytes) {
    return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
  }
}
