import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.ZoneId;
import java.util.*;
import java.util.stream.*;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.*;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/**
 * Runs scripts of a folder with a real Flink, streaming, parallelism 1, and writes NAME.expected, sorted: the rows of the last statement when it
 * is a query; else all INSERTs as one job, and the lines that it wrote below ${out}, each behind its folder's name.
 */
public class SqlOracle {
  public static void main(String[] args) throws Exception {
    Path folder = Paths.get(args[0]);
    Path out = Paths.get(args[1]);
    Path written = Paths.get(args[2]);
    for (int i = 3; i < args.length; i++) {
      String name = args[i];
      List<String> lines;
      try {
        String text = Files.readString(folder.resolve(name + ".sql"));
        Path target = written.resolve(name);
        text = text.replace("${data}", folder.resolve("data").toAbsolutePath().toString()).replace("${out}", target.toAbsolutePath().toString());
        lines = run(text, target);
        Collections.sort(lines);
      } catch (Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null) cause = cause.getCause();
        lines = List.of("error: " + String.valueOf(cause.getMessage()).replace("\n", " "));
      }
      Files.write(out.resolve(name + ".expected"), (String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8));
      System.out.println(name + ": " + lines.size() + (lines.size() == 1 && lines.get(0).startsWith("error: ") ? " " + lines.get(0) : ""));
    }
    System.exit(0);
  }

  private static List<String> run(String text, Path target) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("parallelism.default", "1");
    TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
    env.getConfig().setLocalTimeZone(ZoneId.of("UTC"));
    StatementSet inserts = null;
    List<String> lines = new ArrayList<>();
    for (String part : text.trim().split(";\\s*\\n")) {
      String statement = part.trim().replaceAll(";$", "").replaceAll("(?s)^(\\s|--[^\\n]*\\n|/\\*.*?\\*/|EXECUTE STATEMENT SET BEGIN)*", "");
      String keyword = statement.split("\\s")[0].toUpperCase(Locale.ROOT);
      if (statement.isEmpty() || keyword.equals("END")) continue;
      if (keyword.equals("INSERT")) {
        if (inserts == null) inserts = env.createStatementSet();
        inserts.addInsertSql(statement);
      } else if (keyword.equals("SELECT") || keyword.equals("WITH")) {
        try (CloseableIterator<Row> rows = env.executeSql(statement).collect()) {
          while (rows.hasNext()) lines.add(rows.next().toString().replace("\n", "\\n"));
        }
      } else if (keyword.equals("SET")) {
        String[] option = statement.substring(3).split("=");
        env.getConfig().set(option[0].trim().replace("'", ""), option[1].trim().replace("'", ""));
      } else {
        env.executeSql(statement);
      }
    }
    if (inserts != null) {
      inserts.execute().await();
      lines.addAll(linesOf(target));
    }
    return lines;
  }

  private static List<String> linesOf(Path target) throws IOException {
    try (Stream<Path> files = Files.walk(target)) {
      List<String> lines = new ArrayList<>();
      for (Path file : files.filter(Files::isRegularFile).collect(Collectors.toList())) {
        Path name = target.relativize(file);
        if (StreamSupport.stream(name.spliterator(), false).anyMatch(part -> part.toString().startsWith("."))) continue;
        for (String line : Files.readAllLines(file)) lines.add(name.getName(0) + ": " + line);
      }
      return lines;
    }
  }
}
