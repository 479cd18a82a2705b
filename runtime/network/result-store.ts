/**
 * Blocking results of a TaskManager's tasks, in its I/O worker. A task writes them into rings as it does everything; from there they come here at
 * once, into memory or onto the disk, and stay until nobody needs them: their readers are deployed when the task has long finished, perhaps twice,
 * and read at their own pace.
 *
 *   accept (a ring for each channel) -> pump -> ... -> finish -> open (another TaskManager reads) or feed (a slot here reads) -> release
 *
 * Invariants: a ring is emptied as long as the disk keeps up, so a blocking result never waits for its readers; rings are touched only inside
 * `pump` and `finish`, so that after `detach` their pages are free.
 */
import { FlinkError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import { type ExchangeScope, scopeKey } from './exchange-scope.ts'
import type { Doorbell } from './frame.ts'
import type { ResultFiles } from './result-files.ts'
import { failRing, type RingDescriptor, SegmentReader, SegmentWriter } from './ring.ts'
import { ResultMemory, type ResultReader, type ResultSize, TaskResult } from './task-result.ts'

export interface ResultStoreOptions {
  readonly memoryLimit: number
  readonly files: ResultFiles
  readonly log: Logger
}

interface Intake {
  readonly scope: string
  readonly executionId: string
  readonly ring: RingDescriptor
  readonly segments: SegmentReader
  readonly producer: Doorbell
  readonly result: TaskResult
}

interface Feed {
  readonly scope: string
  readonly ring: RingDescriptor
  readonly segments: SegmentWriter
  readonly consumer: Doorbell
  readonly reader: ResultReader | undefined
}

export class ResultStore {
  private readonly options: ResultStoreOptions
  private readonly memory: ResultMemory
  /** By execution. */
  private readonly results = new Map<string, TaskResult>()
  /** By channel. */
  private readonly resultOf = new Map<string, TaskResult>()
  private readonly intakes = new Set<Intake>()
  private readonly feeds = new Set<Feed>()
  private readonly removing = new Set<Promise<void>>()
  /** Of all results there have been. */
  private stored: ResultSize = { memoryBytes: 0, diskBytes: 0 }

  constructor(options: ResultStoreOptions) {
    this.options = options
    this.memory = new ResultMemory(options.memoryLimit)
  }

  /** Takes what a slot writes into the ring; `producer` is the slot's doorbell. */
  accept(scope: ExchangeScope, executionId: string, ring: RingDescriptor, producer: Doorbell): void {
    const { channelId } = ring
    let result = this.results.get(executionId)
    if (result === undefined) {
      result = new TaskResult(executionId, this.options.files, this.memory, () => this.pump())
      this.results.set(executionId, result)
    }
    result.addChannel(channelId)
    this.resultOf.set(channelId, result)
    const intake = { scope: scopeKey(scope), executionId, ring, segments: new SegmentReader(ring, producer), producer, result }
    this.intakes.add(intake)
    this.drain(intake)
  }

  /** The task has written its last: resolves when all of it is stored, and it may be read. */
  async finish(executionId: string): Promise<ResultSize> {
    const result = this.results.get(executionId)
    if (result === undefined) throw unknownResult(executionId)
    const intakes = [...this.intakes].filter(intake => intake.executionId === executionId)
    do {
      for (const intake of intakes) this.drain(intake)
      await result.settled()
      // Whoever released it meanwhile has no use for it.
    } while (this.results.has(executionId) && intakes.some(({ segments }) => segments.queued > 0))
    if (!this.results.has(executionId)) throw unknownResult(executionId)
    for (const intake of intakes) this.intakes.delete(intake)
    result.finished = true
    const { memoryBytes, diskBytes } = result.size
    this.stored = { memoryBytes: this.stored.memoryBytes + memoryBytes, diskBytes: this.stored.diskBytes + diskBytes }
    return result.size
  }

  has(channelId: string): boolean {
    return this.resultOf.has(channelId)
  }

  /** Undefined = there is no such finished result here. */
  open(channelId: string, onReady: () => void): ResultReader | undefined {
    return this.resultOf.get(channelId)?.open(channelId, onReady)
  }

  /** Gives a channel of a result to a slot here; `consumer` is the slot's doorbell. */
  feed(scope: ExchangeScope, ring: RingDescriptor, consumer: Doorbell): void {
    const reader = this.open(ring.channelId, () => this.pour(feed))
    const feed: Feed = { scope: scopeKey(scope), ring, segments: new SegmentWriter(ring, consumer), consumer, reader }
    if (reader === undefined) {
      this.failFeed(feed, unknownResult(`of channel ${ring.channelId}`))
      return
    }
    this.feeds.add(feed)
    this.pour(feed)
  }

  /** The slots of the scope are gone: their rings are not touched any more. What they have finished stays. */
  detach(scope: ExchangeScope): void {
    const key = scopeKey(scope)
    for (const intake of this.intakes) if (intake.scope === key) this.intakes.delete(intake)
    for (const feed of this.feeds) if (feed.scope === key) this.dropFeed(feed)
  }

  /** Nobody needs the results of these executions any more. */
  release(executionIds: readonly string[]): void {
    for (const executionId of executionIds) {
      const result = this.results.get(executionId)
      if (result === undefined) continue
      this.results.delete(executionId)
      for (const intake of this.intakes) if (intake.result === result) this.intakes.delete(intake)
      for (const [channelId, owner] of this.resultOf) if (owner === result) this.resultOf.delete(channelId)
      const removed = result
        .release()
        .catch(error => this.options.log.warn('the file of a blocking result could not be removed', { path: result.file.path, error: String(error) }))
        .finally(() => this.removing.delete(removed))
      this.removing.add(removed)
    }
  }

  /** Moves what can be moved now. */
  pump(): void {
    for (const intake of this.intakes) this.drain(intake)
    for (const feed of this.feeds) this.pour(feed)
  }

  /** What is held now, and what was ever stored. */
  usage() {
    return { memoryUsed: this.memory.used, results: this.results.size, stored: this.stored }
  }

  async close(): Promise<void> {
    for (const feed of this.feeds) this.dropFeed(feed)
    this.intakes.clear()
    this.release([...this.results.keys()])
    await Promise.all(this.removing)
  }

  private drain({ ring, segments, producer, result }: Intake): void {
    if (result.failure !== undefined) {
      failRing(ring, result.failure.code, result.failure.message)
      producer.ring()
      return
    }
    while (!result.isBehind) {
      const segment = segments.next()
      if (segment === undefined) return
      result.add(ring.channelId, segment)
      segments.release()
    }
  }

  private pour(feed: Feed): void {
    const { segments, reader } = feed
    if (reader === undefined || !this.feeds.has(feed)) return
    while (segments.free() > 0) {
      const segment = reader.next()
      if (segment === undefined) break
      segments.write(segment, 0, segment.length)
    }
    if (reader.failure !== undefined) this.failFeed(feed, reader.failure)
  }

  private failFeed(feed: Feed, { code, message }: FlinkError): void {
    this.dropFeed(feed)
    failRing(feed.ring, code, message)
    feed.consumer.ring()
  }

  private dropFeed(feed: Feed): void {
    this.feeds.delete(feed)
    feed.reader?.close()
  }
}

function unknownResult(what: string): FlinkError {
  return new FlinkError('EXTERNAL_SYSTEM', `there is no blocking result ${what} on this taskmanager`)
}
