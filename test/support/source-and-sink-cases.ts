import { expect } from 'vitest'
import { redistribute } from '../../runtime/checkpoint/redistribute.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import { Types } from '../../runtime/serde/types.ts'
import { ListStateDescriptor } from '../../runtime/state/descriptors.ts'
import { emptySnapshot, type OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import type { ListState } from '../../runtime/state/state.ts'
import type { SinkFunction, SourceFunction } from '../../runtime/stream/functions.ts'
import type { StreamOperator } from '../../runtime/stream/operator.ts'
import { FileSinkOperator } from '../../runtime/stream/operators/file-sink-operator.ts'
import { FunctionSourceOperator } from '../../runtime/stream/operators/function-source-operator.ts'
import { SinkFunctionOperator } from '../../runtime/stream/operators/sink-function-operator.ts'
import { SourceOperator } from '../../runtime/stream/operators/source-operator.ts'
import { TransportSinkOperator } from '../../runtime/stream/operators/transport-sink-operator.ts'
import type { SourceOutput, SourceReader, SourceSplit } from '../../runtime/stream/spi/source.ts'
import { ConnectorHarness, type ConnectorHarnessOptions } from './connector-harness.ts'
import { MemoryFiles } from './memory-recoverable-writer.ts'
import { wholeSnapshot } from './whole-snapshot.ts'

/**
 * Heads and tails of chains for the operators' registry: each operator meets a checkpoint and a restore after every single row, at
 * the same and at other parallelisms. Rows of a source come once each, in order within their split; rows of a sink arrive once each.
 */
export interface SourceOrSinkCase {
  readonly covers: string
  readonly title: string
  /** What a checkpoint holds of the operator, or why it holds nothing. */
  readonly state: string
  /** Answers the rows; the same whatever the parallelisms. */
  run(parallelisms: readonly number[]): Promise<readonly string[]>
}

/** One entry = the parallelism after each row, taken in turn. */
export const parallelismPlans: Readonly<Record<string, readonly number[]>> = {
  'restored after every row': [1],
  'restored after every row in three subtasks': [3],
  'rescaled after every row': [1, 2, 3, 5, 2],
}

const maxParallelism = 16

export const sourceAndSinkCases: readonly SourceOrSinkCase[] = [
  {
    covers: 'SourceOperator',
    title: 'source of splits',
    state: 'the splits with their positions, one item each, in a list that is split anew',
    run: runSource,
  },
  {
    covers: 'FunctionSourceOperator',
    title: 'own source function',
    state: 'none: run() is a call that cannot be taken up in its middle; after a restore it begins anew, as without CheckpointedFunction in Flink',
    run: runFunctionSource,
  },
  {
    covers: 'FunctionSourceOperator',
    title: 'own source function with operator state',
    state: 'the function’s: numbers that it has not collected, one item each, in a list that is split anew',
    run: runCheckpointedSource,
  },
  {
    covers: 'SinkFunctionOperator',
    title: 'own sink function',
    state: 'none: the barrier waits until every call has settled',
    run: parallelisms => {
      const arrived: string[] = []
      const fn: SinkFunction<unknown> = {
        async invoke(value) {
          await new Promise(resolve => setImmediate(resolve))
          arrived.push(String(value))
        },
      }
      return runSink(
        parallelisms,
        () => new SinkFunctionOperator(fn as SinkFunction<never>, { inFlightMax: 2 }),
        () => arrived,
      )
    },
  },
  {
    covers: 'TransportSinkOperator',
    title: 'sink with its other half in the I/O worker',
    state: 'none: the batch that has begun is handed over before the barrier',
    run: parallelisms => {
      const create = () =>
        new TransportSinkOperator({ type: 'print', options: {}, encode: (value, _context, writer) => writer.raw(Buffer.from(`${String(value)}\n`)) })
      return runSink(parallelisms, create, harnesses => harnesses.flatMap(({ stdout }) => stdout.split('\n').filter(line => line !== '')))
    },
  },
  {
    covers: 'FileSinkOperator',
    title: 'transactional file sink',
    state: 'committables and open parts, one item each, in lists that are split anew; the checkpoint, known to all',
    run: parallelisms =>
      runFileSink(
        parallelisms,
        () =>
          new FileSinkOperator({
            options: { path: '/out', prefix: 'part', suffix: '' },
            rollingPolicy: { rollOnCheckpoint: false, partSizeBytes: 10, rolloverIntervalMs: Number.MAX_SAFE_INTEGER, inactivityIntervalMs: 1 },
            bucketCheckIntervalMs: 60_000,
            bucketOf: value => `bucket-${String(value).length}`,
            encode: (value, _context, writer) => writer.raw(Buffer.from(`${String(value)}\n`)),
          }),
      ),
  },
]

/** Every checkpoint completes; of every second one nobody hears, as when the task has failed right then. */
export async function runFileSink(
  parallelisms: readonly number[],
  create: () => FileSinkOperator,
  give: (operator: StreamOperator, row: number) => void = giveText,
): Promise<readonly string[]> {
  const files = new MemoryFiles()
  const sinks = { 'file-sink': fileSinkTransport(seededRandom(1), (_path, owner) => files.writer(owner)) }
  let snapshots: readonly OperatorSnapshot[] | undefined
  const rows = 9
  for (let row = 0; row <= rows; row++) {
    const checkpointId = row + 1
    const subtasks = await startAll(parallelisms[row % parallelisms.length] ?? 1, snapshots, create, {
      checkpointingEnabled: true,
      registry: { fetchers: {}, sinks },
    })
    const taker = subtasks[row % subtasks.length]
    if (row < rows && taker !== undefined) give(taker.operator, row)
    else for (const subtask of subtasks) await subtask.until(() => subtask.operator.endInput(0))
    for (const subtask of subtasks) await subtask.until(() => subtask.operator.prepareSnapshotPreBarrier?.() ?? true)
    snapshots = subtasks.map(({ operator }) => wholeSnapshot(operator.snapshot({ checkpointId, timestampMs: 0, type: 'checkpoint' })))
    if (row % 2 === 1) for (const { operator } of subtasks) operator.notifyCheckpointComplete?.(checkpointId)
    for (const subtask of subtasks) {
      if (row % 2 === 1) await subtask.until(() => subtask.operator.commitsDone?.() ?? true)
      await subtask.close()
    }
  }
  expect(files.hidden()).toEqual([])
  return Object.values(files.visible())
    .flatMap(text => text.split('\n').slice(0, -1))
    .sort()
}

/** Split 'c' has no row: a subtask may hold nothing but done work. */
const splits: readonly SourceSplit[] = Object.entries({ a: 5, b: 1, c: 0, d: 3, e: 4 }).map(([splitId, end]) => ({ splitId, next: 0, end }))

/** Emits `split next` from `next` to `end`; of several splits in turn. */
class CountingReader implements SourceReader {
  private splits: SourceSplit[] = []
  private ended = false

  addSplits(added: readonly SourceSplit[]): void {
    this.splits.push(...added)
  }

  noMoreSplits(): void {
    this.ended = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    for (let split = this.splits.shift(); split !== undefined; split = this.splits.shift()) {
      const next = split['next'] as number
      if (next === split['end']) continue
      if (output.shouldYield()) {
        this.splits.unshift(split)
        return 'more'
      }
      this.splits.push({ ...split, next: next + 1 })
      output.collect(`${split.splitId} ${next}`, Number.NaN)
    }
    return this.ended ? 'end' : 'nothing'
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits
  }

  describePosition(): string {
    return ''
  }

  close(): void {}
}

async function runSource(parallelisms: readonly number[]): Promise<readonly string[]> {
  const rows: string[] = []
  let snapshots: readonly OperatorSnapshot[] | undefined
  for (let step = 0; ; step++) {
    const subtasks = await startAll(
      parallelisms[step % parallelisms.length] ?? 1,
      snapshots,
      () => new SourceOperator({ createReader: () => new CountingReader() }),
    )
    if (snapshots === undefined) subtasks[0]?.source.addSplits(splits)
    // Another subtask each time gives the row, as long as any has one.
    const turns = subtasks.map((_, i) => subtasks[(step + i) % subtasks.length] as ConnectorHarness)
    const giver = turns.find(subtask => {
      subtask.source.noMoreSplits()
      subtask.rowsPerPoll = 1
      subtask.poll()
      return subtask.rows.length > 0
    })
    rows.push(...(giver?.values() ?? []).map(String))
    snapshots = subtasks.map(subtask => subtask.snapshot())
    for (const subtask of subtasks) await subtask.close()
    // Stable: within a split the rows stay in the order in which they came.
    if (giver === undefined) return rows.sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0))
  }
}

