import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { IoContext, SinkTransport } from '../../stream/spi/io-host.ts'
import { isPermanent, type KafkaClient, messageOf } from './client.ts'
import { isRetriable, kafkaErrorName, MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE } from './error-codes.ts'
import { partitionOfKey } from './partitioner.ts'
import type { ProducerSettings } from './producer-settings.ts'
import type { BrokerNode, ProducedPartition } from './protocol.ts'
import { RecordBatchBuilder } from './record-batch-builder.ts'
import { Backoff } from './retry.ts'
import { type KafkaSettings, settingsFromJson } from './settings.ts'
import { acquireClient, newLane } from './shared-client.ts'

/**
 * Async half of the Kafka sink: the records of one subtask into the partitions of one topic, at least once.
 *
 * 1. `begin` names who is told of failures, and looks for the topic. Bytes are records (`KAFKA_RECORD_HEADER_SIZE`), whole ones.
 * 2. A record goes to a partition by its key's hash, to the subtask's own one (`fixed`), or without a key to one partition until a batch of it has left,
 *    then to the next.
 * 3. In rounds: every leader gets one request with one batch for each of its partitions; meanwhile further records gather. Only one round is under way,
 *    so records that are sent again stay in front of those behind them. What may have arrived and is sent again arrives twice.
 * 4. A leader that moved or is lost is waited for until the records have waited for `delivery.timeout.ms`; then the sink fails, naming topic and partition.
 * 5. `flush` and `end` are answered when all records before them are acknowledged.
 *
 * Bounded: with `UNACKNOWLEDGED_SIZE_MAX` bytes waiting, `write` waits, and with it the slot.
 */
export interface KafkaSinkOptions extends JsonObject {
  readonly topic: string
  readonly settings: JsonObject
  readonly producer: JsonObject & ProducerSettings
  readonly partitioner: 'default' | 'fixed'
  readonly ignoredProperties: readonly string[]
}

/** Key length, value length (-1 = none), little-endian; then the bytes of both. */
export const KAFKA_RECORD_HEADER_SIZE = 8
const UNACKNOWLEDGED_SIZE_MAX = 4 * 1024 * 1024

export function kafkaTransport(options: JsonObject, context: IoContext): SinkTransport {
  // Written by the table's sink; subtaskIndex is the operator's.
  const given = options as KafkaSinkOptions & { readonly subtaskIndex: number }
  const settings = settingsFromJson(given.settings)
  if (given.ignoredProperties.length > 0 && given.subtaskIndex === 0)
    context.log.warn('kafka properties without effect', { topic: given.topic, properties: given.ignoredProperties })
  const shared = acquireClient(settings)
  const sink = new KafkaSink(given, settings, context, shared.client)
  return {
    write: bytes => sink.write(bytes),
    command: (what, data, reply) => sink.command(what, data, reply),
    async close() {
      await sink.close()
      shared.release()
    },
  }
}

interface Batch {
  readonly partition: number
  readonly builder: RecordBatchBuilder
  readonly firstMs: number
  /** Made when it is sent for the first time; sent again as it is. */
  bytes: Buffer | undefined
}

interface Partition {
  leader: BrokerNode | undefined
  /** In order; the last one may still grow while it is not sent. */
  readonly batches: Batch[]
}

export class KafkaSink implements SinkTransport {
  private readonly topic: string
  private readonly producer: ProducerSettings
  private readonly requestTimeoutMs: number
  private readonly partitioner: 'default' | 'fixed'
  private readonly context: IoContext
  private readonly client: KafkaClient
  private readonly lane = newLane()
  private readonly backoff: Backoff
  /** Empty until the topic is known. */
  private partitions: readonly Partition[] = []
  /** For records without a key: the partition that is being filled. */
  private sticky: number
  private unacknowledgedBytes = 0
  private opening: Promise<void> | undefined
  private sending: Promise<void> | undefined
  private failure: FlinkError | undefined
  private report: ((what: string, data: JsonObject) => void) | undefined
  private waiters: (() => void)[] = []

