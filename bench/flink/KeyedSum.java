package millrace.bench;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** The same program as bench/jobs/keyed-sum.ts. */
public final class KeyedSum {
  private KeyedSum() {}

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    int keys = Integer.parseInt(arguments.get("keys"));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.fromSequence(0, Long.parseLong(arguments.get("rows")) - 1)
        .name("numbers")
        .map(index -> {
          int hash = Hash.mix((int) (long) index);
          return Tuple2.of((hash >>> 1) % keys, (long) (hash & 0xffff));
        })
        .name("pairs")
        .returns(Types.TUPLE(Types.INT, Types.LONG))
        .keyBy(pair -> pair.f0)
        .sum(1)
        .name("sums")
        .sinkTo(new SumSink(arguments.get("out"), keys))
        .name("sink");
    env.execute("keyed-sum");
  }

  private static final class SumSink implements Sink<Tuple2<Integer, Long>> {
    private static final long serialVersionUID = 1L;
    private final String folder;
    private final int keys;

    SumSink(String folder, int keys) {
      this.folder = folder;
      this.keys = keys;
    }

    @Override
    public SinkWriter<Tuple2<Integer, Long>> createWriter(WriterInitContext context) {
      return new SumWriter(folder, keys, context.getTaskInfo().getIndexOfThisSubtask());
    }
  }

  private static final class SumWriter implements SinkWriter<Tuple2<Integer, Long>> {
    private final String folder;
    private final int subtask;
    private final long[] last;
    private long rows;

    SumWriter(String folder, int keys, int subtask) {
      this.folder = folder;
      this.subtask = subtask;
      this.last = new long[keys];
      Arrays.fill(last, -1);
    }

    @Override
    public void write(Tuple2<Integer, Long> pair, Context context) {
      rows++;
      last[pair.f0] = pair.f1;
    }

    @Override
    public void flush(boolean endOfInput) {}

    @Override
    public void close() throws IOException {
      StringBuilder text = new StringBuilder("#rows\t").append(rows).append('\n');
      for (int key = 0; key < last.length; key++) if (last[key] >= 0) text.append(key).append('\t').append(last[key]).append('\n');
      Part.write(folder, subtask, text);
    }
  }
}
