import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.Period;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/**
 * Evaluates SQL expressions with a real Flink: each line of the first argument is `zone TAB expression`; the second argument receives one line of
 * JSON per expression with its type and value (or the innermost error). Expressions share a query while they succeed and are halved when one fails.
 * The third argument is row.csv, the one row of table `t`: what stands in columns is not folded by the planner, which folds some things otherwise.
 */
public class SqlFunctionOracle {
  record Case(int index, String sql) {}

  static String[] answers;

  public static void main(String[] args) throws Exception {
    List<String> lines = Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8);
    answers = new String[lines.size()];
    Map<String, List<Case>> zones = new LinkedHashMap<>();
    for (int i = 0; i < lines.size(); i++) {
      String[] parts = lines.get(i).split("\t", 2);
      zones.computeIfAbsent(parts[0], zone -> new ArrayList<>()).add(new Case(i, parts[1]));
    }
    for (var zone : zones.entrySet()) {
      Configuration configuration = new Configuration();
      configuration.setString("parallelism.default", "1");
      TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().inBatchMode().withConfiguration(configuration).build());
      env.getConfig().setLocalTimeZone(ZoneId.of(zone.getKey()));
      env.executeSql(
          "CREATE TABLE t (i INT, zi INT, ni INT, b BIGINT, zb BIGINT, d DOUBLE, zd DOUBLE, nand DOUBLE, f FLOAT, s STRING, e STRING, ns STRING, de DECIMAL(10, 2), zde DECIMAL(10, 2),"
              + " ts TIMESTAMP(3), da DATE, ti TIME, bo BOOLEAN, nb BOOLEAN, ms BIGINT, lt AS TO_TIMESTAMP_LTZ(ms, 3))"
              + " WITH ('connector' = 'filesystem', 'format' = 'csv', 'csv.null-literal' = 'NULL', 'path' = '" + Path.of(args[2]).toUri() + "')");
      List<Case> cases = zone.getValue();
      for (int from = 0; from < cases.size(); from += 24) evaluate(env, zone.getKey(), cases.subList(from, Math.min(cases.size(), from + 24)));
    }
    Files.write(Path.of(args[1]), List.of(answers), StandardCharsets.UTF_8);
    System.exit(0);
  }

  static void evaluate(TableEnvironment env, String zone, List<Case> cases) {
    StringBuilder sql = new StringBuilder("SELECT ");
    for (int i = 0; i < cases.size(); i++) sql.append(i == 0 ? "" : ", ").append(cases.get(i).sql()).append(" AS c").append(i);
    sql.append(" FROM t");
    try {
      TableResult result = env.executeSql(sql.toString());
      var types = result.getResolvedSchema().getColumnDataTypes();
      try (CloseableIterator<Row> rows = result.collect()) {
        Row row = rows.next();
        for (int i = 0; i < cases.size(); i++) {
          Object value = row.getField(i);
          String type = types.get(i).getLogicalType().asSerializableString();
          answers[cases.get(i).index()] = "{" + field("zone", zone) + "," + field("sql", cases.get(i).sql()) + "," + field("type", type) + ",\"value\":"
              + (value == null ? "null" : quote(text(value))) + "}";
        }
      }
    } catch (Throwable error) {
      if (cases.size() > 1) {
        int middle = cases.size() / 2;
        evaluate(env, zone, cases.subList(0, middle));
        evaluate(env, zone, cases.subList(middle, cases.size()));
        return;
      }
      Throwable cause = error;
      while (cause.getCause() != null) cause = cause.getCause();
      String message = cause.getMessage() == null ? "" : cause.getMessage().lines().findFirst().orElse("");
      boolean planning = error.getClass().getSimpleName().contains("Validation") || error.getClass().getSimpleName().contains("TableException") || error.getClass().getSimpleName().contains("SqlParser");
      answers[cases.get(0).index()] = "{" + field("zone", zone) + "," + field("sql", cases.get(0).sql()) + "," + field("phase", planning ? "plan" : "run") + ","
          + field("error", cause.getClass().getSimpleName() + ": " + message) + "}";
    }
  }

  static String text(Object value) {
    if (value instanceof BigDecimal decimal) return decimal.toPlainString();
    if (value instanceof LocalDate date) return Long.toString(date.toEpochDay());
    if (value instanceof LocalTime time) return Long.toString(time.toNanoOfDay() / 1_000_000);
    if (value instanceof LocalDateTime time) return Long.toString(time.toInstant(ZoneOffset.UTC).toEpochMilli());
    if (value instanceof Instant instant) return Long.toString(instant.toEpochMilli());
    if (value instanceof Duration duration) return Long.toString(duration.toMillis());
    if (value instanceof Period period) return Long.toString(period.toTotalMonths());
    if (value instanceof byte[] bytes) {
      StringBuilder hex = new StringBuilder();
      for (byte b : bytes) hex.append(String.format("%02x", b));
      return hex.toString();
    }
    return value.toString();
  }

  static String field(String name, String value) {
    return quote(name) + ":" + quote(value);
  }

  static String quote(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < 0x20 || c == 0x7f || c == 0x2028 || c == 0x2029 || Character.isSurrogate(c)) out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }
}
