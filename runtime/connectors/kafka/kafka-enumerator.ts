import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { SplitEnumerator, SplitEnumeratorContext } from '../../stream/spi/source.ts'
import { SplitAssignment } from '../split-assignment.ts'
import { createKafkaClient, type KafkaClient } from './client.ts'
import { INVALID_TOPIC, isRetriable, kafkaErrorName, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION } from './error-codes.ts'
import { type KafkaEnumeratorOptions, type KafkaSplit, ownerOf, splitIdOf } from './kafka-split.ts'
import type { BrokerNode, ClusterMetadata, OffsetSpec, TopicPartition } from './protocol.ts'
import { Backoff } from './retry.ts'
import { type KafkaSettings, settingsFromJson } from './settings.ts'

/**
 * On the JobManager, once per source, whatever the parallelism:
 *
 * 1. asks for the topics' partitions and their leaders, again and again until `default.api.timeout.ms` while brokers do not answer or a
 *    partition has no leader. A topic that does not exist fails the job at once.
 * 2. asks the leaders for numeric start offsets, and for a bounded source for end offsets: from then on, every restart begins where this
 *    one did, and a bounded source ends where the topics ended now.
 * 3. hands each split to its reader; a reader without any learns that too.
 */
export function kafkaEnumerator(
  options: JsonObject,
  context: SplitEnumeratorContext,
  _restored?: JsonObject,
  newClient: (settings: KafkaSettings) => KafkaClient = createKafkaClient,
): SplitEnumerator {
  const assignment = new SplitAssignment(context)
  // Written by KafkaSource; JSON keeps no types.
  const given = options as KafkaEnumeratorOptions
  const settings = settingsFromJson(given.settings)
  return {
    async start() {
      if (given.ignoredProperties.length > 0) context.log.warn('kafka properties without effect here', { properties: given.ignoredProperties })
      const client = newClient(settings)
      // Ends requests in flight: a cancelled job does not wait for a broker.
      context.signal.addEventListener('abort', () => client.close(), { once: true })
      try {
        const splits = await new SplitDiscovery(given, settings, client, context).run()
        assignment.assignAll(dealOut(splits, context.parallelism))
      } catch (error) {
        if (!context.signal.aborted) context.fail(error)
      } finally {
        client.close()
      }
    },
    addReader: subtaskIndex => assignment.addReader(subtaskIndex),
    handleSplitRequest: () => {},
    addSplitsBack: (subtaskIndex, splits) => assignment.addSplitsBack(subtaskIndex, splits),
    snapshot: () => ({}),
    close: () => {},
  }
}

function dealOut(splits: readonly KafkaSplit[], parallelism: number): KafkaSplit[][] {
  const readers: KafkaSplit[][] = Array.from({ length: parallelism }, () => [])
  for (const split of splits) readers[ownerOf(split, parallelism)]?.push(split)
  return readers
}

interface LedPartition extends TopicPartition {
  readonly leader: BrokerNode
}

class SplitDiscovery {
  private readonly options: KafkaEnumeratorOptions
  private readonly settings: KafkaSettings
  private readonly client: KafkaClient
  private readonly context: SplitEnumeratorContext
  private readonly backoff: Backoff
  private readonly startedMs: number

  constructor(options: KafkaEnumeratorOptions, settings: KafkaSettings, client: KafkaClient, context: SplitEnumeratorContext) {
    this.options = options
    this.settings = settings
    this.client = client
    this.context = context
    this.backoff = new Backoff(settings, context.clock, context.log, context.signal)
    this.startedMs = context.clock.monotonicMs()
  }

  async run(): Promise<readonly KafkaSplit[]> {
    for (;;) {
      const { clock } = this.context
      const { defaultApiTimeoutMs } = this.settings
      const leftMs = defaultApiTimeoutMs - (clock.monotonicMs() - this.startedMs)
      const attempt = await withDeadline(clock, Math.max(1, leftMs), this.attempt(), () => new DeadlineReached()).catch(deadlineAsReason)
      if (typeof attempt !== 'string') return attempt
      const elapsedMs = Math.ceil(clock.monotonicMs() - this.startedMs)
      if (elapsedMs >= defaultApiTimeoutMs) throw this.gaveUp(attempt, elapsedMs)
      await this.backoff.pause(
        `cannot list partitions of kafka topics ${this.options.topics.join(', ')} yet, trying again`,
        attempt,
        defaultApiTimeoutMs - elapsedMs,
      )
    }
  }

