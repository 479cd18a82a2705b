import { withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { SplitEnumeratorContext } from '../../stream/spi/source.ts'
import { isPermanent, type KafkaClient, messageOf } from './client.ts'
import { INVALID_TOPIC, kafkaErrorName, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION } from './error-codes.ts'
import { type KafkaEnumeratorOptions, type KafkaSplit, splitIdOf } from './kafka-split.ts'
import { type LedPartition, OffsetLookup } from './offset-lookup.ts'
import type { ClusterMetadata } from './protocol.ts'
import { Backoff } from './retry.ts'
import type { KafkaSettings } from './settings.ts'
import type { TopicPartition } from './topic-partition.ts'

/**
 * One pass over the topics' partitions: which there are, and where those begin that are not known yet. A pass asks again and again, with back-off,
 * until `default.api.timeout.ms`; brokers that do not answer and partitions without a leader are what it waits for.
 *
 * - `first`: nothing is known. All partitions are wanted, from the source's starting offsets; a bounded source gets its ends. What no attempt can mend
 *   (a topic that does not exist, one that may not be read) is thrown.
 * - later: partitions that are not known begin at their earliest offset, whatever the starting offsets are: they are younger than the source. What
 *   is known is not asked about; a topic that does not exist any more has no partitions. Nothing is thrown but TIMEOUT.
 */
export interface DiscoveryPass {
  readonly splits: readonly KafkaSplit[]
  /** Ids of all partitions that there are. */
  readonly present: ReadonlySet<string>
}

export class PartitionDiscovery {
  private readonly options: KafkaEnumeratorOptions
  private readonly settings: KafkaSettings
  private readonly client: KafkaClient
  private readonly context: SplitEnumeratorContext
  private readonly signal: AbortSignal
  private readonly backoff: Backoff
  private readonly offsets: OffsetLookup

  constructor(options: KafkaEnumeratorOptions, settings: KafkaSettings, client: KafkaClient, context: SplitEnumeratorContext, signal: AbortSignal) {
    this.options = options
    this.settings = settings
    this.client = client
    this.context = context
    this.signal = signal
    this.offsets = new OffsetLookup(client, settings)
    this.backoff = new Backoff(settings, context.clock, context.log, signal)
  }

  /** `known` = undefined: the first one. */
  async run(known: ReadonlySet<string> | undefined): Promise<DiscoveryPass> {
    const { clock } = this.context
    const { defaultApiTimeoutMs } = this.settings
    const startedMs = clock.monotonicMs()
    for (;;) {
      const leftMs = defaultApiTimeoutMs - (clock.monotonicMs() - startedMs)
      const over = new AbortController()
      const attempt = await withDeadline(clock, Math.max(1, leftMs), this.attempt(known, over.signal), () => new DeadlineReached())
        .catch(deadlineAsReason)
        .finally(() => over.abort())
      this.signal.throwIfAborted()
      if (typeof attempt !== 'string') {
        this.backoff.reset()
        return attempt
      }
      const elapsedMs = Math.ceil(clock.monotonicMs() - startedMs)
      // The pause before another pass goes on growing where this one's have ended.
      if (elapsedMs >= defaultApiTimeoutMs) throw this.timedOut(attempt, elapsedMs)
      const pauseMs = defaultApiTimeoutMs - elapsedMs
      await this.backoff.pause(`cannot list partitions of kafka topics ${this.options.topics.join(', ')} yet, trying again`, attempt, pauseMs)
    }
  }

  /** What there is, or why that is not known yet. Throws what another attempt cannot mend. */
  private async attempt(known: ReadonlySet<string> | undefined, over: AbortSignal): Promise<DiscoveryPass | string> {
    const { topics, startingOffsets, bounded } = this.options
    try {
      const metadata = await this.client.metadata(topics, over)
      const partitions = listed(metadata, topics, this.settings.bootstrapServers, known === undefined)
      if (typeof partitions === 'string') return partitions
      const present = new Set(partitions.map(splitIdOf))
      const wanted = ledPartitions(
        metadata,
        partitions.filter(partition => known?.has(splitIdOf(partition)) !== true),
      )
      if (typeof wanted === 'string') return wanted
      const starts = await this.offsets.starting(wanted, known === undefined ? startingOffsets : 'earliest')
      if (typeof starts === 'string') return starts
      const stops = !bounded ? undefined : startingOffsets === 'latest' ? starts : await this.offsets.listed(wanted, 'latest')
      if (typeof stops === 'string') return stops
      const splits = wanted.map(({ topic, partition }) => {
        const splitId = splitIdOf({ topic, partition })
        const startingOffset = starts.get(splitId) ?? 0
        return { splitId, topic, partition, startingOffset, stoppingOffset: stops === undefined ? null : (stops.get(splitId) ?? 0) }
      })
      return { splits, present }
    } catch (error) {
      // Once something is known, a source that reads is not ended because new partitions cannot be looked for.
      if (isPermanent(error) && known === undefined) throw error
      return messageOf(error)
    }
  }

  private timedOut(reason: string, elapsedMs: number): FlinkError {
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

interface ListedPartition extends TopicPartition {
  readonly leader: number
}

/** Every partition, in order; a text = a topic cannot be described at the moment. */
function listed(
  metadata: ClusterMetadata,
  topics: readonly string[],
  brokers: readonly string[],
  allExist: boolean,
): readonly ListedPartition[] | string {
  const at = `at kafka brokers ${brokers.join(', ')}`
  const byName = new Map(metadata.topics.map(topic => [topic.topic, topic]))
  const missing = topics.filter(topic => (byName.get(topic)?.errorCode ?? UNKNOWN_TOPIC_OR_PARTITION) === UNKNOWN_TOPIC_OR_PARTITION)
  if (allExist && missing.length > 0)
    throw new FlinkError(
      'NOT_FOUND',
      missing.length === 1 ? `kafka topic ${missing[0]} does not exist ${at}` : `kafka topics ${missing.join(', ')} do not exist ${at}`,
      { topics: missing },
    )
  const partitions: ListedPartition[] = []
  for (const topic of topics) {
    if (missing.includes(topic)) continue
    const { errorCode, partitions: described } = byName.get(topic)! // it would be missing
    if (errorCode === INVALID_TOPIC) throw new FlinkError('INVALID_PROGRAM', `'${topic}' is not a name that a kafka topic can have`)
    if (errorCode === TOPIC_AUTHORIZATION_FAILED)
      throw new FlinkError('EXTERNAL_SYSTEM', `kafka topic ${topic} may not be read: ${kafkaErrorName(errorCode)} ${at}`)
    if (errorCode !== 0) return `topic ${topic}: ${kafkaErrorName(errorCode)}`
    const sorted = [...described].sort((a, b) => a.partition - b.partition)
    partitions.push(...sorted.map(({ partition, leader }) => ({ topic, partition, leader })))
  }
  return partitions
}

/** With their leaders; a text = one has none. */
function ledPartitions(metadata: ClusterMetadata, partitions: readonly ListedPartition[]): readonly LedPartition[] | string {
  const led: LedPartition[] = []
  for (const { topic, partition, leader } of partitions) {
    const node = metadata.brokers.find(broker => broker.nodeId === leader)
    if (node === undefined) return `topic ${topic}, partition ${partition} has no leader`
    led.push({ topic, partition, leader: node })
  }
  return led
}
