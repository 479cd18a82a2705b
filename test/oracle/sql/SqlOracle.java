import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.ZoneId;
import java.util.*;
import java.util.stream.*;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.*;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** Runs each script of a folder with a real Flink, streaming, parallelism 1, and writes the rows of its last statement, sorted: NAME.expected. */
public class SqlOracle {
  public static void main(String[] args) throws Exception {
    Path folder = Paths.get(args[0]);
    Path out = Paths.get(args[1]);
    List<Path> scripts;
    try (Stream<Path> files = Files.list(folder)) {
      scripts = files.filter(path -> path.toString().endsWith(".sql")).sorted().collect(Collectors.toList());
    }
    for (Path script : scripts) {
      String name = script.getFileName().toString().replace(".sql", "");
      Configuration configuration = new Configuration();
      configuration.setString("parallelism.default", "1");
      TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
      env.getConfig().setLocalTimeZone(ZoneId.of("UTC"));
      List<String> lines = new ArrayList<>();
      try {
        String text = Files.readString(script).replace("${data}", folder.resolve("data").toAbsolutePath().toString());
        String[] statements = text.trim().split(";\\s*\\n");
        for (int i = 0; i < statements.length - 1; i++) env.executeSql(statements[i]);
        String last = statements[statements.length - 1].trim().replaceAll(";$", "");
        try (CloseableIterator<Row> rows = env.executeSql(last).collect()) {
          while (rows.hasNext()) lines.add(rows.next().toString().replace("\n", "\\n"));
        }
        Collections.sort(lines);
      } catch (Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null) cause = cause.getCause();
        lines = List.of("error: " + String.valueOf(cause.getMessage()).replace("\n", " "));
      }
      Files.write(out.resolve(name + ".expected"), (String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8));
      System.out.println(name + ": " + lines.size());
    }
    System.exit(0);
  }
}
