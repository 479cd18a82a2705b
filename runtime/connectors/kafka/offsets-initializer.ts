import { FlinkError } from '../../common/errors.ts'

/** Where reading starts, or where a bounded source ends. */
export class OffsetsInitializer {
  readonly kind: 'earliest' | 'latest'

  private constructor(kind: 'earliest' | 'latest') {
    this.kind = kind
  }

  static earliest(): OffsetsInitializer {
    return new OffsetsInitializer('earliest')
  }

  /** As the topics end when the job starts. */
  static latest(): OffsetsInitializer {
    return new OffsetsInitializer('latest')
  }

  static committedOffsets(..._reset: readonly unknown[]): never {
    throw refused('committedOffsets', 'committed group offsets')
  }

  static timestamp(..._timestamp: readonly unknown[]): never {
    throw refused('timestamp', 'starting at a time')
  }

  static offsets(..._offsets: readonly unknown[]): never {
    throw refused('offsets', 'starting at given offsets')
  }
}

function refused(name: string, what: string): FlinkError {
  return new FlinkError('UNSUPPORTED', `OffsetsInitializer.${name}: ${what} is not supported yet; use earliest() or latest()`)
}
