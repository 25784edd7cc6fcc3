package klamm.chaos;

import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** What happened, one JSON object a line on standard output. Times are of CLOCK_MONOTONIC, in nanoseconds. */
final class Journal {
  private static final PrintStream OUT = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);

  private Journal() {}

  /** On Linux this is the clock that the chaos program reads, too. */
  static long now() {
    return System.nanoTime();
  }

  static void acknowledged(int partition, long value, long invoked, long offset) {
    write("{\"t\":\"send\",\"p\":" + partition + ",\"v\":" + value + ",\"at\":" + invoked + ",\"end\":" + now() + ",\"ok\":" + offset + "}");
  }

  /** Definite: the record is nowhere and never will be. Otherwise nobody knows. */
  static void failed(int partition, long value, long invoked, boolean definite, Throwable error) {
    line("{\"t\":\"send\",\"p\":%d,\"v\":%d,\"at\":%d,\"end\":%d,\"error\":\"%s\",\"definite\":%b}",
        partition, value, invoked, now(), name(error), definite);
  }

  static void polled(String consumer, int partition, long offset, long value) {
    write("{\"t\":\"poll\",\"c\":\"" + consumer + "\",\"p\":" + partition + ",\"o\":" + offset + ",\"v\":" + value + ",\"at\":" + now() + "}");
  }

  static void assigned(String consumer, int partition, int generation) {
    line("{\"t\":\"assigned\",\"c\":\"%s\",\"p\":%d,\"g\":%d,\"at\":%d}", consumer, partition, generation, now());
  }

  static void committed(String consumer, int partition, long offset, int generation, long invoked, boolean acknowledged) {
    line("{\"t\":\"commit\",\"c\":\"%s\",\"p\":%d,\"o\":%d,\"g\":%d,\"ok\":%b,\"at\":%d}",
        consumer, partition, offset, generation, acknowledged, invoked);
  }

  /** A record of the compacted topic that was sent: at an offset, or nobody knows (-1). */
  static void keyed(int key, long number, long offset) {
    line("{\"t\":\"keyed\",\"k\":%d,\"n\":%d,\"o\":%d}", key, number, offset);
  }

  /** A record of the compacted topic that is still there in the end. */
  static void kept(int key, long number, long offset) {
    line("{\"t\":\"kept\",\"k\":%d,\"n\":%d,\"o\":%d}", key, number, offset);
  }

  static void administered(String object, String change, long invoked, String outcome) {
    line("{\"t\":\"admin\",\"object\":\"%s\",\"change\":\"%s\",\"at\":%d,\"end\":%d,\"outcome\":\"%s\"}",
        object, change, invoked, now(), outcome);
  }

  static void offsets(int partition, long invoked, long start, long end) {
    line("{\"t\":\"offsets\",\"p\":%d,\"at\":%d,\"start\":%d,\"end\":%d}", partition, invoked, start, end);
  }

  static void changed(long invoked, Throwable error) {
    line("{\"t\":\"change\",\"at\":%d,\"end\":%d,\"ok\":%b}", invoked, now(), error == null);
  }

  static void trouble(String who, Throwable error) {
    line("{\"t\":\"trouble\",\"who\":\"%s\",\"error\":\"%s\",\"at\":%d}", who, name(error), now());
  }

  /** Answers a command, with a figure if it asks for one. */
  static synchronized void done(String command, long figure) {
    line("{\"t\":\"done\",\"what\":\"%s\",\"n\":%d}", command, figure);
    OUT.flush();
  }

  static synchronized void flush() {
    OUT.flush();
  }

  private static String name(Throwable error) {
    Throwable cause = error.getCause() == null ? error : error.getCause();
    return cause.getClass().getSimpleName();
  }

  private static void line(String format, Object... values) {
    write(String.format(format, values));
  }

  /** What comes a thousand times a second is not worth a format. */
  private static synchronized void write(String line) {
    OUT.println(line);
  }
}
