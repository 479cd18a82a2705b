package millrace.bench;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.legacy.RichSinkFunction;
import org.apache.flink.util.Collector;

/** The same program as bench/jobs/keyed-state.ts. */
public final class KeyedState {
  private static final int COUNT_DIGITS = 10;

  private KeyedState() {}

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    int valueBytes = Integer.parseInt(arguments.get("value-bytes"));
    PacedRows source =
        new PacedRows(Integer.parseInt(arguments.get("keys")), Integer.parseInt(arguments.get("rows")), Long.parseLong(arguments.get("rate")));
    boolean generic = arguments.get("values").equals("generic");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.fromSource(source, WatermarkStrategy.noWatermarks(), "rows", Types.TUPLE(Types.INT, Types.INT))
        .uid("rows")
        .keyBy(row -> row.f0)
        .process(generic ? new UpdateGeneric(valueBytes) : new UpdateTyped(valueBytes))
        .returns(Types.TUPLE(Types.INT, Types.INT, Types.INT))
        .name("values")
        .uid("values")
        .addSink(new CountingSink(arguments.get("out"), arguments.get("log")))
        .name("sink")
        .uid("sink");
    env.execute("keyed-state");
  }

  /** Begins with the count. */
  private static String textOf(int length, int count, int key) {
    byte[] bytes = new byte[length];
    Arrays.fill(bytes, (byte) '.');
    digits(bytes, 0, count);
    digits(bytes, COUNT_DIGITS, key);
    return new String(bytes, StandardCharsets.ISO_8859_1);
  }

  private static void digits(byte[] bytes, int from, int number) {
    int rest = number;
    for (int i = from + COUNT_DIGITS - 1; i >= from; i--) {
      bytes[i] = (byte) ('0' + rest % 10);
      rest /= 10;
    }
  }

  private static final class UpdateTyped extends KeyedProcessFunction<Integer, Tuple2<Integer, Integer>, Tuple3<Integer, Integer, Integer>> {
    private static final long serialVersionUID = 1L;
    private final int valueBytes;
    private transient ValueState<String> state;

    UpdateTyped(int valueBytes) {
      this.valueBytes = valueBytes;
    }

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("value", Types.STRING));
    }

    @Override
    public void processElement(Tuple2<Integer, Integer> row, Context context, Collector<Tuple3<Integer, Integer, Integer>> out) throws Exception {
      String value = state.value();
      int count = value == null ? 1 : Integer.parseInt(value, 0, COUNT_DIGITS, 10) + 1;
      state.update(textOf(valueBytes, count, row.f0));
      out.collect(Tuple3.of(row.f0, count, row.f1));
    }
  }

  /** Of a type that Flink is told nothing about. */
  public static final class Value {
    private final int count;
    private final String text;

    Value(int count, String text) {
      this.count = count;
      this.text = text;
    }
  }

  private static final class UpdateGeneric extends KeyedProcessFunction<Integer, Tuple2<Integer, Integer>, Tuple3<Integer, Integer, Integer>> {
    private static final long serialVersionUID = 1L;
    private final int textBytes;
    private transient ValueState<Value> state;

    UpdateGeneric(int valueBytes) {
      // The count is a part of the value.
      this.textBytes = valueBytes - 4;
    }

    @Override
    public void open(OpenContext context) {
      state = getRuntimeContext().getState(new ValueStateDescriptor<>("value", new GenericTypeInfo<>(Value.class)));
    }

    @Override
    public void processElement(Tuple2<Integer, Integer> row, Context context, Collector<Tuple3<Integer, Integer, Integer>> out) throws Exception {
      Value value = state.value();
      int count = value == null ? 1 : value.count + 1;
      state.update(new Value(count, textOf(textBytes, count, row.f0)));
      out.collect(Tuple3.of(row.f0, count, row.f1));
    }
  }

  /** The sink whose totals are in checkpoints. */
  private static final class CountingSink extends RichSinkFunction<Tuple3<Integer, Integer, Integer>> implements CheckpointedFunction {
    private static final long serialVersionUID = 1L;
    private final String folder;
    private final String logFolder;
    private transient ListState<Tuple2<Long, Long>> totals;
    private transient ResultLog log;
    private transient long rows;
    private transient long checksum;

    CountingSink(String folder, String logFolder) {
      this.folder = folder;
      this.logFolder = logFolder;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
      totals = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("totals", Types.TUPLE(Types.LONG, Types.LONG)));
      for (Tuple2<Long, Long> part : totals.get()) {
        rows += part.f0;
        checksum += part.f1;
      }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
      totals.update(java.util.List.of(Tuple2.of(rows, checksum)));
    }

    @Override
    public void open(OpenContext context) throws Exception {
      log = new ResultLog(logFolder, getRuntimeContext().getTaskInfo());
    }

    @Override
    public void invoke(Tuple3<Integer, Integer, Integer> row, Context context) throws Exception {
      rows++;
      checksum += Hash.mix(row.f0 * 31 + row.f1) & 0xffff;
      log.add(row.f2);
    }

    @Override
    public void close() throws Exception {
      if (log == null) return;
      log.close();
      Part.write(folder, getRuntimeContext().getTaskInfo().getIndexOfThisSubtask(), "#rows\t" + rows + "\n#checksum\t" + checksum + "\n");
    }
  }
}
