import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.utils.LogicalTypeCasts;
import org.apache.flink.table.types.logical.utils.LogicalTypeMerging;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

/**
 * Flink's own answers about types: reads one type a line and prints JSON: how each prints, the common type of every pair (null: none), and whether
 * the first of a pair is cast to the second implicitly or explicitly.
 */
public class SqlTypeOracle {
  public static void main(String[] args) throws Exception {
    List<String> lines = Files.readAllLines(Path.of(args[0]));
    List<LogicalType> types = lines.stream().map(line -> LogicalTypeParser.parse(line, SqlTypeOracle.class.getClassLoader())).toList();
    StringBuilder out = new StringBuilder("{\n  \"source\": \"test/oracle/sql-types/run.sh\",\n  \"flink\": \"2.3.0\",\n  \"types\": [\n");
    for (int i = 0; i < types.size(); i++) {
      LogicalType a = types.get(i);
      StringBuilder common = new StringBuilder();
      StringBuilder casts = new StringBuilder();
      for (LogicalType b : types) {
        String name = LogicalTypeMerging.findCommonType(List.of(a, b)).map(LogicalType::asSerializableString).map(SqlTypeOracle::quoted).orElse("null");
        common.append(common.length() == 0 ? "" : ", ").append(name);
        casts.append(LogicalTypeCasts.supportsImplicitCast(a, b) ? 'i' : LogicalTypeCasts.supportsExplicitCast(a, b) ? 'e' : '-');
      }
      out.append("    { \"type\": ").append(quoted(lines.get(i))).append(", \"prints\": ").append(quoted(a.asSerializableString()));
      out.append(", \"casts\": ").append(quoted(casts.toString())).append(",\n      \"common\": [").append(common).append("] }");
      out.append(i + 1 < types.size() ? ",\n" : "\n");
    }
    System.out.print(out.append("  ]\n}\n"));
  }

  private static String quoted(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }
}
