import java.io.File;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.*;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/** Reads each line of cases.ts with a filesystem table of a real Flink, and writes each row of it to one: the rows, the text or the innermost error. */
public class FormatOracle {
  static final ObjectMapper mapper = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    JsonNode cases = mapper.readTree(new File(args[0]));
    Configuration configuration = new Configuration();
    configuration.setString("parallelism.default", "1");
    TableEnvironment env = TableEnvironment.create(EnvironmentSettings.newInstance().inBatchMode().withConfiguration(configuration).build());
    env.getConfig().setLocalTimeZone(ZoneId.of("UTC"));
    Path folder = Files.createTempDirectory("format-oracle");
    ObjectNode answer = mapper.createObjectNode();
    answer.put("flink", "2.3.0");
    ArrayNode read = answer.putArray("read");
    int n = 0;
    for (JsonNode one : cases.get("read")) {
      ObjectNode out = read.addObject();
      out.setAll((ObjectNode) one);
      Path file = folder.resolve("in" + n);
      byte[] bytes = one.has("hex") ? HexFormat.of().parseHex(one.get("hex").asText()) : one.get("text").asText().getBytes(StandardCharsets.UTF_8);
      byte[] line = Arrays.copyOf(bytes, bytes.length + 1);
      line[bytes.length] = '\n';
      Files.write(file, line);
      String table = "r" + n++;
      try {
        env.executeSql("CREATE TEMPORARY TABLE " + table + " (" + one.get("schema").asText() + ") " + with(one, file));
        ArrayNode rows = mapper.createArrayNode();
        try (CloseableIterator<Row> iterator = env.executeSql("SELECT * FROM " + table).collect()) {
          while (iterator.hasNext()) {
            Row row = iterator.next();
            ArrayNode fields = rows.addArray();
            for (int i = 0; i < row.getArity(); i++) {
              Object value = row.getField(i);
              if (value == null) fields.addNull();
              else fields.add(text(value));
            }
          }
        }
        out.set("rows", rows);
      } catch (Throwable error) {
        fail(out, error);
      }
      env.executeSql("DROP TEMPORARY TABLE IF EXISTS " + table);
    }
    ArrayNode written = answer.putArray("write");
    for (JsonNode one : cases.get("write")) {
      ObjectNode out = written.addObject();
      out.setAll((ObjectNode) one);
      Path file = folder.resolve("out" + n);
      String table = "w" + n++;
      try {
        env.executeSql("CREATE TEMPORARY TABLE " + table + " (" + one.get("columns").asText() + ") " + with(one, file));
        env.executeSql("INSERT INTO " + table + " SELECT " + one.get("row").asText()).await(60, TimeUnit.SECONDS);
        StringBuilder text = new StringBuilder();
        try (var files = Files.walk(file)) {
          for (Path part : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) text.append(Files.readString(part));
        }
        out.put("text", text.toString());
      } catch (Throwable error) {
        fail(out, error);
      }
      env.executeSql("DROP TEMPORARY TABLE IF EXISTS " + table);
    }
    StringBuilder lines = new StringBuilder("{\"flink\":\"2.3.0\",\n\"read\":[\n");
    join(lines, read);
    lines.append("\n],\n\"write\":[\n");
    join(lines, written);
    lines.append("\n]}\n");
    Files.writeString(Path.of(args[1]), lines.toString());
    System.exit(0);
  }

  static void join(StringBuilder lines, ArrayNode nodes) throws Exception {
    for (int i = 0; i < nodes.size(); i++) lines.append(i == 0 ? "" : ",\n").append(mapper.writeValueAsString(nodes.get(i)));
  }

  static String with(JsonNode one, Path file) {
    StringBuilder sql = new StringBuilder("WITH ('connector' = 'filesystem', 'path' = '" + file.toUri() + "', 'format' = '" + one.get("format").asText() + "'");
    one.get("options").fields().forEachRemaining(o -> sql.append(", '" + o.getKey() + "' = '" + o.getValue().asText().replace("'", "''") + "'"));
    return sql.append(")").toString();
  }

  static void fail(ObjectNode out, Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null) cause = cause.getCause();
    String message = cause.getMessage() == null ? "" : cause.getMessage().lines().findFirst().orElse("");
    out.put("error", cause.getClass().getSimpleName() + ": " + (message.length() > 160 ? message.substring(0, 160) : message).replaceAll("/tmp/[^ ]*", "FILE"));
  }

  static String text(Object value) {
    if (value instanceof BigDecimal decimal) return decimal.toPlainString();
    if (value instanceof LocalDate date) return Long.toString(date.toEpochDay());
    if (value instanceof LocalTime time) return Long.toString(time.toNanoOfDay() / 1_000_000);
    if (value instanceof LocalDateTime time) return Long.toString(time.toInstant(ZoneOffset.UTC).toEpochMilli());
    if (value instanceof Instant instant) return Long.toString(instant.toEpochMilli());
    if (value instanceof byte[] bytes) return HexFormat.of().formatHex(bytes);
    return value.toString();
  }
}
