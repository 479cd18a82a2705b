package millrace.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamStatementSet;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;

/** Runs a script: statements end with ';' at a line's end; all INSERTs are one job. The options of the cluster hold for the planner too. */
public final class SqlScript {
  private SqlScript() {}

  public static void main(String[] args) throws Exception {
    String script = Files.readString(Path.of(new Arguments(args).get("script")));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    StreamTableEnvironment table = StreamTableEnvironment.create(env);
    StreamStatementSet inserts = table.createStatementSet();
    for (String part : script.split(";\\s*\n")) {
      String statement = part.replaceAll("(?m)^--.*$", "").strip();
      if (statement.isEmpty()) continue;
      if (statement.regionMatches(true, 0, "INSERT", 0, 6)) inserts.addInsertSql(statement);
      else table.executeSql(statement);
    }
    inserts.execute();
  }
}
