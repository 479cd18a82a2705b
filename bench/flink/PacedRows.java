package millrace.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** The same rows at the same times as bench/jobs/paced-rows.ts. */
final class PacedRows implements Source<Tuple2<Integer, Integer>, PacedSplit, List<PacedSplit>> {
  private static final long serialVersionUID = 1L;
  private static final int SPLITS = 4;
  private static final int PAUSE_MS = 5;
  /** Rows of one split before the next has its turn. */
  private static final int TURN = 256;

  private final int keys;
  private final int rows;
  private final long rowsPerSecond;

  PacedRows(int keys, int rows, long rowsPerSecond) {
    this.keys = keys;
    this.rows = rows;
    this.rowsPerSecond = rowsPerSecond;
  }

  @Override
  public Boundedness getBoundedness() {
    return Boundedness.BOUNDED;
  }

  @Override
  public SourceReader<Tuple2<Integer, Integer>, PacedSplit> createReader(SourceReaderContext context) {
    return new Reader();
  }

  @Override
  public SplitEnumerator<PacedSplit, List<PacedSplit>> createEnumerator(SplitEnumeratorContext<PacedSplit> context) {
    List<PacedSplit> splits = new ArrayList<>();
    for (int i = 0; i < SPLITS; i++) splits.add(new PacedSplit(i, i, 0));
    return new Enumerator(context, splits);
  }

  @Override
  public SplitEnumerator<PacedSplit, List<PacedSplit>> restoreEnumerator(SplitEnumeratorContext<PacedSplit> context, List<PacedSplit> splits) {
    return new Enumerator(context, splits);
  }

  @Override
  public SimpleVersionedSerializer<PacedSplit> getSplitSerializer() {
    return new PacedSplit.Serializer();
  }

  @Override
  public SimpleVersionedSerializer<List<PacedSplit>> getEnumeratorCheckpointSerializer() {
    return new PacedSplit.ListSerializer();
  }

  /** Hands out all splits once all readers are there; restored readers have theirs already. */
  private static final class Enumerator implements SplitEnumerator<PacedSplit, List<PacedSplit>> {
    private final SplitEnumeratorContext<PacedSplit> context;
    private final List<PacedSplit> pending;

    Enumerator(SplitEnumeratorContext<PacedSplit> context, List<PacedSplit> pending) {
      this.context = context;
      this.pending = new ArrayList<>(pending);
    }

    @Override
    public void start() {}

    @Override
    public void handleSplitRequest(int subtaskId, String requesterHostname) {}

    @Override
    public void addSplitsBack(List<PacedSplit> splits, int subtaskId) {
      pending.addAll(splits);
    }

    @Override
    public void addReader(int subtaskId) {
      if (context.registeredReaders().size() < context.currentParallelism()) return;
      for (PacedSplit split : pending) context.assignSplit(split, split.id % context.currentParallelism());
      pending.clear();
      for (int reader : context.registeredReaders().keySet()) context.signalNoMoreSplits(reader);
    }

    @Override
    public List<PacedSplit> snapshotState(long checkpointId) {
      return new ArrayList<>(pending);
    }

    @Override
    public void close() {}
  }

  private final class Reader implements SourceReader<Tuple2<Integer, Integer>, PacedSplit> {
    private final List<PacedSplit> splits = new ArrayList<>();
    private boolean allAssigned;
    private CompletableFuture<Void> available = CompletableFuture.completedFuture(null);

    @Override
    public void start() {}

    @Override
    public InputStatus pollNext(ReaderOutput<Tuple2<Integer, Integer>> output) {
      long nowMs = System.currentTimeMillis();
      int left = 0;
      boolean due = false;
      for (PacedSplit split : splits) {
        if (split.startMs == 0 && split.next >= keys) split.startMs = nowMs;
        long paced = split.startMs == 0 ? keys : keys + (nowMs - split.startMs) * rowsPerSecond / 1000;
        long end = Math.min(rows, paced);
        long turnEnd = Math.min(end, split.next + (long) TURN * SPLITS);
        int next = split.next;
        while (next < turnEnd) {
          output.collect(Tuple2.of(next < keys ? next : (Hash.mix(next) >>> 1) % keys, next));
          next += SPLITS;
        }
        split.next = next;
        if (next < end || (next >= keys && split.startMs == 0)) due = true;
        if (next < rows) left++;
      }
      if (due) return InputStatus.MORE_AVAILABLE;
      if (left == 0 && allAssigned) return InputStatus.END_OF_INPUT;
      available = new CompletableFuture<Void>().completeOnTimeout(null, PAUSE_MS, TimeUnit.MILLISECONDS);
      return InputStatus.NOTHING_AVAILABLE;
    }

    @Override
    public List<PacedSplit> snapshotState(long checkpointId) {
      List<PacedSplit> copies = new ArrayList<>();
      for (PacedSplit split : splits) copies.add(split.copy());
      return copies;
    }

    @Override
    public CompletableFuture<Void> isAvailable() {
      return available;
    }

    @Override
    public void addSplits(List<PacedSplit> added) {
      for (PacedSplit split : added) splits.add(split.copy());
    }

    @Override
    public void notifyNoMoreSplits() {
      allAssigned = true;
    }

    @Override
    public void close() {}
  }
}
