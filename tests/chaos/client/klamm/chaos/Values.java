package klamm.chaos;

/** Values of records: a number that is unique in the run, and letters that follow from it, so that no value passes for another. */
final class Values {
  private static final int LETTERS = 80;

  private Values() {}

  static long id(int producer, long sequence) {
    return producer * 1_000_000_000L + sequence;
  }

  static String text(long id) {
    StringBuilder text = new StringBuilder().append(id).append(':');
    long state = id + 1;
    for (int i = 0; i < LETTERS; i++) {
      state = state * 6_364_136_223_846_793_005L + 1_442_695_040_888_963_407L;
      text.append((char) ('a' + (state >>> 33) % 26));
    }
    return text.toString();
  }

  /** The number of a value, or -1 if no producer of ours wrote it so. */
  static long parse(String value) {
    int colon = value == null ? -1 : value.indexOf(':');
    try {
      long id = Long.parseLong(value, 0, Math.max(colon, 0), 10);
      return text(id).equals(value) ? id : -1;
    } catch (RuntimeException changed) {
      return -1;
    }
  }
}
