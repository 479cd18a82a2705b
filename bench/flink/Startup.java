package millrace.bench;

import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** The same as bench/jobs/empty.ts, and a row where bench/jobs/first-row.sql selects one, in Flink's embedded local cluster. */
public final class Startup {
  private Startup() {}

  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    if (args[0].equals("first-row")) env.fromData("row").print();
    else env.fromData("row").sinkTo(new DiscardingSink<>());
    env.execute("startup");
  }
}
