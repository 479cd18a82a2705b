import { FlinkError } from '../../common/errors.ts'
import type { KafkaClient } from './client.ts'
import { isRetriable, kafkaErrorName } from './error-codes.ts'
import { splitIdOf } from './kafka-split.ts'
import type { BrokerNode, OffsetSpec } from './protocol.ts'
import type { KafkaSettings } from './settings.ts'
import type { OffsetReset, StartingOffsets } from './starting-offsets.ts'
import type { TopicPartition } from './topic-partition.ts'

/** A partition and the broker that leads it. */
export interface LedPartition extends TopicPartition {
  readonly leader: BrokerNode
}

/** Offsets by split id; a text = why they are not known yet. What no other attempt can mend is thrown. */
export type FoundOffsets = Map<string, number> | string

/** Starting and stopping offsets as numbers, in as many requests as there are leaders (and one to the group's coordinator). */
export class OffsetLookup {
  private readonly client: KafkaClient
  private readonly settings: KafkaSettings

  constructor(client: KafkaClient, settings: KafkaSettings) {
    this.client = client
    this.settings = settings
  }

  async starting(partitions: readonly LedPartition[], from: StartingOffsets): Promise<FoundOffsets> {
    if (typeof from === 'string') return this.listed(partitions, from)
    switch (from.kind) {
      case 'timestamp':
        return this.withRest(partitions, await this.listed(partitions, from.timestampMs), 'latest')
      case 'committed':
        return this.committed(partitions, from.reset)
      case 'specific': {
        const given = new Map(Object.entries(from.offsets))
        const rest = partitions.filter(partition => !given.has(splitIdOf(partition)))
        const found = this.settings.groupId === undefined ? await this.reset(rest, from.reset) : await this.committed(rest, from.reset)
        return typeof found === 'string' ? found : new Map([...given, ...found])
      }
    }
  }

  /** A time that lies behind a partition's last record has no offset. */
  async listed(partitions: readonly LedPartition[], spec: OffsetSpec): Promise<FoundOffsets> {
    const found = new Map<string, number>()
    const answered = new Set<string>()
    for (const [leader, led] of Map.groupBy(partitions, partition => partition.leader)) {
      for (const { topic, partition, errorCode, offset } of await this.client.listOffsets(leader, led, spec, this.settings.isolation)) {
        const where = `topic ${topic}, partition ${partition}`
        const answer = `broker ${leader.host}:${leader.port} answered ${kafkaErrorName(errorCode)}`
        if (errorCode !== 0 && isRetriable(errorCode)) return `${where}: ${answer}`
        if (errorCode !== 0) throw new FlinkError('EXTERNAL_SYSTEM', `the ${spec} offset of kafka ${where} cannot be read: ${answer}`)
        answered.add(splitIdOf({ topic, partition }))
        if (offset >= 0) found.set(splitIdOf({ topic, partition }), offset)
      }
    }
    const missing = partitions.find(partition => !answered.has(splitIdOf(partition)))
    return missing === undefined ? found : `no broker answered the ${spec} offset of topic ${missing.topic}, partition ${missing.partition}`
  }

  private async committed(partitions: readonly LedPartition[], reset: OffsetReset): Promise<FoundOffsets> {
    if (partitions.length === 0) return new Map()
    const groupId = this.settings.groupId ?? ''
    const found = new Map<string, number>()
    for (const { topic, partition, errorCode, offset } of await this.client.committedOffsets(groupId, partitions)) {
      const answer = `group ${groupId}, topic ${topic}, partition ${partition}: ${kafkaErrorName(errorCode)}`
      if (errorCode !== 0 && isRetriable(errorCode)) return answer
      if (errorCode !== 0) throw new FlinkError('EXTERNAL_SYSTEM', `committed kafka offsets cannot be read: ${answer}`)
      if (offset >= 0) found.set(splitIdOf({ topic, partition }), offset)
    }
    return this.withRest(partitions, found, reset)
  }

  private async withRest(partitions: readonly LedPartition[], found: FoundOffsets, reset: OffsetReset): Promise<FoundOffsets> {
    if (typeof found === 'string') return found
    const rest = await this.reset(
      partitions.filter(partition => !found.has(splitIdOf(partition))),
      reset,
    )
    return typeof rest === 'string' ? rest : new Map([...found, ...rest])
  }

  private async reset(partitions: readonly LedPartition[], reset: OffsetReset): Promise<FoundOffsets> {
    const [first] = partitions
    if (first === undefined) return new Map()
    if (reset === 'none')
      throw new FlinkError(
        'NOT_FOUND',
        `group ${this.settings.groupId} has committed no offset of kafka topic ${first.topic}, partition ${first.partition}, and auto.offset.reset is none`,
        { groupId: this.settings.groupId, partitions: partitions.map(splitIdOf) },
      )
    return this.listed(partitions, reset)
  }
}
