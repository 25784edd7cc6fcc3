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
    line("{\"t\":\"send\",\"p\":%d,\"v\":%d,\"at\":%d,\"end\":%d,\"ok\":%d}", partition, value, invoked, now(), offset);
  }

  /** Definite: the record is nowhere and never will be. Otherwise nobody knows. */
  static void failed(int partition, long value, long invoked, boolean definite, Throwable error) {
    line("{\"t\":\"send\",\"p\":%d,\"v\":%d,\"at\":%d,\"end\":%d,\"error\":\"%s\",\"definite\":%b}",
        partition, value, invoked, now(), name(error), definite);
  }

  static void polled(String consumer, int partition, long offset, long value) {
    line("{\"t\":\"poll\",\"c\":\"%s\",\"p\":%d,\"o\":%d,\"v\":%d,\"at\":%d}", consumer, partition, offset, value, now());
  }

  static void assigned(String consumer, int partition) {
    line("{\"t\":\"assigned\",\"c\":\"%s\",\"p\":%d,\"at\":%d}", consumer, partition, now());
  }

  static void committed(String consumer, int partition, long offset, boolean acknowledged) {
    line("{\"t\":\"commit\",\"c\":\"%s\",\"p\":%d,\"o\":%d,\"ok\":%b,\"at\":%d}", consumer, partition, offset, acknowledged, now());
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
    String line = String.format(format, values);
    synchronized (Journal.class) {
      OUT.println(line);
    }
  }
}