  constructor(
    options: Pick<KafkaSinkOptions, 'topic' | 'partitioner'> & { readonly producer: ProducerSettings; readonly subtaskIndex: number },
    settings: KafkaSettings,
    context: IoContext,
    client: KafkaClient,
  ) {
    this.topic = options.topic
    this.producer = options.producer
    this.partitioner = options.partitioner
    this.sticky = options.subtaskIndex
    this.requestTimeoutMs = settings.requestTimeoutMs
    this.context = context
    this.client = client
    this.backoff = new Backoff(settings, context.clock, context.log, context.signal)
    context.signal.addEventListener(
      'abort',
      () => {
        client.closeLane(this.lane)
        this.wake()
      },
      { once: true },
    )
  }

  write(bytes: Uint8Array): Promise<void> | void {
    if (this.failure !== undefined) throw this.failure
    // A job that is cancelled: nobody waits for its last records.
    if (this.context.signal.aborted) return
    if (this.partitions.length === 0) return this.open().then(() => this.write(bytes))
    this.take(bytes)
    this.startSending()
    if (this.unacknowledgedBytes > UNACKNOWLEDGED_SIZE_MAX) return this.until(() => this.unacknowledgedBytes <= UNACKNOWLEDGED_SIZE_MAX)
  }

  async command(what: string, _data: JsonObject, reply: (what: string, data: JsonObject) => void): Promise<void> {
    if (what === 'begin') {
      this.report = reply
      this.open().catch(() => {})
      return
    }
    assert(what === 'flush' || what === 'end', `the kafka sink does not know the command ${what}`)
    await this.open()
    await this.until(() => this.unacknowledgedBytes === 0)
    if (!this.context.signal.aborted) reply(what === 'end' ? 'finished' : 'flushed', {})
  }

  async close(): Promise<void> {
    this.client.closeLane(this.lane)
    await Promise.allSettled([this.opening, this.sending])
  }

  /** Once, however many wait for it. */
  private open(): Promise<void> {
    this.opening ??= this.findTopic().catch(error => {
      this.fail(error)
      throw this.failure ?? error
    })
    return this.opening
  }

  private async findTopic(): Promise<void> {
    const startMs = this.context.clock.monotonicMs()
    for (;;) {
      const reason = await this.refreshLeaders()
      if (reason === undefined) return
      const leftMs = startMs + this.producer.blockMaxMs - this.context.clock.monotonicMs()
      if (leftMs <= 0)
        throw new FlinkError('TIMEOUT', `kafka topic ${this.topic} was not found within ${this.producer.blockMaxMs} ms: ${reason}`, {
          topic: this.topic,
        })
      await this.backoff.pause('kafka topic is not to be written at the moment, trying again', reason, leftMs)
    }
  }

  /** Why the topic's partitions are not known; undefined = they are, though some may have no leader at the moment. */
  private async refreshLeaders(): Promise<string | undefined> {
    try {
      const { brokers, topics } = await this.client.metadata([this.topic])
      const described = topics.find(({ topic }) => topic === this.topic)
      const code = described?.errorCode ?? 0
      if (code !== 0) {
        const missing = this.partitions.length === 0 && kafkaErrorName(code) === 'UNKNOWN_TOPIC_OR_PARTITION'
        if (missing) throw new FlinkError('NOT_FOUND', `kafka topic ${this.topic} does not exist; writing never creates it`, { topic: this.topic })
        if (!isRetriable(code)) throw new FlinkError('EXTERNAL_SYSTEM', `kafka topic ${this.topic} cannot be written: ${kafkaErrorName(code)}`)
        return kafkaErrorName(code)
      }
      const found = described?.partitions ?? []
      if (found.length === 0) return 'it has no partitions'
      if (this.partitions.length === 0) this.partitions = found.map(() => ({ leader: undefined, batches: [] }))
      for (const { partition, leader } of found) {
        const state = this.partitions[partition]
        // Partitions that were added later are not written: the hash of a key would lead elsewhere.
        if (state !== undefined) state.leader = brokers.find(({ nodeId }) => nodeId === leader)
      }
      return undefined
    } catch (error) {
      if (isPermanent(error)) throw error
      return messageOf(error)
    }
  }

