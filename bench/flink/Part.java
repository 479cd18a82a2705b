package millrace.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A sink subtask's part of the result, in the text form that bench/harness/results.ts reads. */
final class Part {
  private Part() {}

  static void write(String folder, int subtask, CharSequence text) throws IOException {
    Files.createDirectories(Path.of(folder));
    Files.writeString(Path.of(folder, "part-" + subtask), text);
  }
}
