package klamm.suite;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/** Runs Kafka's command line tools inside this process, through the main methods that their scripts call. */
final class Tool {
  static final String TOPICS = "org.apache.kafka.tools.TopicCommand";
  static final String CONFIGS = "kafka.admin.ConfigCommand";
  static final String GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
  static final String LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand";
  static final String GET_OFFSETS = "org.apache.kafka.tools.GetOffsetShell";
  static final String METADATA_QUORUM = "org.apache.kafka.tools.MetadataQuorumCommand";
  static final String DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand";
  static final String LEADER_ELECTION = "org.apache.kafka.tools.LeaderElectionCommand";
  static final String REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
  static final String API_VERSIONS = "org.apache.kafka.tools.BrokerApiVersionsCommand";
  static final String CLUSTER = "org.apache.kafka.tools.ClusterTool";
  static final String CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer";
  static final String CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer";

  /** What a tool printed, and its exit code. */
  record Output(int code, String out, String err) {
    List<String> lines() {
      return out.lines().toList();
    }

    /** The whitespace-separated columns of the line that contains the text. */
    String[] row(String text) {
      return lines().stream().filter(line -> line.contains(text)).findFirst()
          .orElseThrow(() -> new AssertionError("no line with " + text + " in " + this)).trim().split("\\s+");
    }

    Output contains(String text) {
      Suite.check(out.contains(text), "no '" + text + "' in " + this);
      return this;
    }
  }

  private static final class Exited extends Error {}

  /** Runs a tool that must succeed; `--bootstrap-server` is added. */
  static Output ok(String main, String... arguments) throws Exception {
    Output output = run(main, "", arguments);
    Suite.equal(output.code, 0, main + " " + List.of(arguments) + " exits, " + output);
    return output;
  }

  /** Runs a tool with the given standard input. */
  static synchronized Output run(String main, String input, String... arguments) throws Exception {
    List<String> all = new ArrayList<>(List.of("--bootstrap-server", Suite.BOOTSTRAP));
    all.addAll(List.of(arguments));
    return runPlain(main, input, all);
  }

  /** Runs a tool with exactly these arguments. */
  static synchronized Output runPlain(String main, String input, List<String> arguments) throws Exception {
    PrintStream out = System.out;
    PrintStream err = System.err;
    InputStream in = System.in;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    ByteArrayOutputStream complained = new ByteArrayOutputStream();
    List<Integer> codes = new CopyOnWriteArrayList<>(); // a tool that catches everything may exit a second time
    Exit.Procedure exit = (code, message) -> {
      codes.add(code);
      throw new Exited();
    };
    Exit.setExitProcedure(exit);
    Exit.setHaltProcedure(exit);
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
    System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
    try {
      Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) arguments.toArray(String[]::new));
    } catch (InvocationTargetException thrown) {
      if (!(thrown.getCause() instanceof Exited)) {
        throw thrown;
      }
    } finally {
      System.out.flush();
      System.setOut(out);
      System.setErr(err);
      System.setIn(in);
    }
    return new Output(codes.isEmpty() ? 0 : codes.get(0), printed.toString(StandardCharsets.UTF_8), complained.toString(StandardCharsets.UTF_8));
  }
}
