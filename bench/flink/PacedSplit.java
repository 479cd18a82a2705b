package millrace.bench;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** Where one of the four splits of {@link PacedRows} stands. */
final class PacedSplit implements SourceSplit {
  final int id;
  int next;
  /** Epoch ms at which the steady part began; 0 = not yet. */
  long startMs;

  PacedSplit(int id, int next, long startMs) {
    this.id = id;
    this.next = next;
    this.startMs = startMs;
  }

  @Override
  public String splitId() {
    return Integer.toString(id);
  }

  PacedSplit copy() {
    return new PacedSplit(id, next, startMs);
  }

  private void write(DataOutputStream out) throws IOException {
    out.writeInt(id);
    out.writeInt(next);
    out.writeLong(startMs);
  }

  private static PacedSplit read(DataInputStream in) throws IOException {
    return new PacedSplit(in.readInt(), in.readInt(), in.readLong());
  }

  static final class Serializer implements SimpleVersionedSerializer<PacedSplit> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(PacedSplit split) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      split.write(new DataOutputStream(bytes));
      return bytes.toByteArray();
    }

    @Override
    public PacedSplit deserialize(int version, byte[] bytes) throws IOException {
      return read(new DataInputStream(new ByteArrayInputStream(bytes)));
    }
  }

  /** The enumerator's snapshot: splits that no reader has. */
  static final class ListSerializer implements SimpleVersionedSerializer<List<PacedSplit>> {
    @Override
    public int getVersion() {
      return 1;
    }

    @Override
    public byte[] serialize(List<PacedSplit> splits) throws IOException {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      DataOutputStream out = new DataOutputStream(bytes);
      out.writeInt(splits.size());
      for (PacedSplit split : splits) split.write(out);
      return bytes.toByteArray();
    }

    @Override
    public List<PacedSplit> deserialize(int version, byte[] bytes) throws IOException {
      DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes));
      int size = in.readInt();
      List<PacedSplit> splits = new ArrayList<>();
      for (int i = 0; i < size; i++) splits.add(read(in));
      return splits;
    }
  }
}
