import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { userError } from '../../stream/operators/user-code.ts'
import type { SourcePort } from '../../stream/spi/io-host.ts'
import type { SourceOutput, SourceReader, SourceReaderContext, SourceSplit } from '../../stream/spi/source.ts'
import { errorOfEvent } from '../port-events.ts'
import type { KafkaSplit } from './kafka-split.ts'
import { offsetCommitMode } from './offset-commit-mode.ts'
import type { PartitionOffset } from './protocol-groups.ts'
import { ReaderCommits } from './reader-commits.ts'
import { RecordBatchReader } from './record-batch.ts'
import { settingsFromJson } from './settings.ts'
import { resetOf, type StartingOffsets, startText } from './starting-offsets.ts'
import { type ValueDecoder, valueDecoder } from './value-decoder.ts'
import type { DeserializationSchema } from './value-format.ts'

/**
 * Sync half of the Kafka source: record batches become rows, with the record's time as the row's. Positions are offsets: a snapshot says
 * the next offset of each split, and what is under way from the fetcher is read again after a restore. What is told to Kafka of them, and when, is
 * the business of `reader-commits.ts`; nothing is ever read from there.
 *
 * A record without a value (a tombstone) is no row. A reader without partitions ends at once when the source is bounded; else it is idle,
 * whatever the watermark strategy says, so that it does not hold back the others' watermarks.
 */
export interface KafkaReaderOptions extends JsonObject {
  readonly settings: JsonObject
  readonly startingOffsets: StartingOffsets
  readonly bounded: boolean
  readonly format: JsonObject
}

interface SplitState {
  readonly tag: number
  readonly split: KafkaSplit
  /** Next offset to emit. */
  position: number
  readonly stoppingOffset: number
}

export class KafkaReader implements SourceReader {
  private readonly context: SourceReaderContext
  private readonly options: KafkaReaderOptions
  private readonly decoder: ValueDecoder
  private readonly batches: RecordBatchReader
  private readonly errors: { inc(count?: number): void }
  private readonly commitsSucceeded: { inc(count?: number): void }
  private readonly commitsFailed: { inc(count?: number): void }
  private readonly commits: ReaderCommits
  /** By tag; undefined = read to its end. */
  private readonly splits: (SplitState | undefined)[] = []
  /** All that there was something to read of, also when it has been. */
  private readonly begun: SplitState[] = []
  private activeCount = 0
  private port: SourcePort | undefined
  private current: SplitState | undefined
  /** The enumerator has said something. */
  private assigned = false
  private allAssigned = false
  private idle = false
  /** Of the record decoded last. */
  private lastSplit: KafkaSplit | undefined
  private lastOffset = -1

  constructor(options: KafkaReaderOptions, schema: DeserializationSchema<unknown> | undefined, context: SourceReaderContext) {
    this.options = options
    this.context = context
    this.decoder = valueDecoder(options.format, schema)
    const settings = settingsFromJson(options.settings)
    this.batches = new RecordBatchReader(settings.checkCrcs)
    this.errors = context.metrics.counter('numRecordsInErrors')
    this.commitsSucceeded = context.metrics.counter('commitsSucceeded')
    this.commitsFailed = context.metrics.counter('commitsFailed')
    const mode = offsetCommitMode(settings, context.checkpointing)
    context.log.info(`Consumer subtask ${context.subtaskIndex} commits offsets in mode ${mode}.`, { groupId: settings.groupId })
    this.commits = new ReaderCommits({
      mode,
      intervalMs: settings.autoCommitIntervalMs,
      clock: context.clock,
      offsets: () => this.offsetsRead(),
      commit: offsets => this.openPort().send('commit', { offsets: offsets.map(offset => ({ ...offset })) }),
    })
  }

  addSplits(splits: readonly SourceSplit[]): void {
    // The enumerator makes no others.
    const added = splits as readonly KafkaSplit[]
    this.logStart(added)
    this.assigned = true
    for (const split of added) {
      const stoppingOffset = split.stoppingOffset ?? Number.POSITIVE_INFINITY
      const tag = this.splits.length
      if (split.startingOffset >= stoppingOffset) {
        this.splits.push(undefined)
        continue
      }
      const state = { tag, split, position: split.startingOffset, stoppingOffset }
      this.splits.push(state)
      this.begun.push(state)
      this.activeCount++
      this.commits.start()
      const { topic, partition, startingOffset } = split
      this.openPort().send('split', { tag, topic, partition, startingOffset, stoppingOffset: split.stoppingOffset })
    }
  }

  noMoreSplits(): void {
    this.allAssigned = true
    if (!this.assigned) this.addSplits([])
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    while (!output.shouldYield()) {
      const { current } = this
      if (current !== undefined) {
        this.emitRecord(current, output)
        continue
      }
      if (this.read() === 'more') continue
      return this.activeCount === 0 ? this.withoutSplits(output) : 'nothing'
    }
    return 'more'
  }

  snapshotSplits(checkpointId: number): readonly SourceSplit[] {
    this.commits.snapshot(checkpointId)
    return this.splits.flatMap(state => (state === undefined ? [] : [{ ...state.split, startingOffset: state.position }]))
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.commits.complete(checkpointId)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.commits.aborted(checkpointId)
  }

  describePosition(): string {
    const { lastSplit } = this
    return lastSplit === undefined ? '' : `topic ${lastSplit.topic}, partition ${lastSplit.partition}, offset ${this.lastOffset}`
  }