  private take(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const nowMs = this.context.clock.nowMs()
    let at = 0
    while (at < bytes.length) {
      const keyLength = view.getInt32(at, true)
      const valueLength = view.getInt32(at + 4, true)
      const key = at + KAFKA_RECORD_HEADER_SIZE
      const value = key + Math.max(0, keyLength)
      at = value + Math.max(0, valueLength)
      const partition = this.partitionOf(bytes, keyLength < 0 ? -1 : key, value)
      const size = at - key
      if (size > this.producer.requestSizeMaxBytes)
        throw new FlinkError(
          'RECORD_TOO_LARGE',
          `topic ${this.topic}, partition ${partition}: a record of ${size} bytes is larger than max.request.size, ${this.producer.requestSizeMaxBytes}`,
          { topic: this.topic, partition },
        )
      const batch = this.openBatch(partition, size, nowMs)
      const before = batch.builder.sizeBytes
      batch.builder.append(nowMs, bytes, keyLength < 0 ? -1 : key, value, valueLength < 0 ? -1 : value, at)
      this.unacknowledgedBytes += batch.builder.sizeBytes - before
      if (keyLength < 0 && this.partitioner === 'default' && batch.builder.sizeBytes >= this.producer.batchSizeBytes) this.sticky++
    }
  }

  private partitionOf(bytes: Uint8Array, keyFrom: number, keyTo: number): number {
    const count = this.partitions.length
    if (this.partitioner === 'default' && keyFrom >= 0) return partitionOfKey(bytes, keyFrom, keyTo, count)
    return this.sticky % count
  }

  private openBatch(partition: number, recordSize: number, nowMs: number): Batch {
    const { batches } = this.partitions[partition]!
    const last = batches.at(-1)
    if (last !== undefined && last.bytes === undefined && last.builder.sizeBytes + recordSize <= this.producer.batchSizeBytes) return last
    const batch: Batch = { partition, builder: new RecordBatchBuilder(nowMs, 4096), firstMs: this.context.clock.monotonicMs(), bytes: undefined }
    batches.push(batch)
    return batch
  }

  private startSending(): void {
    this.sending ??= this.send()
      .catch(error => this.fail(error))
      .finally(() => {
        this.sending = undefined
        // A writer that the last round woke may have written behind its look at what is left: nobody else would send that.
        if (this.hasToSend()) this.startSending()
        this.wake()
      })
  }

  private async send(): Promise<void> {
    // Records that come in one turn leave in one round.
    await Promise.resolve()
    while (this.hasToSend()) {
      const problem = (await this.round()) ?? undefined
      this.wake()
      if (problem === undefined) {
        this.backoff.reset()
        continue
      }
      const late = this.lateBatch()
      if (late !== undefined)
        throw new FlinkError(
          'TIMEOUT',
          `topic ${this.topic}, partition ${late.partition}: ${late.builder.recordCount} records were not acknowledged within ${this.producer.deliveryTimeoutMs} ms: ${problem}`,
          { topic: this.topic, partition: late.partition },
        )
      await this.backoff.pause('kafka partitions cannot be written at the moment, trying again', problem, this.untilLateMs())
      await this.refreshLeaders()
    }
  }

  private hasToSend(): boolean {
    return this.unacknowledgedBytes > 0 && this.failure === undefined && !this.context.signal.aborted
  }

