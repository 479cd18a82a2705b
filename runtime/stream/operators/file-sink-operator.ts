import { assert } from '../../common/assert.ts'
import type { ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { type DeclaredState, listState } from '../../graph/declared-state.ts'
import type { CheckpointBarrier } from '../../network/frame.ts'
import type { RestoredSnapshot, UnkeyedSnapshot } from '../../state/snapshot.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../operator.ts'
import type { SinkPort } from '../spi/io-host.ts'
import { type CommittableItem, Committables } from './committables.ts'
import { jsonItems, jsonList } from './json-items.ts'
import { PartBuckets, type RollingPolicySettings } from './part-buckets.ts'
import { SinkOutbox } from './sink-outbox.ts'
import { asyncHalfError, checkRecordSize } from './transport-sink-operator.ts'
import { userError } from './user-code.ts'

/**
 * Sync half of the transactional file sink: rows into parts of buckets, and two phases of commit over the async half, which has the files.
 *
 * 1. Rows are encoded into the batch of their bucket's part. `PartBuckets` says when a part ends; then it is pending: whole, on disk, not visible.
 * 2. Before a barrier everything written goes out, and `prepare` asks for the committables of the parts that have ended, and for what is needed to
 *    go on with each part that has not. The barrier waits for `prepared`.
 * 3. The snapshot holds all committables that are not known to be committed, and the open parts. It is taken only when nothing was written since.
 * 4. When a checkpoint has completed, what it and earlier ones hold is committed; `committed` takes it out of later snapshots. A checkpoint that is
 *    aborted leaves its committables to the next one.
 * 5. After a restore, committables are committed first, whether or not that had happened; open parts are taken up where the snapshot had them.
 * 6. When the first checkpoint of this attempt has completed, what earlier attempts of this job left behind belongs to nobody: `sweep`. Every subtask
 *    has then committed or taken up what it got, for the port keeps the order. A new job leaves the files of the job whose savepoint it began from
 *    alone.
 *
 * Without checkpointing, `endInput` ends all parts and commits them: at least once, and nothing is visible before.
 */
export interface FileSinkSpec {
  /** For the async half; what identifies the subtask is added. */
  readonly options: JsonObject
  readonly rollingPolicy: RollingPolicySettings
  /** How often parts are looked at for the time-based rules. */
  readonly bucketCheckIntervalMs: number
  /** Folder below the path, '' = the path itself. */
  bucketOf(value: unknown, context: BucketContext): string
  encode(value: unknown, context: OperatorContext, writer: ByteWriter): void
}

export interface BucketContext {
  currentProcessingTime(): number
  currentWatermark(): number
  /** Of the row; null when it has none. */
  timestamp(): number | null
}

export class FileSinkOperator implements StreamOperator {
  readonly commitsOnCheckpoint = true
  private readonly spec: FileSinkSpec
  private readonly committables = new Committables()
  private readonly buckets: PartBuckets
  private readonly rowContext = new RowContext()
  private context: OperatorContext | undefined
  private port: SinkPort | undefined
  private outbox: SinkOutbox | undefined
  private restoredParts: readonly OpenPartItem[] = []
  /** The checkpoint that this attempt began from; 0 = none. */
  private restoredCheckpointId = 0
  /** Grows with everything that the next snapshot must know of. */
  private version = 0
  private preparingVersion: number | undefined
  private preparedVersion = 0
  private recoverables: ReadonlyMap<number, JsonObject> = new Map()
  private swept = false
  private nextInspectionMs = Number.POSITIVE_INFINITY

  constructor(spec: FileSinkSpec) {
    this.spec = spec
    this.buckets = new PartBuckets(spec.rollingPolicy, {
      open: ({ tag, bucketId }) => {
        checkBucketId(bucketId, this.ctx())
        this.change('open', { tag, bucketId })
      },
      write: ({ tag }, bytes) => this.out().offer(bytes, tag),
      close: ({ tag }) => this.change('close', { tag }),
    })
  }

  setup(context: OperatorContext, _output: OperatorOutput): void {
    this.context = context
  }

  restore(state: RestoredSnapshot): void {
    this.committables.restore(jsonItems<CommittableItem>(state, COMMITTABLES_STATE))
    this.restoredParts = jsonItems<OpenPartItem>(state, PARTS_STATE)
    this.restoredCheckpointId = Math.max(0, ...jsonItems<number>(state, CHECKPOINT_STATE))
  }

  open(): void {
    const context = this.ctx()
    const { jobId, operatorId, subtaskIndex, parallelism } = context
    this.port = context.io.openSink('file-sink', {
      ...this.spec.options,
      jobId,
      operatorId,
      subtaskIndex,
      parallelism,
      restoredCheckpointId: this.restoredCheckpointId,
    })
    this.outbox = new SinkOutbox(this.port, context)
    this.rowContext.processingTimeMs = context.clock.nowMs()
    this.nextInspectionMs = this.rowContext.processingTimeMs + this.spec.bucketCheckIntervalMs
    context.metrics.gauge('pendingCommittables', () => this.committables.count)
    this.commit(this.committables.completeAll())
    for (const { bucketId, createdMs, sizeBytes, recoverable } of this.restoredParts)
      this.buckets.resume(bucketId, createdMs, sizeBytes, ({ tag }) => this.change('recover', { tag, bucketId, recoverable }))
    this.restoredParts = []
  }

  processElement(value: unknown, timestamp: number): void {
    const { spec, buckets, rowContext } = this
    const context = this.ctx()
    rowContext.timestampMs = timestamp
    let bucketId: string
    try {
      bucketId = spec.bucketOf(value, rowContext)
    } catch (error) {
      throw userError(context.operatorName, error)
    }
    const part = buckets.partFor(bucketId, rowContext.processingTimeMs)
    const { batch } = part
    const start = batch.length
    try {
      spec.encode(value, context, batch)
    } catch (error) {
      throw userError(context.operatorName, error)
    }
    checkRecordSize(batch.length - start, context)
    this.version++
    buckets.written(part, batch.length - start, rowContext.processingTimeMs)
  }

  processWatermark(timestamp: number): boolean {
    this.rowContext.watermark = timestamp
    return true
  }

  pollAsyncHalf(): void {
    const { port } = this
    if (port === undefined) return
    this.rowContext.processingTimeMs = this.ctx().clock.nowMs()
    for (let element = port.poll(); element !== undefined; element = port.poll()) {
      if (element.kind !== 'event') continue
      if (element.what === 'error') throw asyncHalfError(element.data)
      // Written by the async half: see file-sink-transport.ts.
      this.answered(element.what, JSON.parse(element.data) as Answer)
    }
    this.out().flush()
  }

  processTimers(nowMs: number): boolean {
    if (nowMs < this.nextInspectionMs) return true
    this.rowContext.processingTimeMs = nowMs
    this.nextInspectionMs = nowMs + this.spec.bucketCheckIntervalMs
    this.buckets.inspect(nowMs)
    return true
  }

  nextTimerMs(): number {
    return this.buckets.count === 0 ? Number.POSITIVE_INFINITY : this.nextInspectionMs
  }

  endInput(): boolean {
    if (!this.prepare(true)) return false
    if (this.isCheckpointing()) return true
    this.commit(this.committables.completeAll())
    return this.commitsDone()
  }

  prepareSnapshotPreBarrier(): boolean {
    return this.prepare(false)
  }

  snapshot({ checkpointId }: CheckpointBarrier): UnkeyedSnapshot {
    assert(this.preparedVersion === this.version, 'nothing is written between prepare and snapshot')
    const parts = this.buckets.open().map((part): OpenPartItem => {
      const { tag, bucketId, createdMs, sizeBytes } = part
      const recoverable = this.recoverables.get(tag)
      assert(recoverable !== undefined, 'every open part was prepared')
      return { bucketId, createdMs, sizeBytes, recoverable }
    })
    return {
      keyed: undefined,
      lists: [
        jsonList(COMMITTABLES_STATE, 'split', this.committables.snapshot(checkpointId)),
        jsonList(PARTS_STATE, 'split', parts),
        jsonList(CHECKPOINT_STATE, 'union', [checkpointId]),
      ],
    }
  }

  stateEntries(): number {
    return this.committables.count + this.buckets.count
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.commit(this.committables.complete(checkpointId))
    if (this.swept) return
    this.swept = true
    this.out().send('sweep', {})
  }

  commitsDone(): boolean {
    this.pollAsyncHalf()
    return this.committables.underWay === 0 && this.out().flush()
  }

  close(): void {
    this.port?.close()
    this.port = undefined
  }

  /** True when everything written so far is on disk, and known to the next snapshot. */
  private prepare(all: boolean): boolean {
    this.pollAsyncHalf()
    this.buckets.flushForCheckpoint(all)
    if (this.preparedVersion === this.version) return true
    if (this.preparingVersion === undefined) {
      this.preparingVersion = this.version
      this.out().send('prepare', {})
      // An async half in this very thread has answered by now.
      this.pollAsyncHalf()
    }
    return (this.preparedVersion as number) === this.version
  }

  private answered(what: string, answer: Answer): void {
    const { committables } = this
    if (what === 'pending') committables.add(answer.committables)
    else if (what === 'prepared') {
      this.recoverables = new Map(answer.recoverables.map(({ tag, recoverable }) => [tag, recoverable]))
      this.preparedVersion = this.preparingVersion ?? this.preparedVersion
      this.preparingVersion = undefined
    } else if (what === 'committed') {
      committables.committed(answer.count)
      const { metrics } = this.ctx()
      metrics.counter('successfulCommittables').inc(answer.count - answer.already)
      metrics.counter('alreadyCommittedCommittables').inc(answer.already)
    } else assert(false, `the async half of a file sink does not answer ${what}`)
  }

  private commit(due: readonly JsonObject[]): void {
    for (let from = 0; from < due.length; from += COMMITTABLES_PER_COMMAND)
      this.out().send('commit', { committables: due.slice(from, from + COMMITTABLES_PER_COMMAND) })
  }

  private change(what: 'open' | 'recover' | 'close', data: JsonObject): void {
    this.version++
    this.out().send(what, data)
  }

  private isCheckpointing(): boolean {
    return this.ctx().options.checkpointingEnabled === true
  }

  private out(): SinkOutbox {
    assert(this.outbox !== undefined, 'a sink is open before rows come')
    return this.outbox
  }

  private ctx(): OperatorContext {
    assert(this.context !== undefined, 'setup comes first')
    return this.context
  }
}

/** What the async half answers, by the name of the event. */
interface Answer {
  /** `pending`, in front of `prepared`. */
  readonly committables: readonly JsonObject[]
  /** `prepared`: of every open part. */
  readonly recoverables: readonly { readonly tag: number; readonly recoverable: JsonObject }[]
  /** `committed`: of them, what had been committed before. */
  readonly count: number
  readonly already: number
}

type OpenPartItem = { readonly bucketId: string; readonly createdMs: number; readonly sizeBytes: number; readonly recoverable: JsonObject }

const COMMITTABLES_STATE = 'committables'
const PARTS_STATE = 'open-parts'
const CHECKPOINT_STATE = 'checkpoint'

/** For the graph, which knows states without running. */
export const fileSinkStates: readonly DeclaredState[] = [
  listState(COMMITTABLES_STATE, 'split', { kind: 'STRING' }),
  listState(PARTS_STATE, 'split', { kind: 'STRING' }),
  listState(CHECKPOINT_STATE, 'union', { kind: 'STRING' }),
]
/** A command must fit into a frame. */
const COMMITTABLES_PER_COMMAND = 1000

class RowContext implements BucketContext {
  processingTimeMs = 0
  watermark = Number.NEGATIVE_INFINITY
  timestampMs = Number.NaN

  currentProcessingTime(): number {
    return this.processingTimeMs
  }

  currentWatermark(): number {
    return this.watermark
  }

  timestamp(): number | null {
    return Number.isNaN(this.timestampMs) ? null : this.timestampMs
  }
}

/** A bucket is a folder below the path, and readers must find it. */
function checkBucketId(bucketId: unknown, { operatorName }: OperatorContext): void {
  const isFolder = typeof bucketId === 'string' && (bucketId === '' || bucketId.split('/').every(name => name !== '' && !name.startsWith('.')))
  if (!isFolder || bucketId.includes('\0'))
    throw new FlinkError(
      'USER_FUNCTION',
      `operator ${operatorName}: the bucket assigner answered ${JSON.stringify(bucketId)}, expected '' or names joined by '/', none of them empty or beginning with '.'`,
    )
}
