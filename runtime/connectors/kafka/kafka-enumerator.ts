import { sleep } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { SourceSplit, SplitEnumerator, SplitEnumeratorContext } from '../../stream/spi/source.ts'
import { SplitAssignment } from '../split-assignment.ts'
import { createKafkaClient, type KafkaClient } from './client.ts'
import { type KafkaEnumeratorOptions, type KafkaSplit, ownerOf } from './kafka-split.ts'
import { type DiscoveryPass, PartitionDiscovery } from './partition-discovery.ts'
import { type KafkaSettings, settingsFromJson } from './settings.ts'

/**
 * On the JobManager, once per source, whatever the parallelism:
 *
 * 1. one pass over the partitions at the start (`partition-discovery.ts`), another one `partition.discovery.interval.ms` after each that succeeded, beside
 *    the reading. Splits have numeric offsets when they go out: from then on, every restart begins where this one did, and a bounded source ends
 *    where the topics ended at its first start.
 * 2. hands each split to the reader that Flink gives it; a reader without any learns that too.
 * 3. keeps which partitions it knows, and the splits that no reader has yet: after a restore it hands out those and what is new. Readers go on with
 *    the splits of their own snapshots before any broker has answered here.
 *
 * A pass that fails is counted, logged and repeated; it never fails a job that reads without end. A bounded source fails when its one pass does: its
 * input is what the pass would have listed.
 */
export function kafkaEnumerator(
  options: JsonObject,
  context: SplitEnumeratorContext,
  restored?: JsonObject,
  newClient: (settings: KafkaSettings) => KafkaClient = createKafkaClient,
): SplitEnumerator {
  // Written by KafkaSource and by `snapshot`; JSON keeps no types.
  return new KafkaEnumerator(options as KafkaEnumeratorOptions, context, restored as KafkaEnumeratorState | undefined, newClient)
}

interface KafkaEnumeratorState extends JsonObject {
  /** Ids of all partitions that have ever been found; null = nothing has been looked for yet. */
  readonly known: readonly string[] | null
  readonly notAssigned: readonly KafkaSplit[]
}

class KafkaEnumerator implements SplitEnumerator {
  private readonly options: KafkaEnumeratorOptions
  private readonly settings: KafkaSettings
  private readonly context: SplitEnumeratorContext
  private readonly newClient: (settings: KafkaSettings) => KafkaClient
  private readonly assignment: SplitAssignment<KafkaSplit>
  /** Of the last pass. */
  private present: ReadonlySet<string> = new Set()
  private known: Set<string> | undefined
  private readonly failures: { inc(): void; readonly value: number }
  /** Of the last pass that succeeded, or of the start. */
  private lastFoundMs: number
  private client: KafkaClient | undefined
  private readonly closing = new AbortController()
  private running: Promise<void> = Promise.resolve()

  constructor(
    options: KafkaEnumeratorOptions,
    context: SplitEnumeratorContext,
    restored: KafkaEnumeratorState | undefined,
    newClient: (settings: KafkaSettings) => KafkaClient,
  ) {
    this.options = options
    this.settings = settingsFromJson(options.settings)
    this.context = context
    this.newClient = newClient
    this.assignment = new SplitAssignment<KafkaSplit>(context)
    this.lastFoundMs = context.clock.monotonicMs()
    this.failures = context.metrics.counter('partitionDiscoveryFailures')
    context.metrics.gauge('lastPartitionDiscoveryAgeMs', () => Math.round(context.clock.monotonicMs() - this.lastFoundMs))
    context.metrics.gauge('unreachableBrokers', () => this.client?.unreachable().length ?? 0)
    if (restored === undefined || restored.known === null) return
    this.known = new Set(restored.known)
    this.present = this.known
    this.assignment.assign(dealOut(restored.notAssigned, context.parallelism), options.bounded)
  }

  start(): Promise<void> {
    const { ignoredProperties, bounded } = this.options
    if (ignoredProperties.length > 0) this.context.log.warn('kafka properties without effect here', { properties: ignoredProperties })
    if (bounded && this.known !== undefined) return Promise.resolve()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.running = this.run(resolve)
    return promise
  }

  addReader(subtaskIndex: number): void {
    this.assignment.addReader(subtaskIndex)
  }

  handleSplitRequest(): void {}

  addSplitsBack(subtaskIndex: number, splits: readonly SourceSplit[]): void {
    this.assignment.addSplitsBack(subtaskIndex, splits)
  }

  snapshot(): KafkaEnumeratorState {
    return { known: this.known === undefined ? null : [...this.known], notAssigned: this.assignment.notAssigned().flat() }
  }

  async close(): Promise<void> {
    this.closing.abort(new FlinkError('CANCELLED', 'the job has ended'))
    await this.running
  }

  private async run(firstDone: () => void): Promise<void> {
    const { clock } = this.context
    const signal = AbortSignal.any([this.context.signal, this.closing.signal])
    const client = this.newClient(this.settings)
    this.client = client
    // Ends requests in flight: a cancelled job does not wait for a broker.
    signal.addEventListener('abort', () => client.close(), { once: true })
    const discovery = new PartitionDiscovery(this.options, this.settings, client, this.context, signal)
    const once = this.options.bounded || this.settings.discoveryIntervalMs === 0
    try {
      for (;;) {
        this.found(await this.untilFound(discovery, signal), once)
        firstDone()
        if (once) return
        await sleep(clock, this.settings.discoveryIntervalMs, signal)
      }
    } catch (error) {
      if (!signal.aborted) this.context.fail(error)
    } finally {
      client.close()
      firstDone()
    }
  }

  private async untilFound(discovery: PartitionDiscovery, signal: AbortSignal): Promise<DiscoveryPass> {
    for (;;) {
      try {
        return await discovery.run(this.known)
      } catch (error) {
        const again = error instanceof FlinkError && error.code === 'TIMEOUT' && !this.options.bounded
        if (signal.aborted || !again) throw error
        this.failures.inc()
        this.context.log.warn('kafka partition discovery failed, trying again', { reason: error.message, failures: this.failures.value })
        await sleep(this.context.clock, this.settings.retryBackoffMaxMs, signal)
      }
    }
  }

  private found({ splits, present }: DiscoveryPass, complete: boolean): void {
    const { log, parallelism, clock } = this.context
    this.lastFoundMs = clock.monotonicMs()
    const removed = [...this.present].filter(id => !present.has(id))
    // In Flink's words. The readers keep them: what they have not read yet may come back with its topic.
    if (removed.length > 0) log.warn(`Discovered removed partitions: [${removed.join(', ')}]`)
    if (this.known !== undefined && splits.length > 0) log.info(`Discovered new partitions: [${splits.map(({ splitId }) => splitId).join(', ')}]`)
    this.present = present
    this.known ??= new Set()
    for (const { splitId } of splits) this.known.add(splitId)
    this.assignment.assign(dealOut(splits, parallelism), complete)
  }
}

function dealOut(splits: readonly KafkaSplit[], parallelism: number): KafkaSplit[][] {
  const readers: KafkaSplit[][] = Array.from({ length: parallelism }, () => [])
  for (const split of splits) readers[ownerOf(split, parallelism)]?.push(split)
  return readers
}
