package millrace.bench;

/** {@code --name value} pairs. */
final class Arguments {
  private final String[] args;

  Arguments(String[] args) {
    this.args = args;
  }

  String get(String name) {
    for (int i = 0; i + 1 < args.length; i += 2) if (args[i].equals("--" + name)) return args[i + 1];
    throw new IllegalArgumentException("argument --" + name + " is missing");
  }
}
