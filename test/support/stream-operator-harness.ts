import { redistribute } from '../../runtime/checkpoint/redistribute.ts'
import { assert } from '../../runtime/common/assert.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { LocalFrame } from '../../runtime/network/columns.ts'
import { frameOf, objectRowsOf, rowsOf } from '../../runtime/network/columns-rows.ts'
import { MAX_WATERMARK } from '../../runtime/network/frame.ts'
import type { ColumnLayout } from '../../runtime/serde/columns-type.ts'
import { keyGroupOf, subtaskOfKeyGroup } from '../../runtime/serde/key-groups.ts'
import type { RowLayout } from '../../runtime/serde/row-layout.ts'
import type { SnapshotLimits } from '../../runtime/state/keyed-snapshots.ts'
import type { OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import type { KeySpec } from '../../runtime/stream/functions.ts'
import type { OperatorContext, OperatorMetrics, OperatorOutput, StreamOperator } from '../../runtime/stream/operator.ts'
import { OperatorIncrements, smallStateLimits, takeIncrements } from './increments.ts'
import { SimulatedClock } from './simulated-clock.ts'

/**
 * Runs stream operators outside a chain, as the chain would: rows one by one, cursors until they are done, due timers between rows,
 * time on a simulated clock. `runCase` runs one script in the ways that must not differ.
 */
export interface RecordedRow {
  /** undefined = main output. */
  readonly tag: string | undefined
  /** A copy as of the emission: later changes through a shared reference show as a difference. */
  readonly value: unknown
  readonly timestamp: number
}

export interface HarnessOptions {
  readonly name?: string
  readonly subtaskIndex?: number
  readonly parallelism?: number
  readonly maxParallelism?: number
  readonly batch?: boolean
  readonly autoWatermarkIntervalMs?: number
  readonly clock?: Clock & { advanceTo(timeMs: number): void }
  /** When snapshots are whole; default always. */
  readonly snapshotLimits?: SnapshotLimits | undefined
  /** Asked before each unit of a cursor's work; default never. */
  readonly shouldYield?: () => boolean
  /** Frames are recorded as rows of it; default: in `frames`. */
  readonly outputLayout?: RowLayout | undefined
  /** The same for rows of SQL. */
  readonly outputColumns?: readonly ColumnLayout[] | undefined
  /** Rows and watermarks go on to this harness's first input as well. */
  readonly next?: StreamOperatorHarness
}

export class StreamOperatorHarness {
  readonly operator: StreamOperator
  readonly clock: Clock & { advanceTo(timeMs: number): void }
  readonly rows: RecordedRow[] = []
  /** Columnar frames as they came; they are not among `rows`. */
  readonly frames: LocalFrame[] = []
  readonly watermarks: number[] = []
  readonly statuses: boolean[] = []
  readonly counters = new Map<string, number>()
  failure: unknown
  wakeCount = 0
  readonly increments: OperatorIncrements
  private readonly options: HarnessOptions

  constructor(operator: StreamOperator, options: HarnessOptions = {}) {
    this.operator = operator
    this.increments = new OperatorIncrements(operator)
    this.options = options
    this.clock = options.clock ?? new SimulatedClock()
    operator.setup(this.context(), this.output())
  }

  async open(snapshot?: OperatorSnapshot): Promise<this> {
    if (snapshot !== undefined) this.increments.restore(snapshot)
    await this.operator.open()
    return this
  }

  row(value: unknown, timestamp = Number.NaN, input = 0): void {
    if (input === 0) this.operator.processElement(value, timestamp)
    else {
      assert(this.operator.processElement2 !== undefined, 'the operator has a second input')
      this.operator.processElement2(value, timestamp)
    }
  }

  /** A frame of one row of SQL. */
  columns(row: unknown, layouts: readonly ColumnLayout[]): void {
    assert(this.operator.processFrame !== undefined, 'the operator takes frames')
    this.operator.processFrame(frameOf([row as readonly unknown[]], layouts))
  }

  watermark(timestamp: number, input = 0): void {
    until(() => this.operator.processWatermark(timestamp, input))
  }

  /** Moves the clock and fires timers, each at its own time. */
  advanceTo(timeMs: number): void {
    for (let next = this.nextTimerMs(); next <= timeMs; next = this.nextTimerMs()) {
      const nowMs = Math.max(next, this.clock.nowMs())
      this.clock.advanceTo(nowMs)
      this.fireTimers()
    }
    this.clock.advanceTo(timeMs)
    this.fireTimers()
  }

  advanceBy(spanMs: number): void {
    this.advanceTo(this.clock.nowMs() + spanMs)
  }

  fireTimers(): void {
    const nowMs = this.clock.nowMs()
    until(() => this.operator.processTimers?.(nowMs) ?? true)
  }

  /** As a gate delivers the end: last watermark, then the end, for each input. */
  end(inputCount = 1): void {
    for (let input = 0; input < inputCount; input++) {
      this.watermark(MAX_WATERMARK, input)
      until(() => this.operator.endInput(input))
    }
    this.options.next?.end()
  }

  /** What is not kept over a barrier leaves in front of it. */
  prepareSnapshot(): void {
    until(() => this.operator.prepareSnapshotPreBarrier?.() ?? true)
  }

  /** All of the state, as the TaskManager puts it together. */
  snapshot(checkpointId = this.increments.checkpointId + 1): OperatorSnapshot {
    this.increments.checkpointId = checkpointId - 1
    this.prepareSnapshot()
    return this.increments.snapshot(this.clock.nowMs())
  }

  completed(checkpointId: number): void {
    this.operator.notifyCheckpointComplete?.(checkpointId)
  }

  aborted(checkpointId: number): void {
    this.operator.notifyCheckpointAborted?.(checkpointId)
  }

  async close(): Promise<void> {
    await this.operator.close()
  }

  /** Values of the main output. */
  values(): unknown[] {
    return this.rows.filter(row => row.tag === undefined).map(row => row.value)
  }

  side(tag: string): unknown[] {
    return this.rows.filter(row => row.tag === tag).map(row => row.value)
  }

  private nextTimerMs(): number {
    return this.operator.nextTimerMs?.() ?? Number.POSITIVE_INFINITY
  }

  private output(): OperatorOutput {
    const { next } = this.options
    return {
      collect: (value, timestamp) => {
        this.rows.push({ tag: undefined, value: structuredClone(value), timestamp })
        next?.row(value, timestamp)
      },
      collectFrame: frame => {
        const { outputLayout, outputColumns } = this.options
        if (outputColumns !== undefined)
          this.rows.push(...rowsOf(frame, outputColumns).map(value => ({ tag: undefined, value, timestamp: Number.NaN })))
        else if (outputLayout === undefined) this.frames.push(frame)
        else
          for (const [i, value] of objectRowsOf(frame, outputLayout).entries())
            this.rows.push({ tag: undefined, value, timestamp: frame.timestamps?.[i] ?? Number.NaN })
        return false
      },
      sideOutput: (tag, value, timestamp) => void this.rows.push({ tag, value: structuredClone(value), timestamp }),
      emitWatermark: timestamp => {
        if (timestamp <= (this.watermarks.at(-1) ?? Number.NEGATIVE_INFINITY)) return
        this.watermarks.push(timestamp)
        next?.watermark(timestamp)
      },
      emitStatus: idle => void this.statuses.push(idle),
    }
  }

  private context(): OperatorContext {
    const { options } = this
    const name = options.name ?? 'operator under test'
    const subtaskIndex = options.subtaskIndex ?? 0
    const parallelism = options.parallelism ?? 1
    return {
      jobId: '00000000000000000000000000000001',
      jobName: 'harness',
      operatorId: '00000000000000000000000000000002',
      operatorName: name,
      taskNameWithSubtasks: `${name} (${subtaskIndex + 1}/${parallelism})#0`,
      subtaskIndex,
      parallelism,
      maxParallelism: options.maxParallelism ?? 128,
      attempt: 0,
      batch: options.batch ?? false,
      clock: this.clock,
      random: seededRandom(1),
      log: noLog,
      io: { openSource: () => assert(false, 'no sources here') as never, openSink: () => assert(false, 'no sinks here') as never },
      jobParameters: {},
      options: {
        autoWatermarkIntervalMs: options.autoWatermarkIntervalMs ?? 200,
        checkpointingEnabled: false,
        snapshotLimits: options.snapshotLimits,
      },
      metrics: this.metrics(),
      shouldYield: options.shouldYield ?? (() => false),
      wake: () => void this.wakeCount++,
      block: () => {},
      unblock: () => {},
      fail: error => {
        this.failure = error
      },
    }
  }

  private metrics(): OperatorMetrics {
    const { counters } = this
    return {
      recordsIn: () => {},
      recordsOut: () => {},
      counter: name => ({
        inc: (count = 1) => void counters.set(name, (counters.get(name) ?? 0) + count),
        get value() {
          return counters.get(name) ?? 0
        },
      }),
      gauge: () => {},
    }
  }
}

/** Calls a cursor until it is done. One that never gets on is a livelock, not a long job. */
function until(cursor: () => boolean): void {
  for (let calls = 0; calls < 100_000; calls++) if (cursor()) return
  assert(false, 'a cursor never finished')
}

export type ScriptStep =
  | { readonly kind: 'row'; readonly value: unknown; readonly timestamp?: number; readonly input?: 0 | 1 }
  | { readonly kind: 'watermark'; readonly timestamp: number; readonly input?: 0 | 1 }
  | { readonly kind: 'clock'; readonly timeMs: number }

export interface OperatorCase {
  /** Classes that the case runs, for the registry. */
  readonly covers: string
  readonly title: string
  readonly create: () => StreamOperator
  readonly script: readonly ScriptStep[]
  readonly inputCount?: 1 | 2
  readonly batch?: boolean
  /** Of an operator that emits frames: they are recorded as rows. */
  readonly outputLayout?: RowLayout
  /** Of an operator of SQL that takes columns, or gives them. */
  readonly inputColumns?: readonly ColumnLayout[]
  readonly outputColumns?: readonly ColumnLayout[]
  /** Of an operator that may give a row in parts: puts them together. */
  readonly merge?: (rows: readonly RecordedRow[]) => readonly RecordedRow[]
  /** Routes rows when there are several subtasks; none = not keyed, rows go in turn. */
  readonly keys?: readonly KeySpec[]
  /** The same for keys of SQL, of one input. */
  readonly keyGroup?: (value: unknown, maxParallelism: number) => number
  /** Rows of this input go to every subtask. */
  readonly broadcastInput?: 1
  /** Rows with equal answers must come in equal order in every run. Default: all rows of unkeyed operators are compared as a set. */
  readonly orderBy?: (row: RecordedRow) => unknown
}

export type RunMode =
  | 'at once'
  | 'row by row'
  | 'restored after every step'
  | 'rescaled after every step'
  | 'restored from increments of which some are lost'
  | 'output full every other call'

export const runModes: readonly RunMode[] = [
  'at once',
  'row by row',
  'restored after every step',
  'rescaled after every step',
  'restored from increments of which some are lost',
  'output full every other call',
]

const snapshotModes: ReadonlySet<RunMode> = new Set([
  'restored after every step',
  'rescaled after every step',
  'restored from increments of which some are lost',
])

const maxParallelism = 16
const parallelisms = [1, 2, 3, 5, 2]

/** Rows by group, in order within each. */
export async function runCase(testCase: OperatorCase, mode: RunMode, seed = 0): Promise<Map<string, RecordedRow[]>> {
  const clock = new SimulatedClock()
  const lastWatermarks = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const rows: RecordedRow[] = []
  let asked = 0
  let turn = 0
  let subtasks: StreamOperatorHarness[] = []

  const start = async (parallelism: number, snapshots: readonly OperatorSnapshot[] | undefined) => {
    const parts = snapshots === undefined ? undefined : redistribute(snapshots, parallelism, maxParallelism)
    subtasks = []
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const harness = new StreamOperatorHarness(testCase.create(), {
        clock,
        subtaskIndex,
        parallelism,
        maxParallelism,
        batch: testCase.batch ?? false,
        outputLayout: testCase.outputLayout,
        outputColumns: testCase.outputColumns,
        snapshotLimits: mode === 'restored from increments of which some are lost' ? smallStateLimits : undefined,
        shouldYield: mode === 'output full every other call' ? () => asked++ % 2 === 0 : () => false,
      })
      subtasks.push(await harness.open(parts?.[subtaskIndex]))
      // Watermarks are not part of a snapshot: after a restore the sources' own come again.
      for (const [input, timestamp] of lastWatermarks.entries()) if (timestamp > Number.NEGATIVE_INFINITY) harness.watermark(timestamp, input)
    }
  }
  const collect = () => {
    for (const subtask of subtasks) rows.push(...subtask.rows.splice(0))
  }
  const route = (value: unknown, input: number): StreamOperatorHarness => {
    const key = testCase.keys?.[input]
    const keyGroup = key === undefined ? testCase.keyGroup?.(value, maxParallelism) : keyGroupOf(key.type, key.select(value), maxParallelism)
    const index = keyGroup === undefined ? turn++ % subtasks.length : subtaskOfKeyGroup(keyGroup, maxParallelism, subtasks.length)
    return subtasks[index] as StreamOperatorHarness
  }
  const apply = (step: ScriptStep) => {
    switch (step.kind) {
      case 'row': {
        const input = step.input ?? 0
        const receivers = input === testCase.broadcastInput ? subtasks : [route(step.value, input)]
        for (const subtask of receivers) {
          if (testCase.inputColumns !== undefined) subtask.columns(step.value, testCase.inputColumns)
          else subtask.row(step.value, step.timestamp ?? Number.NaN, input)
        }
        return
      }
      case 'watermark':
        lastWatermarks[step.input ?? 0] = step.timestamp
        for (const subtask of subtasks) subtask.watermark(step.timestamp, step.input ?? 0)
        return
      case 'clock':
        for (const subtask of subtasks) subtask.advanceTo(step.timeMs)
    }
  }

  const parallelismOf = (step: number): number => {
    if (mode === 'restored after every step') return 1
    return mode === 'rescaled after every step' ? (parallelisms[(step + 1) % parallelisms.length] as number) : 1 + random.nextInt(3)
  }
  const random = seededRandom(seed)

  await start(1, undefined)
  for (const [i, step] of testCase.script.entries()) {
    apply(step)
    if (mode === 'row by row') for (const subtask of subtasks) subtask.fireTimers()
    if (snapshotModes.has(mode)) for (const subtask of subtasks) subtask.prepareSnapshot()
    collect()
    let snapshots: readonly OperatorSnapshot[] | undefined
    if (mode === 'restored after every step' || mode === 'rescaled after every step') snapshots = subtasks.map(subtask => subtask.snapshot())
    if (mode === 'restored from increments of which some are lost') {
      snapshots = takeIncrements(
        subtasks.map(({ increments }) => increments),
        random,
      )
    }
    if (snapshots === undefined) continue
    for (const subtask of subtasks) await subtask.close()
    await start(parallelismOf(i), snapshots)
    collect()
  }
  for (const subtask of subtasks) subtask.end(testCase.inputCount ?? 1)
  collect()
  for (const subtask of subtasks) await subtask.close()
  return grouped(testCase, testCase.merge?.(rows) ?? rows)
}

function grouped(testCase: OperatorCase, rows: readonly RecordedRow[]): Map<string, RecordedRow[]> {
  const groups = new Map<string, RecordedRow[]>()
  for (const row of rows) {
    const group = text(testCase.orderBy === undefined ? row : testCase.orderBy(row))
    const present = groups.get(group)
    if (present === undefined) groups.set(group, [row])
    else present.push(row)
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${part}n` : part === undefined ? 'undefined' : part))
}
