package klamm.suite;

import java.util.Arrays;
import java.util.List;

/** Entry point: picks a suite or a part of the exchange. */
public final class Main {
  public static void main(String[] arguments) throws Exception {
    List<String> rest = Arrays.asList(arguments).subList(Math.min(1, arguments.length), arguments.length);
    String wanted = rest.isEmpty() ? "" : rest.get(0);
    switch (arguments.length == 0 ? "all" : arguments[0]) {
      case "clients" -> Suite.exitWith(Suite.run(wanted, new GroupCases(), new ClientCases()));
      case "tools" -> Suite.exitWith(Suite.run(wanted, new ToolCases(), new GroupToolCases()));
      case "moves" -> Suite.exitWith(Suite.run(wanted, new MoveCases()));
      case "all" -> Suite.exitWith(
          Suite.run(wanted, new GroupCases(), new ClientCases()) & Suite.run(wanted, new ToolCases(), new GroupToolCases()));
      case "exchange-write" -> Exchange.write(wanted);
      case "exchange-read" -> Exchange.read(rest);
      case "member" -> new Member(rest.get(0), rest.get(1)).join();
      default -> throw new IllegalArgumentException("unknown command " + arguments[0]);
    }
  }
}
