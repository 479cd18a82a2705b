import type { JsonObject } from '../../common/json.ts'
import { javaHash } from '../../serde/key.ts'
import { Types } from '../../serde/types.ts'
import type { SourceSplit } from '../../stream/spi/source.ts'
import type { StartingOffsets } from './starting-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

/** One partition. Offsets are numbers from the start: `latest` looked up by each restart would skip what came between. */
export interface KafkaSplit extends SourceSplit {
  readonly topic: string
  readonly partition: number
  /** Next offset to read. */
  readonly startingOffset: number
  /** First offset not to read; null = without end. */
  readonly stoppingOffset: number | null
}

export function splitIdOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** Flink's assignment: partitions of one topic go round the subtasks from a start that the topic's name decides. */
export function ownerOf({ topic, partition }: TopicPartition, parallelism: number): number {
  const start = (Math.imul(javaHash(Types.STRING, topic), 31) & 0x7fffffff) % parallelism
  return (start + partition) % parallelism
}

/** What the enumerator is told, as it stands in the JobGraph. */
export interface KafkaEnumeratorOptions extends JsonObject {
  readonly topics: readonly string[]
  readonly startingOffsets: StartingOffsets
  readonly bounded: boolean
  readonly settings: JsonObject
  readonly ignoredProperties: readonly string[]
}
