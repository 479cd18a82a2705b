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
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.conversion.DataStructureConverters;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.runtime.connector.source.ScanRuntimeProviderContext;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;
import org.apache.flink.table.types.utils.TypeConversions;

/** Reads each line of cases.ts with the formats of a real Flink, and writes each row of it to a filesystem table: the rows, the text or the innermost error. */
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
    for (JsonNode one : cases.get("read")) {
      ObjectNode out = read.addObject();
      out.setAll((ObjectNode) one);
      byte[] bytes = one.has("hex") ? HexFormat.of().parseHex(one.get("hex").asText()) : one.get("text").asText().getBytes(StandardCharsets.UTF_8);
      try {
        ArrayNode rows = mapper.createArrayNode();
        readMessage(one, bytes, rows);
        out.set("rows", rows);
      } catch (Throwable error) {
        fail(out, "error", error);
      }
      if (!one.get("format").asText().equals("csv")) continue;
      try {
        ArrayNode rows = mapper.createArrayNode();
        Path file = folder.resolve("in");
        byte[] line = Arrays.copyOf(bytes, bytes.length + 1);
        line[bytes.length] = '\n';
        Files.write(file, line);
        readFile(one, file, rows);
        if (!rows.equals(out.get("rows"))) out.set("fileRows", rows);
      } catch (Throwable error) {
        fail(out, "fileError", error);
      }
    }
    ArrayNode written = answer.putArray("write");
    var statements = env.createStatementSet();
    int n = 0;
    for (JsonNode one : cases.get("write")) {
      Path file = folder.resolve("out" + n);
      String table = "w" + n++;
      env.executeSql("CREATE TEMPORARY TABLE " + table + " (" + one.get("columns").asText() + ") " + with(one, file));
      statements.addInsertSql("INSERT INTO " + table + " SELECT " + one.get("row").asText());
    }
    statements.execute().await(300, TimeUnit.SECONDS);
    n = 0;
    for (JsonNode one : cases.get("write")) {
      ObjectNode out = written.addObject();
      out.setAll((ObjectNode) one);
      StringBuilder text = new StringBuilder();
      try (var files = Files.walk(folder.resolve("out" + n++))) {
        for (Path part : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) text.append(Files.readString(part));
      }
      out.put("text", text.toString());
    }
    StringBuilder lines = new StringBuilder("{\"flink\":\"2.3.0\",\n\"read\":[\n");
    join(lines, read);
    lines.append("\n],\n\"write\":[\n");
    join(lines, written);
    lines.append("\n]}\n");
    Files.write(Path.of(args[1]), lines.toString().getBytes(StandardCharsets.UTF_8));
    System.exit(0);
  }

  static DataType typeOf(JsonNode one) {
    return TypeConversions.fromLogicalToDataType(LogicalTypeParser.parse("ROW<" + one.get("schema").asText() + ">", FormatOracle.class.getClassLoader()));
  }

  static Configuration optionsOf(JsonNode one) {
    Configuration options = new Configuration();
    String prefix = one.get("format").asText() + ".";
    one.get("options").fields().forEachRemaining(o -> options.setString(o.getKey().substring(prefix.length()), o.getValue().asText()));
    return options;
  }

  /** As a Kafka table, and a filesystem table of JSON or raw, reads one message or line. */
  static void readMessage(JsonNode one, byte[] bytes, ArrayNode rows) throws Exception {
    DeserializationFormatFactory factory = switch (one.get("format").asText()) {
      case "json" -> new org.apache.flink.formats.json.JsonFormatFactory();
      case "csv" -> new org.apache.flink.formats.csv.CsvFormatFactory();
      default -> new org.apache.flink.formats.raw.RawFormatFactory();
    };
    DataType type = typeOf(one);
    DeserializationSchema<RowData> schema = factory.createDecodingFormat(null, optionsOf(one)).createRuntimeDecoder(ScanRuntimeProviderContext.INSTANCE, type);
    schema.open(null);
    var converter = DataStructureConverters.getConverter(type);
    converter.open(FormatOracle.class.getClassLoader());
    List<RowData> found = new ArrayList<>();
    schema.deserialize(bytes, new org.apache.flink.api.common.functions.util.ListCollector<>(found));
    for (RowData row : found) put(rows, (Row) converter.toExternal(row));
  }

  /** As a filesystem table of CSV reads a file. */
  static void readFile(JsonNode one, Path file, ArrayNode rows) throws Exception {
    DataType type = typeOf(one);
    var format = new org.apache.flink.formats.csv.CsvFileFormatFactory().createDecodingFormat(null, optionsOf(one)).createRuntimeDecoder(ScanRuntimeProviderContext.INSTANCE, type);
    var converter = DataStructureConverters.getConverter(type);
    converter.open(FormatOracle.class.getClassLoader());
    var split = new org.apache.flink.connector.file.src.FileSourceSplit("1", new org.apache.flink.core.fs.Path(file.toUri()), 0, Files.size(file), 0, Files.size(file));
    try (var reader = format.createReader(new Configuration(), split)) {
      for (var batch = reader.readBatch(); batch != null; batch = reader.readBatch()) {
        for (var record = batch.next(); record != null; record = batch.next()) put(rows, (Row) converter.toExternal((RowData) record.getRecord()));
        batch.releaseBatch();
      }
    }
  }

  static void put(ArrayNode rows, Row row) {
    ArrayNode fields = rows.addArray();
    for (int i = 0; i < row.getArity(); i++) {
      Object value = row.getField(i);
      if (value == null) fields.addNull();
      else fields.add(text(value));
    }
  }

  static void join(StringBuilder lines, ArrayNode nodes) throws Exception {
    for (int i = 0; i < nodes.size(); i++) lines.append(i == 0 ? "" : ",\n").append(mapper.writeValueAsString(nodes.get(i)));
  }

  static String with(JsonNode one, Path file) {
    StringBuilder sql = new StringBuilder("WITH ('connector' = 'filesystem', 'path' = '" + file.toUri() + "', 'format' = '" + one.get("format").asText() + "'");
    one.get("options").fields().forEachRemaining(o -> sql.append(", '" + o.getKey() + "' = '" + o.getValue().asText().replace("'", "''") + "'"));
    return sql.append(")").toString();
  }

  static void fail(ObjectNode out, String field, Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null) cause = cause.getCause();
    String message = cause.getMessage() == null ? "" : cause.getMessage().lines().findFirst().orElse("");
    out.put(field, cause.getClass().getSimpleName() + ": " + (message.length() > 160 ? message.substring(0, 160) : message).replaceAll("/tmp/[^ ]*", "FILE"));
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
