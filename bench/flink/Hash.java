package millrace.bench;

/** The same numbers as bench/generate/hash.ts. */
final class Hash {
  private Hash() {}

  static int mix(int value) {
    int hash = value;
    hash = (hash ^ (hash >>> 16)) * 0x85ebca6b;
    hash = (hash ^ (hash >>> 13)) * 0xc2b2ae35;
    return hash ^ (hash >>> 16);
  }
}
