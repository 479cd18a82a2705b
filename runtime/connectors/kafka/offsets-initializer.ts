import { FlinkError } from '../../common/errors.ts'
import { splitIdOf } from './kafka-split.ts'
import type { OffsetReset, StartingOffsets } from './starting-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

/** Where reading starts, or where a bounded source ends; Flink's names. */
export class OffsetsInitializer {
  readonly starting: StartingOffsets

  private constructor(starting: StartingOffsets) {
    this.starting = starting
  }

  static earliest(): OffsetsInitializer {
    return new OffsetsInitializer('earliest')
  }

  /** As the topics end when the job starts. */
  static latest(): OffsetsInitializer {
    return new OffsetsInitializer('latest')
  }

  /** Where the group stands; `reset` for partitions that it has committed nothing of: `none` fails the job. */
  static committedOffsets(reset: OffsetReset = 'none'): OffsetsInitializer {
    return new OffsetsInitializer({ kind: 'committed', reset: checkReset('committedOffsets', reset) })
  }

  /** At the first record of each partition with this time or a later one; without one, at its end. */
  static timestamp(timestampMs: number): OffsetsInitializer {
    if (!Number.isSafeInteger(timestampMs) || timestampMs < 0)
      throw new FlinkError('INVALID_PROGRAM', `OffsetsInitializer.timestamp: expected epoch milliseconds, got ${timestampMs}`)
    return new OffsetsInitializer({ kind: 'timestamp', timestampMs })
  }

  /** Next offsets to read. Other partitions start at the group's committed offset, if there is one, else as `reset` says. */
  static offsets(offsets: readonly (TopicPartition & { readonly offset: number })[], reset: OffsetReset = 'earliest'): OffsetsInitializer {
    for (const { topic, partition, offset } of offsets)
      if (!Number.isSafeInteger(offset) || offset < 0)
        throw new FlinkError('INVALID_PROGRAM', `OffsetsInitializer.offsets: topic ${topic}, partition ${partition}: ${offset} is no offset`)
    const byId = Object.fromEntries(offsets.map(each => [splitIdOf(each), each.offset]))
    return new OffsetsInitializer({ kind: 'specific', offsets: byId, reset: checkReset('offsets', reset) })
  }
}

function checkReset(method: string, reset: OffsetReset): OffsetReset {
  if (!['earliest', 'latest', 'none'].includes(reset))
    throw new FlinkError('INVALID_PROGRAM', `OffsetsInitializer.${method}: expected earliest, latest or none, got '${reset}'`)
  return reset
}