/** The rows of a run that is suspended after each row; whoever is restored in its middle gives all of them again. */
async function runFunctionSource(parallelisms: readonly number[]): Promise<readonly string[]> {
  const create = () => {
    const fn: SourceFunction<number> = {
      async run(context) {
        for (let i = 0; i < 5; i++) await context.collect(i)
      },
      cancel() {},
    }
    return new FunctionSourceOperator(fn as SourceFunction<never>, { bufferHighMark: 1 })
  }
  const suspended = async (harness: ConnectorHarness) => {
    harness.rowsPerPoll = 1
    await harness.run()
    return harness.values().map(String)
  }
  let snapshot: OperatorSnapshot = emptySnapshot
  for (let taken = 0; taken < 5; taken++) {
    const [harness] = await startAll(1, [snapshot], create)
    if (harness === undefined) break
    harness.rowsPerPoll = 1
    if (taken > 0) await harness.run(() => harness.rows.length >= taken)
    // Nobody asks what has gone out in front of the barrier: without state it all comes again.
    harness.operator.prepareSnapshotPreBarrier?.()
    snapshot = harness.snapshot()
    expect(snapshot).toEqual(emptySnapshot)
    await harness.close()
  }
  const parts = redistribute([snapshot], parallelisms.at(-1) ?? 1, maxParallelism)
  const harness = new ConnectorHarness(create())
  if (parts[0] !== undefined) harness.operator.restore?.(parts[0])
  const rows = await suspended(await harness.open())
  await harness.close()
  return rows
}