  /** The splits, or why there are none yet. Throws what another attempt cannot mend. */
  private async attempt(): Promise<readonly KafkaSplit[] | string> {
    const { topics, startingOffsets, bounded } = this.options
    try {
      const partitions = ledPartitions(await this.client.metadata(topics), topics, this.settings.bootstrapServers)
      if (typeof partitions === 'string') return partitions
      const starts = await this.offsets(partitions, startingOffsets)
      if (typeof starts === 'string') return starts
      const stops = !bounded ? undefined : startingOffsets === 'latest' ? starts : await this.offsets(partitions, 'latest')
      if (typeof stops === 'string') return stops
      return partitions.map(({ topic, partition }) => {
        const splitId = splitIdOf({ topic, partition })
        return {
          splitId,
          topic,
          partition,
          startingOffset: starts.get(splitId) ?? 0,
          stoppingOffset: stops === undefined ? null : (stops.get(splitId) ?? 0),
        }
      })
    } catch (error) {
      if (error instanceof FlinkError && (error.code === 'CONNECTION_REFUSED' || error.code === 'CONNECTION_LOST' || error.code === 'TIMEOUT'))
        return error.message
      throw error
    }
  }

  private async offsets(partitions: readonly LedPartition[], spec: OffsetSpec): Promise<Map<string, number> | string> {
    const found = new Map<string, number>()
    for (const [leader, led] of Map.groupBy(partitions, partition => partition.leader)) {
      for (const { topic, partition, errorCode, offset } of await this.client.listOffsets(leader, led, spec, this.settings.isolation)) {
        if (errorCode === 0) found.set(splitIdOf({ topic, partition }), offset)
        else if (isRetriable(errorCode))
          return `topic ${topic}, partition ${partition}: broker ${leader.host}:${leader.port} answered ${kafkaErrorName(errorCode)}`
        else
          throw new FlinkError(
            'EXTERNAL_SYSTEM',
            `the ${spec} offset of kafka topic ${topic}, partition ${partition} cannot be read: broker ${leader.host}:${leader.port} answered ${kafkaErrorName(errorCode)}`,
          )
      }
    }
    const missing = partitions.find(partition => !found.has(splitIdOf(partition)))
    return missing === undefined ? found : `no broker answered the ${spec} offset of topic ${missing.topic}, partition ${missing.partition}`
  }

  private gaveUp(reason: string, elapsedMs: number): FlinkError {
    const { topics } = this.options
    const brokers = this.settings.bootstrapServers
    return new FlinkError(
      'TIMEOUT',
      `the partitions of kafka topics ${topics.join(', ')} could not be listed at brokers ${brokers.join(', ')} within ${elapsedMs} ms (default.api.timeout.ms): ${reason}`,
      { topics, brokers, elapsedMs },
    )
  }
}

class DeadlineReached extends Error {}

function deadlineAsReason(error: unknown): string {
  if (error instanceof DeadlineReached) return 'an answer is still outstanding'
  throw error
}

/** Every partition with its leader, in order; a text = not all have one yet. */
function ledPartitions(metadata: ClusterMetadata, topics: readonly string[], brokers: readonly string[]): readonly LedPartition[] | string {
  const at = `at kafka brokers ${brokers.join(', ')}`
  const byName = new Map(metadata.topics.map(topic => [topic.topic, topic]))
  const missing = topics.filter(topic => (byName.get(topic)?.errorCode ?? UNKNOWN_TOPIC_OR_PARTITION) === UNKNOWN_TOPIC_OR_PARTITION)
  if (missing.length > 0)
    throw new FlinkError(
      'NOT_FOUND',
      missing.length === 1 ? `kafka topic ${missing[0]} does not exist ${at}` : `kafka topics ${missing.join(', ')} do not exist ${at}`,
      { topics: missing },
    )
  const partitions: LedPartition[] = []
  for (const topic of topics) {
    const { errorCode, partitions: described } = byName.get(topic)! // the missing ones have thrown
    if (errorCode === INVALID_TOPIC) throw new FlinkError('INVALID_PROGRAM', `'${topic}' is not a name that a kafka topic can have`)
    if (errorCode === TOPIC_AUTHORIZATION_FAILED)
      throw new FlinkError('EXTERNAL_SYSTEM', `kafka topic ${topic} may not be read: ${kafkaErrorName(errorCode)} ${at}`)
    if (errorCode !== 0) return `topic ${topic}: ${kafkaErrorName(errorCode)}`
    for (const { partition, leader } of [...described].sort((a, b) => a.partition - b.partition)) {
      const node = metadata.brokers.find(broker => broker.nodeId === leader)
      if (node === undefined) return `topic ${topic}, partition ${partition} has no leader`
      partitions.push({ topic, partition, leader: node })
    }
  }
  return partitions
}
