import type { S3Settings } from '../../runtime/checkpoint/storage/s3-options.ts'
import { type Clock, systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { connectorRegistry } from '../../runtime/connectors/registry.ts'
import type { OperatorDefinition } from '../../runtime/graph/stream-graph.ts'
import { MetricGroup } from '../../runtime/metrics/metric-group.ts'
import type { LocalFrame } from '../../runtime/network/columns.ts'
import type { OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../../runtime/stream/operator.ts'
import type { SourceHeadOperator } from '../../runtime/stream/operators/source-operator.ts'
import type { ConnectorRegistry } from '../../runtime/stream/spi/io-host.ts'
import type { SourceSplit, SplitEnumeratorContext } from '../../runtime/stream/spi/source.ts'
import { LocalIoHost } from '../../runtime/taskmanager/io-host-local.ts'
import { IoRuntime } from '../../runtime/taskmanager/io-runtime.ts'
import { wholeSnapshot } from './whole-snapshot.ts'

/**
 * One subtask of a source or sink with its async half in the same thread. Rows, watermarks and bytes printed are recorded; waiting is
 * for the operator's own wake-ups, never for time.
 */
export interface ConnectorHarnessOptions {
  readonly subtaskIndex?: number
  readonly parallelism?: number
  readonly batch?: boolean
  readonly clock?: Clock
  readonly autoWatermarkIntervalMs?: number
  readonly registry?: ConnectorRegistry
  readonly checkpointingEnabled?: boolean
  readonly s3?: S3Settings
}

export class ConnectorHarness {
  readonly operator: StreamOperator
  readonly rows: { readonly value: unknown; readonly timestamp: number }[] = []
  readonly frames: LocalFrame[] = []
  readonly watermarks: number[] = []
  readonly statuses: boolean[] = []
  readonly context: OperatorContext
  blockers = 0
  failure: unknown
  stdout = ''
  stderr = ''
  /** Rows per poll; lower it to suspend between rows. */
  rowsPerPoll = Number.POSITIVE_INFINITY
  readonly io: IoRuntime
  private woken = false
  private wakeWaiter: (() => void) | undefined

  constructor(operator: StreamOperator, options: ConnectorHarnessOptions = {}) {
    this.operator = operator
    const {
      subtaskIndex = 0,
      parallelism = 1,
      batch = false,
      clock = systemClock,
      autoWatermarkIntervalMs = 200,
      registry = connectorRegistry,
      checkpointingEnabled = false,
      s3,
    } = options
    const decoder = new TextDecoder()
    this.io = new IoRuntime({
      registry,
      clock,
      s3,
      log: noLog,
      taskManager: {
        id: 'tm-1',
        stdout: bytes => void (this.stdout += decoder.decode(bytes)),
        stderr: bytes => void (this.stderr += decoder.decode(bytes)),
      },
    })
    const wake = () => {
      this.woken = true
      this.wakeWaiter?.()
      this.wakeWaiter = undefined
    }
    this.context = {
      jobId: '1'.padStart(32, '0'),
      jobName: 'harness',
      operatorId: '2'.padStart(32, '0'),
      operatorName: 'connector under test',
      taskNameWithSubtasks: `connector under test (${subtaskIndex + 1}/${parallelism})#0`,
      subtaskIndex,
      parallelism,
      maxParallelism: 128,
      attempt: 0,
      batch,
      clock,
      random: seededRandom(1),
      log: noLog,
      io: new LocalIoHost(this.io, wake),
      jobParameters: {},
      options: { autoWatermarkIntervalMs, checkpointingEnabled, snapshotLimits: undefined },
      metrics: { recordsIn() {}, recordsOut() {}, counter: () => ({ inc() {}, value: 0 }), gauge() {} },
      shouldYield: () => false,
      wake,
      block: () => void this.blockers++,
      unblock: () => void this.blockers--,
      fail: error => {
        this.failure ??= error
        wake()
      },
    }
    const output: OperatorOutput = {
      collect: (value, timestamp) => void this.rows.push({ value, timestamp }),
      collectFrame: frame => {
        this.frames.push(frame)
        return false
      },
      sideOutput() {},
      emitWatermark: timestamp => {
        if (timestamp > (this.watermarks.at(-1) ?? Number.NEGATIVE_INFINITY)) this.watermarks.push(timestamp)
      },
      emitStatus: idle => void this.statuses.push(idle),
    }
    operator.setup(this.context, output)
  }

  get source(): SourceHeadOperator {
    return this.operator as SourceHeadOperator
  }

  snapshot(checkpointId = 1): OperatorSnapshot {
    return wholeSnapshot(this.operator.snapshot({ checkpointId, timestampMs: 0, type: 'checkpoint' }))
  }

  values(): unknown[] {
    return this.rows.map(row => row.value)
  }

  async open(splits: readonly SourceSplit[] = [], more = false): Promise<this> {
    await this.operator.open()
    if ('pollSource' in this.operator) {
      if (splits.length > 0) this.source.addSplits(splits)
      if (!more) this.source.noMoreSplits()
    }
    return this
  }

  poll(): 'more' | 'nothing' | 'end' {
    if (this.failure !== undefined) throw this.failure
    this.operator.pollAsyncHalf?.()
    const rows = this.rowCount + this.rowsPerPoll
    return this.source.pollSource(() => this.rowCount >= rows)
  }

  /** Also in frames. */
  get rowCount(): number {
    return this.frames.reduce((sum, { length }) => sum + length, this.rows.length)
  }

  /** Polls until the source has ended or `enough` says so, sleeping when there is nothing. */
  async run(enough: () => boolean = () => false): Promise<void> {
    for (;;) {
      this.woken = false
      const why = this.poll()
      if (why === 'end' || enough()) return
      if (why === 'nothing') await this.wake()
    }
  }

  /** Calls `cursor` until it is done, sleeping in between. */
  async until(cursor: () => boolean): Promise<void> {
    for (;;) {
      this.woken = false
      if (this.failure !== undefined) throw this.failure
      this.operator.pollAsyncHalf?.()
      if (cursor()) return
      await this.wake()
    }
  }

  /** Rows into a sink as a chain would send them, then the end of the input. */
  async sink(values: readonly unknown[], timestamp = Number.NaN): Promise<void> {
    for (const value of values) {
      if (this.blockers > 0) await this.until(() => this.blockers === 0)
      this.operator.processElement(value, timestamp)
    }
    await this.until(() => this.blockers === 0 && this.operator.endInput(0))
  }

  async close(): Promise<void> {
    await this.operator.close()
    await this.io.close()
  }

  private wake(): Promise<void> {
    if (this.woken) return Promise.resolve()
    return new Promise(resolve => {
      this.wakeWaiter = resolve
    })
  }
}

export function operatorOf(definition: OperatorDefinition): StreamOperator {
  return (definition.factory as (options: OperatorDefinition['options']) => StreamOperator)(definition.options)
}

/** What an enumerator assigned, and to whom it said that no more will come. */
export class RecordingEnumeratorContext implements SplitEnumeratorContext {
  readonly clock = systemClock
  readonly log = noLog
  readonly signal = new AbortController().signal
  readonly metrics = new MetricGroup()
  readonly parallelism: number
  readonly assigned: SourceSplit[][]
  readonly ended = new Set<number>()
  failure: unknown

  constructor(parallelism: number) {
    this.parallelism = parallelism
    this.assigned = Array.from({ length: parallelism }, () => [])
  }

  assignSplits(subtaskIndex: number, splits: readonly SourceSplit[]): void {
    this.assigned[subtaskIndex]?.push(...splits)
  }

  signalNoMoreSplits(subtaskIndex: number): void {
    this.ended.add(subtaskIndex)
  }

  fail(error: unknown): void {
    this.failure ??= error
  }
}
