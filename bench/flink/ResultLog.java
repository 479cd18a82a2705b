package millrace.bench;

import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.api.common.TaskInfo;

/** The same files as bench/jobs/result-log.ts. */
final class ResultLog implements AutoCloseable {
  private final FileOutputStream file;
  private long periodMs;
  private int rows;
  private int indexMax = -1;
  private int indexMin = Integer.MAX_VALUE;

  ResultLog(String folder, TaskInfo task) throws IOException {
    Files.createDirectories(Path.of(folder));
    String name = "log-" + task.getNumberOfParallelSubtasks() + "-" + task.getIndexOfThisSubtask() + "-" + System.currentTimeMillis();
    file = new FileOutputStream(Path.of(folder, name).toFile());
  }

  void add(int index) throws IOException {
    long nowMs = System.currentTimeMillis();
    long period = nowMs - nowMs % 10;
    if (period != periodMs) {
      write();
      periodMs = period;
    }
    rows++;
    if (index > indexMax) indexMax = index;
    if (index < indexMin) indexMin = index;
  }

  @Override
  public void close() throws IOException {
    write();
    file.close();
  }

  private void write() throws IOException {
    if (rows > 0) file.write((periodMs + " " + rows + " " + indexMax + " " + indexMin + "\n").getBytes(StandardCharsets.US_ASCII));
    rows = 0;
    indexMin = Integer.MAX_VALUE;
  }
}
