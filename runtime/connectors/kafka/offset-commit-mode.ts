import type { KafkaSettings } from './settings.ts'

/** When the offsets that were read are told to Kafka, in Flink's names. They are information for others: no restore ever looks at them. */
export type OffsetCommitMode = 'ON_CHECKPOINTS' | 'KAFKA_PERIODIC' | 'DISABLED'

export function offsetCommitMode(settings: KafkaSettings, checkpointing: boolean): OffsetCommitMode {
  if (settings.groupId === undefined) return 'DISABLED'
  if (checkpointing) return settings.commitOnCheckpoint ? 'ON_CHECKPOINTS' : 'DISABLED'
  return settings.autoCommit ? 'KAFKA_PERIODIC' : 'DISABLED'
}