  close(): void {
    this.commits.close()
    this.port?.close()
  }

  private offsetsRead(): PartitionOffset[] {
    return this.begun
      .filter(({ split, position }) => position > split.startingOffset)
      .map(({ split: { topic, partition }, position }) => ({ topic, partition, offset: position }))
  }

  private emitRecord(state: SplitState, output: SourceOutput): void {
    const { batches } = this
    if (!this.nextRecord(state)) {
      this.current = undefined
      this.moveTo(state, batches.nextOffset)
      return
    }
    const { offset } = batches
    // A batch is stored and sent as a whole, also when reading starts in its middle.
    if (offset < state.position) return
    if (offset >= state.stoppingOffset) {
      this.current = undefined
      this.moveTo(state, offset)
      return
    }
    this.lastSplit = state.split
    this.lastOffset = offset
    const { valueStart, valueEnd, timestamp } = batches
    if (valueStart >= 0) {
      const value = this.decode(valueStart, valueEnd)
      state.position = offset + 1
      if (value !== NO_ROW) this.collect(value, timestamp, output)
    }
    this.moveTo(state, offset + 1)
  }

  private collect(value: unknown, timestamp: number, output: SourceOutput): void {
    if (this.idle) {
      this.idle = false
      output.emitStatus(false)
    }
    output.collect(value, timestamp)
  }

  private decode(start: number, end: number): unknown {
    const { decoder, batches } = this
    try {
      return decoder.decode(batches.data, start, end)
    } catch (error) {
      if (!decoder.builtIn) throw userError(`Kafka source, deserialize (${this.describePosition()})`, error)
      if (decoder.ignoreParseErrors) {
        this.errors.inc()
        return NO_ROW
      }
      const { topic, partition } = this.lastSplit! // set before every record is decoded
      throw new FlinkError(
        'MALFORMED_RECORD',
        `${this.describePosition()}: the record's value does not parse: ${(error as Error).message}`,
        { topic, partition, offset: this.lastOffset },
        error,
      )
    }
  }

  private nextRecord(state: SplitState): boolean {
    try {
      return this.batches.next()
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      const { topic, partition } = state.split
      throw new FlinkError(error.code, `topic ${topic}, partition ${partition}: ${error.message}`, { topic, partition, ...error.detail }, error)
    }
  }

  /** Takes one element of the fetcher. */
  private read(): 'more' | 'nothing' {
    const element = this.port?.poll()
    if (element === undefined) return 'nothing'
    if (element.kind === 'raw') {
      const state = this.splits[element.tag]
      // What the fetcher had sent beyond the end of a bounded split.
      if (state === undefined) return 'more'
      this.batches.feed(element.bytes)
      this.current = state
    } else if (element.kind === 'event') {
      if (element.what === 'error') throw errorOfEvent(element.data)
      if (element.what === 'commits') {
        const { succeeded, failed } = JSON.parse(element.data) as { succeeded: number; failed: number }
        this.commitsSucceeded.inc(succeeded)
        this.commitsFailed.inc(failed)
        return 'more'
      }
      assert(element.what === 'skipped', 'a kafka fetcher sends record batches, errors, skipped stretches and how commits went')
      const { tag, position } = JSON.parse(element.data) as { tag: number; position: number }
      const state = this.splits[tag]
      if (state !== undefined) this.moveTo(state, position)
    }
    return 'more'
  }

  private moveTo(state: SplitState, position: number): void {
    if (position > state.position) state.position = position
    if (state.position < state.stoppingOffset || this.splits[state.tag] === undefined) return
    this.splits[state.tag] = undefined
    this.activeCount--
    if (this.current === state) this.current = undefined
  }

  private withoutSplits(output: SourceOutput): 'nothing' | 'end' {
    if (this.options.bounded) return this.allAssigned ? 'end' : 'nothing'
    if (this.assigned && !this.idle) {
      this.idle = true
      output.emitStatus(true)
    }
    return 'nothing'
  }

  private openPort(): SourcePort {
    const { settings, startingOffsets } = this.options
    const reset = settings['offsetReset']
    this.port ??= this.context.io.openSource('kafka', {
      settings,
      offsetReset: reset ?? resetOf(startingOffsets),
      subtaskIndex: this.context.subtaskIndex,
    })
    return this.port
  }

  /** In Flink's words: people search logs for them. What comes after the first splits was found later, and begins at its earliest offset. */
  private logStart(splits: readonly KafkaSplit[]): void {
    const { log, subtaskIndex, restored } = this.context
    const first = !this.assigned
    if (splits.length === 0) {
      if (first) log.info(`Consumer subtask ${subtaskIndex} initially has no partitions to read from.`)
      return
    }
    const partitions = splits.map(partitionText).join(', ')
    const offsets = splits.map(split => `${partitionText(split)}=${split.startingOffset}`).join(', ')
    const from = startText(first ? this.options.startingOffsets : 'earliest')
    log.info(
      first && restored
        ? `Consumer subtask ${subtaskIndex} will start reading ${splits.length} partitions with offsets in restored state: {${offsets}}`
        : `Consumer subtask ${subtaskIndex} will start reading the following ${splits.length} partitions ${from}: [${partitions}]`,
    )
    log.info(`Consumer subtask ${subtaskIndex} creating fetcher with offsets {${offsets}}.`)
  }
}

const NO_ROW = Symbol('no row')

function partitionText({ topic, partition }: KafkaSplit): string {
  return `KafkaTopicPartition{topic='${topic}', partition=${partition}}`
}