/** Collects the numbers that its state gives it; before any restore the first subtask has them all. */
function countingSource(): SourceFunction<number> {
  let rest: number[] = []
  let state: ListState<number>
  return {
    initializeState(context) {
      state = context.getOperatorStateStore().getListState(new ListStateDescriptor('rest', Types.INT))
      rest = [...state.get()]
      if (!context.isRestored()) rest = [0, 1, 2, 3, 4]
    },
    open(context) {
      if (context.getIndexOfThisSubtask() > 0 && rest.length === 5) rest = []
    },
    async run(context) {
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) await context.collect(next)
    },
    cancel() {},
    snapshotState: () => state.update(rest),
  }
}

/** Before each barrier every subtask begins to run; what it has collected by then goes out in front of it. */
async function runCheckpointedSource(parallelisms: readonly number[]): Promise<readonly string[]> {
  const rows: string[] = []
  let snapshots: readonly OperatorSnapshot[] | undefined
  for (let step = 0; rows.length < 5; step++) {
    const subtasks = await startAll(
      parallelisms[step % parallelisms.length] ?? 1,
      snapshots,
      () => new FunctionSourceOperator(countingSource() as SourceFunction<never>, { bufferHighMark: 1 }),
    )
    for (const subtask of subtasks) {
      subtask.rowsPerPoll = 0
      subtask.poll()
      await subtask.until(() => subtask.operator.prepareSnapshotPreBarrier?.() ?? true)
    }
    snapshots = subtasks.map(subtask => subtask.snapshot())
    for (const subtask of subtasks) {
      rows.push(...subtask.values().map(String))
      await subtask.close()
    }
  }
  return rows.sort()
}

const giveText = (operator: StreamOperator, row: number) => operator.processElement(`row ${row}`, Number.NaN)

export async function runSink(
  parallelisms: readonly number[],
  create: () => StreamOperator,
  arrived: (harnesses: readonly ConnectorHarness[]) => readonly string[],
  { give = giveText, ...options }: ConnectorHarnessOptions & { readonly give?: (operator: StreamOperator, row: number) => void } = {},
): Promise<readonly string[]> {
  const all: ConnectorHarness[] = []
  let snapshots: readonly OperatorSnapshot[] | undefined
  for (let row = 0; row < 9; row++) {
    const subtasks = await startAll(parallelisms[row % parallelisms.length] ?? 1, snapshots, create, options)
    all.push(...subtasks)
    const taker = subtasks[row % subtasks.length]
    if (taker !== undefined) give(taker.operator, row)
    for (const subtask of subtasks) await subtask.until(() => subtask.operator.prepareSnapshotPreBarrier?.() ?? true)
    snapshots = subtasks.map(subtask => subtask.snapshot())
    expect(snapshots).toEqual(subtasks.map(() => emptySnapshot))
    // A task that ends here, as by a failure after the barrier, has nothing left to give.
    for (const subtask of subtasks) await subtask.close()
  }
  return [...arrived(all)].sort()
}

export async function startAll(
  parallelism: number,
  snapshots: readonly OperatorSnapshot[] | undefined,
  create: () => StreamOperator,
  options: ConnectorHarnessOptions = {},
): Promise<ConnectorHarness[]> {
  const parts = snapshots === undefined ? undefined : redistribute(snapshots, parallelism, maxParallelism)
  const subtasks: ConnectorHarness[] = []
  for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
    const harness = new ConnectorHarness(create(), { ...options, subtaskIndex, parallelism })
    const part = parts?.[subtaskIndex]
    if (part !== undefined) harness.operator.restore?.(part)
    subtasks.push(await harness.open([], true))
  }
  return subtasks
}
