package millrace.bench;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;

/** The same program as bench/jobs/word-count.ts. */
public final class WordCount {
  private WordCount() {}

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    FileSource<String> source = FileSource.forRecordStreamFormat(new TextLineInputFormat(), new Path(arguments.get("input"))).build();
    env.fromSource(source, WatermarkStrategy.noWatermarks(), "lines")
        .flatMap((String line, Collector<Tuple2<String, Integer>> out) -> {
          for (String word : line.split(" ")) out.collect(Tuple2.of(word, 1));
        })
        .name("words")
        .returns(Types.TUPLE(Types.STRING, Types.INT))
        .keyBy(pair -> pair.f0)
        .sum(1)
        .name("counts")
        .sinkTo(new CountSink(arguments.get("out"), Boolean.parseBoolean(arguments.get("verify"))))
        .name("sink");
    env.execute("word-count");
  }

  private static final class CountSink implements Sink<Tuple2<String, Integer>> {
    private static final long serialVersionUID = 1L;
    private final String folder;
    private final boolean verify;

    CountSink(String folder, boolean verify) {
      this.folder = folder;
      this.verify = verify;
    }

    @Override
    public SinkWriter<Tuple2<String, Integer>> createWriter(WriterInitContext context) {
      return new CountWriter(folder, verify, context.getTaskInfo().getIndexOfThisSubtask());
    }
  }

  private static final class CountWriter implements SinkWriter<Tuple2<String, Integer>> {
    private final String folder;
    private final int subtask;
    private final Map<String, Integer> last;
    private long rows;
    private long counts;
    private long weighted;

    CountWriter(String folder, boolean verify, int subtask) {
      this.folder = folder;
      this.subtask = subtask;
      this.last = verify ? new HashMap<>() : null;
    }

    @Override
    public void write(Tuple2<String, Integer> pair, Context context) {
      rows++;
      counts += pair.f1;
      weighted += (long) pair.f1 * pair.f0.length();
      if (last != null) last.put(pair.f0, pair.f1);
    }

    @Override
    public void flush(boolean endOfInput) {}

    @Override
    public void close() throws IOException {
      StringBuilder text = new StringBuilder();
      text.append("#rows\t").append(rows).append("\n#counts\t").append(counts).append("\n#weighted\t").append(weighted).append('\n');
      if (last != null) last.forEach((word, count) -> text.append(word).append('\t').append(count).append('\n'));
      Part.write(folder, subtask, text);
    }
  }
}
