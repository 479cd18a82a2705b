import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** The type that Flink gives each literal of the file, one a line, as JSON; null where it refuses the literal. */
public class SqlLiteralOracle {
  public static void main(String[] args) throws Exception {
    TableEnvironment environment = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    StringBuilder out = new StringBuilder();
    for (String line : Files.readAllLines(Path.of(args[0]))) {
      String type;
      try {
        type = '"' + environment.sqlQuery("SELECT " + line + " AS x").getResolvedSchema().getColumnDataTypes().get(0).getLogicalType().asSummaryString() + '"';
      } catch (RuntimeException e) {
        type = "null";
      }
      out.append(out.length() == 0 ? "" : ",\n").append("    [\"").append(line).append("\", ").append(type).append("]");
    }
    System.out.println("{\n  \"source\": \"test/oracle/sql-types/run.sh\",\n  \"flink\": \"2.3.0\",\n  \"literals\": [\n" + out + "\n  ]\n}");
  }
}
