package klamm.suite;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/** The protocol of the suites: one line a case, `ok <case>` or `FAIL <case>: <why>`. */
final class Suite {
  static final String BOOTSTRAP = Objects.requireNonNull(System.getenv("KLAMM_BOOTSTRAP"), "KLAMM_BOOTSTRAP");

  /** Marks a case; its name is the method's. */
  @Retention(RetentionPolicy.RUNTIME)
  @interface Case {}

  /** Runs the cases whose name contains `wanted`, each bounded by a minute; true if none failed. */
  static boolean run(String wanted, Object... holders) {
    boolean passed = true;
    for (Object holder : holders) {
      List<Method> cases = Stream.of(holder.getClass().getDeclaredMethods())
          .filter(m -> m.isAnnotationPresent(Case.class) && m.getName().contains(wanted))
          .sorted(Comparator.comparing(Method::getName)).toList();
      for (Method method : cases) {
        passed &= runCase(holder, method);
      }
    }
    return passed;
  }

  private static boolean runCase(Object holder, Method method) {
    FutureTask<Object> task = new FutureTask<>(() -> method.invoke(holder));
    Thread thread = new Thread(task, method.getName());
    thread.setDaemon(true);
    thread.start();
    try {
      task.get(60, TimeUnit.SECONDS);
      System.out.println("ok " + method.getName());
      return true;
    } catch (TimeoutException late) {
      Throwable where = new IllegalStateException("no result within 60 s");
      where.setStackTrace(thread.getStackTrace());
      return failed(method, where);
    } catch (ExecutionException error) {
      Throwable cause = error.getCause();
      return failed(method, cause instanceof InvocationTargetException thrown ? thrown.getCause() : cause);
    } catch (InterruptedException error) {
      return failed(method, error);
    }
  }

  private static boolean failed(Method method, Throwable why) {
    why.printStackTrace();
    System.out.println("FAIL " + method.getName() + ": " + String.valueOf(why).replace('\n', ' '));
    return false;
  }

  /** Ends the process even if threads of a failed case are left. */
  static void exitWith(boolean passed) {
    System.out.flush();
    Runtime.getRuntime().halt(passed ? 0 : 1);
  }

  static String unique(String name) {
    return name + "-" + UUID.randomUUID().toString().substring(0, 8);
  }

  static void equal(Object actual, Object expected, String what) {
    if (!Objects.equals(actual, expected)) {
      throw new AssertionError(what + ": expected " + expected + ", got " + actual);
    }
  }

  static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  /** Polls a condition for at most 30 s. */
  static void until(Callable<Boolean> condition, String what) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.call()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("not within 30 s: " + what);
      }
      Thread.sleep(50);
    }
  }

  /** The error behind a future that must fail. */
  static Throwable failureOf(Callable<?> action) throws Exception {
    try {
      action.call();
    } catch (ExecutionException error) {
      return error.getCause();
    }
    throw new AssertionError("no error");
  }
}