  /** Sends the first batch of every partition that has one. Why some were not acknowledged, if so. */
  private async round(): Promise<string | undefined> {
    const byLeader = new Map<BrokerNode, Batch[]>()
    const sizes = new Map<BrokerNode, number>()
    let without: string | undefined
    for (const [partition, { leader, batches }] of this.partitions.entries()) {
      const [batch] = batches
      if (batch === undefined) continue
      if (leader === undefined) {
        without = `topic ${this.topic}, partition ${partition} has no leader`
        continue
      }
      const size = (sizes.get(leader) ?? 0) + batch.builder.sizeBytes
      // The rest comes with the next round.
      if (size > this.producer.requestSizeMaxBytes && byLeader.has(leader)) continue
      sizes.set(leader, size)
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), batch])
    }
    if (this.partitioner === 'default') this.sticky++
    const answers = await Promise.all([...byLeader].map(([leader, batches]) => this.produce(leader, batches)))
    return answers.find(answer => answer !== undefined) ?? without
  }

  private async produce(leader: BrokerNode, batches: readonly Batch[]): Promise<string | undefined> {
    const { acks, compression } = this.producer
    for (const batch of batches) batch.bytes ??= batch.builder.build(compression)
    const partitions = batches.map(({ partition, bytes }) => ({ topic: this.topic, partition, records: bytes! }))
    let answers: readonly ProducedPartition[]
    try {
      answers = await this.client.produce(leader, { acks, timeoutMs: this.requestTimeoutMs, partitions }, this.lane)
    } catch (error) {
      if (isPermanent(error)) throw error
      return messageOf(error)
    }
    let problem: string | undefined
    for (const batch of batches) {
      const answer = answers.find(({ topic, partition }) => topic === this.topic && partition === batch.partition)
      if (answer?.errorCode === 0) this.acknowledged(batch)
      else if (answer === undefined) problem = `broker ${leader.host}:${leader.port} did not name partition ${batch.partition} in its answer`
      else if (isRetriable(answer.errorCode)) problem = `topic ${this.topic}, partition ${batch.partition}: ${kafkaErrorName(answer.errorCode)}`
      else throw this.refused(batch, answer)
    }
    return problem
  }

  private acknowledged(batch: Batch): void {
    const { batches } = this.partitions[batch.partition]!
    assert(batches[0] === batch, 'batches of a partition are acknowledged in order')
    batches.shift()
    this.unacknowledgedBytes -= batch.builder.sizeBytes
  }

  private refused(batch: Batch, { errorCode, errorMessage }: ProducedPartition): FlinkError {
    const hint =
      errorCode === MESSAGE_TOO_LARGE || errorCode === RECORD_LIST_TOO_LARGE
        ? `; a batch of ${batch.bytes?.length} bytes exceeds the topic's max.message.bytes, see the property batch.size`
        : ''
    return new FlinkError(
      'EXTERNAL_SYSTEM',
      `topic ${this.topic}, partition ${batch.partition}: ${batch.builder.recordCount} records were refused: ${kafkaErrorName(errorCode)}${errorMessage === undefined ? '' : ` (${errorMessage})`}${hint}`,
      { topic: this.topic, partition: batch.partition, error: kafkaErrorName(errorCode) },
    )
  }

  private lateBatch(): Batch | undefined {
    return this.firstBatches().find(batch => this.lateMs(batch) <= this.context.clock.monotonicMs())
  }

  private untilLateMs(): number {
    return Math.min(...this.firstBatches().map(batch => this.lateMs(batch))) - this.context.clock.monotonicMs()
  }

  private lateMs({ firstMs }: Batch): number {
    return firstMs + this.producer.deliveryTimeoutMs
  }

  private firstBatches(): Batch[] {
    return this.partitions.flatMap(({ batches }) => batches.slice(0, 1))
  }

  /** Returns early when the job is cancelled. */
  private async until(condition: () => boolean): Promise<void> {
    while (this.failure === undefined && !this.context.signal.aborted && !condition()) {
      this.startSending()
      await new Promise<void>(resolve => this.waiters.push(resolve))
    }
    if (this.failure !== undefined) throw this.failure
  }

  private wake(): void {
    for (const wake of this.waiters.splice(0)) wake()
  }

  private fail(error: unknown): void {
    if (this.failure !== undefined || this.context.signal.aborted) return
    this.failure = error instanceof FlinkError ? error : new FlinkError('EXTERNAL_SYSTEM', messageOf(error), { topic: this.topic }, error)
    // Also when no further record comes that could be refused.
    this.report?.('error', { code: this.failure.code, message: this.failure.message })
    this.wake()
  }
}
