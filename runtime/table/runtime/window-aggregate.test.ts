import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runs } from '../../../test/support/runs.ts'
import { wholeSnapshot } from '../../../test/support/whole-snapshot.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { createLogger } from '../../common/log.ts'
import { seededRandom } from '../../common/random.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import { ColumnsKeyHasher } from '../../network/columns-hash.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { subtaskOfKeyGroup } from '../../serde/key-groups.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../../stream/operator.ts'
import { aggregateFunction } from '../functions/aggregates.ts'
import { parseValueType, typeText, withNullable } from '../functions/value-type.ts'
import type { AggregateCall, WindowSpec } from '../plan/physical.ts'
import { accumulatorTypes } from './accumulators.ts'
import { LocalWindowAggregateOperator } from './local-window-aggregate-operator.ts'
import { RowWindowAggregateOperator } from './rows/row-window-aggregate-operator.ts'
import { WindowAggregateOperator } from './window-aggregate-operator.ts'

/** A model over plain rows: every window of every row, no slices. */
type Row = readonly [key: string | null, value: number | null, time: number]

const inputTypes = ['STRING', 'INT', 'TIMESTAMP(3)']
const call = (name: string, argument: number, type: string): AggregateCall => ({
  name,
  argument,
  distinct: false,
  filter: -1,
  inputType: argument < 0 ? 'INT' : inputTypes[argument]!,
  type,
})
const aggregates = [call('COUNT', -1, 'BIGINT NOT NULL'), call('SUM', 1, 'INT'), call('MIN', 1, 'INT'), call('MAX', 1, 'INT'), call('AVG', 1, 'INT')]
const layouts = inputTypes.map(columnLayout)
const barrier = { checkpointId: 1, timestampMs: 0, type: 'checkpoint' } as const

function windowsOf(window: WindowSpec, time: number): [number, number][] {
  const found: [number, number][] = []
  if (window.kind === 'CUMULATE') {
    const start = Math.floor(time / window.size) * window.size
    for (let end = start + window.step; end <= start + window.size; end += window.step) if (time < end) found.push([start, end])
    return found
  }
  const slide = window.kind === 'TUMBLE' ? window.size : window.slide
  for (let start = Math.floor(time / slide) * slide; start > time - window.size; start -= slide) found.push([start, start + window.size])
  return found
}

function model(window: WindowSpec, rows: readonly Row[]): string[] {
  const groups = new Map<string, { key: string | null; start: number; end: number; values: (number | null)[] }>()
  for (const [key, value, time] of rows)
    for (const [start, end] of windowsOf(window, time)) {
      const id = JSON.stringify([key, start, end])
      const group = groups.get(id) ?? { key, start, end, values: [] }
      groups.set(id, group)
      group.values.push(value)
    }
  return [...groups.values()]
    .map(({ key, start, end, values }) => {
      const present = values.filter(value => value !== null)
      const sum = present.reduce((total, value) => (total + value) | 0, 0)
      const none = present.length === 0
      return show([
        key,
        BigInt(values.length),
        none ? null : sum,
        none ? null : Math.min(...present),
        none ? null : Math.max(...present),
        none ? null : Math.trunc(present.reduce((a, b) => a + b, 0) / present.length) | 0,
        start,
        end,
      ])
    })
    .sort()
}

const show = (row: readonly unknown[]) =>
  JSON.stringify(row.map(value => (typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? 0 : value)))

class Collector implements OperatorOutput {
  readonly frames: ColumnarFrame[] = []
  readonly watermarks: number[] = []
  readonly rows: unknown[] = []
  collect(row: unknown): void {
    this.rows.push(row)
  }
  sideOutput(): void {}
  collectFrame(frame: ColumnarFrame): boolean {
    this.frames.push(frame)
    return false
  }
  emitWatermark(timestamp: number): void {
    this.watermarks.push(timestamp)
  }
  emitStatus(): void {}
}

/** Each operator has hashes of its own, so that what the model says holds under any. */
const random = seededRandom(1)

function set(operator: StreamOperator, output: OperatorOutput, yields: () => boolean = () => false): { late: number } {
  const counter = { value: 0, inc: (count = 1) => void (counter.value += count) }
  const context: Partial<OperatorContext> = {
    jobName: 'job',
    operatorName: 'window',
    maxParallelism: 128,
    random,
    options: { autoWatermarkIntervalMs: 0, checkpointingEnabled: false, snapshotLimits: undefined },
    log: createLogger(() => {}),
    metrics: {
      recordsIn: () => {},
      recordsOut: () => {},
      counter: name => (name === 'numLateRecordsDropped' ? counter : { value: 0, inc: () => {} }),
      gauge: () => {},
    },
    shouldYield: yields,
  }
  operator.setup(context as OperatorContext, output)
  void operator.open()
  return {
    get late() {
      return counter.value
    },
  }
}

const resultLayouts = ['STRING', 'BIGINT', 'INT', 'INT', 'INT', 'INT', 'TIMESTAMP(3)', 'TIMESTAMP(3)'].map(columnLayout)
const results = (output: Collector) => output.frames.flatMap(frame => rowsOf(frame, resultLayouts)).map(show)

function globalNode(window: WindowSpec, merges: boolean, codegen = true) {
  const types = merges ? ['STRING', ...aggregates.flatMap(accumulatorTypes), 'TIMESTAMP(3)'] : inputTypes
  return new WindowAggregateOperator(
    { keys: [0], aggregates, rowtime: merges ? types.length - 1 : 2, merges, windowColumns: ['window_start', 'window_end'], window },
    types,
    codegen,
  )
}

const windows: fc.Arbitrary<WindowSpec> = fc.oneof(
  fc.constantFrom<WindowSpec>(
    { kind: 'TUMBLE', size: 10, offset: 0 },
    { kind: 'HOP', size: 10, slide: 2, offset: 0 },
    { kind: 'HOP', size: 10, slide: 4, offset: 0 },
    { kind: 'HOP', size: 6, slide: 10, offset: 0 },
    { kind: 'CUMULATE', size: 12, step: 3, offset: 0 },
  ),
)
const rows = fc.array(
  fc.tuple(
    fc.constantFrom('a', 'b', '', null),
    fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(2_000_000_000, null)),
    fc.integer({ min: -30, max: 60 }),
  ),
  { maxLength: 80 },
)

test('slices give what every window of every row gives, for any window, frames and firing order, with and without a local aggregation before', () => {
  fc.assert(
    fc.property(windows, rows, fc.integer({ min: 1, max: 17 }), fc.boolean(), (window, input, frameSize, local) => {
      const output = new Collector()
      const operator = globalNode(window, local)
      let call = 0
      set(operator, output, () => call++ % 2 === 0)
      const feed = local ? new LocalWindowAggregateOperator({ keys: [0], aggregates, rowtime: 2, window }, inputTypes, true) : undefined
      const between = new Collector()
      if (feed !== undefined) set(feed, between)
      for (let from = 0; from < input.length; from += frameSize) {
        const frame = frameOf(input.slice(from, from + frameSize), layouts)
        if (feed === undefined) operator.processFrame(frame)
        else feed.processFrame(frame)
      }
      feed?.processWatermark(Number.POSITIVE_INFINITY, 0)
      for (const frame of between.frames) operator.processFrame(frame)
      while (!operator.processWatermark(Number.POSITIVE_INFINITY, 0));
      expect(results(output).sort()).toEqual(model(window, input))
      expect(output.watermarks).toEqual([Number.POSITIVE_INFINITY])
    }),
    { numRuns: runs(300) },
  )
})

test('windows fire when the watermark passes their end, in order; a row counts for the windows that have not fired and is dropped when all have', () => {
  const output = new Collector()
  const operator = globalNode({ kind: 'HOP', size: 10, slide: 5, offset: 0 }, false)
  const state = set(operator, output)
  const ends = () => output.frames.splice(0).flatMap(frame => rowsOf(frame, resultLayouts).map(row => [row[7], row[1]]))
  operator.processFrame(frameOf([['a', 1, 7]], layouts))
  operator.processWatermark(8, 0)
  expect(ends()).toEqual([])
  operator.processWatermark(9, 0)
  expect(ends()).toEqual([[10, 1n]])
  // In [0, 10), which has fired, and in [5, 15), which has not.
  operator.processFrame(frameOf([['a', 1, 6]], layouts))
  expect(state.late).toBe(0)
  operator.processWatermark(14, 0)
  expect(ends()).toEqual([[15, 2n]])
  operator.processFrame(frameOf([['a', 1, 9]], layouts))
  expect(state.late).toBe(1)
  operator.processWatermark(Number.POSITIVE_INFINITY, 0)
  expect(ends()).toEqual([])
})

test('partial accumulators wait for the watermark that passes their slice, not for each; a barrier and the end of the input send them all', () => {
  const output = new Collector()
  const operator = new LocalWindowAggregateOperator(
    { keys: [0], aggregates, rowtime: 2, window: { kind: 'HOP', size: 10, slide: 5, offset: 0 } },
    inputTypes,
    true,
  )
  set(operator, output)
  const types = ['STRING', ...aggregates.flatMap(accumulatorTypes), 'TIMESTAMP(3)']
  const sent = () => output.frames.splice(0).flatMap(frame => rowsOf(frame, types.map(columnLayout)).map(row => [row[0], row[1], row.at(-1)]))
  const feed = (...rows: Row[]) => operator.processFrame(frameOf(rows, layouts))
  feed(['a', 1, 1], ['a', 2, 7], ['b', 3, 2])
  operator.processWatermark(3, 0)
  expect(sent()).toEqual([])
  feed(['a', 4, 3])
  operator.processWatermark(4, 0)
  expect(sent()).toEqual([
    ['a', 2n, 5],
    ['b', 1n, 5],
  ])
  // Behind the watermark: the global aggregate decides whether it is late, before the next watermark.
  feed(['a', 5, 4])
  operator.processWatermark(5, 0)
  expect(sent()).toEqual([['a', 1n, 5]])
  expect(operator.prepareSnapshotPreBarrier()).toBe(true)
  expect(sent()).toEqual([['a', 1n, 10]])
  feed(['c', 1, 8], ['c', null, 100])
  expect(operator.endInput()).toBe(true)
  expect(sent()).toEqual([
    ['c', 1n, 10],
    ['c', 1n, 105],
  ])
  expect(output.watermarks).toEqual([3, 4, 5])
})

test('a local aggregation that holds too many keys sends some with each frame, and loses none', () => {
  const output = new Collector()
  const operator = new LocalWindowAggregateOperator(
    { keys: [0], aggregates: aggregates.slice(0, 1), rowtime: 2, window: { kind: 'TUMBLE', size: 10, offset: 0 } },
    inputTypes,
    true,
  )
  set(operator, output)
  const frameCount = 80
  for (let i = 0; i < frameCount; i++) {
    const before = output.frames.length
    operator.processFrame(
      frameOf(
        Array.from({ length: 2048 }, (_, row) => [`key ${i * 2048 + row}`, 1, row % 20]),
        layouts,
      ),
    )
    expect(output.frames.length - before).toBeLessThanOrEqual(2)
  }
  const held = frameCount * 2048 - output.frames.reduce((sum, frame) => sum + frame.length, 0)
  expect(held).toBeLessThan(140_000)
  expect(operator.endInput()).toBe(true)
  const keys = output.frames.flatMap(frame => rowsOf(frame, ['STRING', 'BIGINT', 'TIMESTAMP(3)'].map(columnLayout)).map(row => row[0]))
  expect(new Set(keys).size).toBe(frameCount * 2048)
  expect(keys.length).toBe(frameCount * 2048)
})

test('restored from a snapshot it fires what it would have fired', () => {
  fc.assert(
    fc.property(windows, rows, (window, input) => {
      const half = input.length >> 1
      const first = globalNode(window, false)
      set(first, new Collector())
      if (half > 0) first.processFrame(frameOf(input.slice(0, half), layouts))
      const output = new Collector()
      const second = globalNode(window, false)
      set(second, output)
      second.restore(wholeSnapshot(first.snapshot(barrier)))
      if (half < input.length) second.processFrame(frameOf(input.slice(half), layouts))
      second.processWatermark(Number.POSITIVE_INFINITY, 0)
      expect(results(output).sort()).toEqual(model(window, input))
    }),
  )
})

/** Calls of every kind of accumulator: numbers, texts, decimals of both widths, sets of values. */
const richTypes = ['STRING', 'INT', 'DECIMAL(38, 2)', 'STRING', 'DECIMAL(9, 1)', 'TIMESTAMP(3)']
const richCall = (name: string, argument: number, distinct = false): AggregateCall => ({
  name,
  argument,
  distinct,
  filter: -1,
  inputType: richTypes[argument]!,
  type: '',
})
const plainCalls = [richCall('AVG', 1), richCall('SUM', 2), richCall('AVG', 2), richCall('MIN', 3), richCall('MAX', 4), richCall('COUNT', 3)]
const distinctCalls = [richCall('COUNT', 3, true), richCall('SUM', 4, true), richCall('MAX', 2)]
const richLayouts = richTypes.map(columnLayout)

const richRows = fc.array(
  fc.tuple(
    fc.constantFrom('a', 'b', 'c', 'd', '', null),
    fc.option(fc.integer({ min: -5, max: 5 })),
    fc.option(fc.constantFrom('900000000000000000000000000000000000.00', '0.05', '-1.25')),
    fc.option(fc.constantFrom('', 'x', 'xy', '\uffff', '😀')),
    fc.option(fc.constantFrom('1.5', '-2.5', '0.0')),
    fc.integer({ min: -30, max: 60 }),
  ),
  { maxLength: 14 },
)

test('snapshotted behind every row and restored at another parallelism it fires what it would have fired, interpreted and generated', () => {
  const property = fc.property(
    windows,
    richRows,
    fc.boolean(),
    fc.boolean(),
    fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 15, maxLength: 15 }),
    (window, input, codegen, withSets, parallelisms) => {
      const calls = withSets ? distinctCalls : plainCalls
      const windowColumns = ['window_start', 'window_end'] as const
      const make = (output: Collector) => {
        const operator = new WindowAggregateOperator(
          { keys: [0], aggregates: calls, rowtime: 5, merges: false, windowColumns, window },
          richTypes,
          codegen,
        )
        set(operator, output)
        return operator
      }
      const outputLayouts = [
        'STRING',
        ...calls.map(one => typeText(withNullable(aggregateFunction(one.name, parseValueType(one.inputType)).type, true))),
        'TIMESTAMP(3)',
        'TIMESTAMP(3)',
      ].map(columnLayout)
      const rowsIn = (output: Collector) => output.frames.flatMap(frame => rowsOf(frame, outputLayouts)).map(show)

      const undisturbed = new Collector()
      const whole = make(undisturbed)
      for (const row of input) whole.processFrame(frameOf([row], richLayouts))
      whole.processWatermark(Number.POSITIVE_INFINITY, 0)

      const output = new Collector()
      const hasher = new ColumnsKeyHasher(richLayouts, [0])
      let subtasks = [make(output)]
      for (const [i, row] of input.entries()) {
        const parallelism = parallelisms[i]!
        const snapshots = redistribute(
          subtasks.map(subtask => wholeSnapshot(subtask.snapshot(barrier))),
          parallelism,
          128,
        )
        subtasks = snapshots.map(snapshot => {
          const subtask = make(output)
          subtask.restore(snapshot)
          return subtask
        })
        const target = subtaskOfKeyGroup(hasher.keyGroupOfRow(row, 128), 128, parallelism)
        subtasks[target]!.processFrame(frameOf([row], richLayouts))
      }
      for (const subtask of subtasks) subtask.processWatermark(Number.POSITIVE_INFINITY, 0)
      expect(rowsIn(output).sort()).toEqual(rowsIn(undisturbed).sort())
      expect(rowsIn(undisturbed).length > 0 || input.length === 0 || window.kind === 'HOP').toBe(true)
    },
  )
  fc.assert(property, { numRuns: runs(250) })
})

/** A row, or as far as the watermark goes on. */
const steps = fc.array(fc.oneof({ weight: 3, arbitrary: rows.map(([row]) => row ?? (['a', 1, 0] as Row)) }, { weight: 1, arbitrary: fc.nat(12) }), {
  maxLength: 40,
})

test('restored between any two steps and at any parallelism, no window fires twice and what was late is late', () => {
  fc.assert(
    fc.property(
      windows,
      steps,
      fc.boolean(),
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 41, maxLength: 41 }),
      (window, all, byRow, restarts) => {
        const node = { keys: [0], aggregates, rowtime: 2, merges: false, windowColumns: ['window_start', 'window_end'] as const, window }
        const run = (parallelismBefore: (step: number) => number) => {
          const output = new Collector()
          const make = () => {
            const operator = byRow ? new RowWindowAggregateOperator(node, inputTypes) : new WindowAggregateOperator(node, inputTypes, true)
            return { operator, state: set(operator, output) }
          }
          const hasher = new ColumnsKeyHasher(layouts, [0])
          let subtasks = [make()]
          let late = 0
          let watermark = -20
          for (const [i, step] of [...all, Number.POSITIVE_INFINITY].entries()) {
            const parallelism = parallelismBefore(i)
            if (parallelism > 0) {
              late += subtasks.reduce((sum, { state }) => sum + state.late, 0)
              const snapshots = redistribute(
                subtasks.map(({ operator }) => wholeSnapshot(operator.snapshot(barrier))),
                parallelism,
                128,
              )
              subtasks = snapshots.map(snapshot => {
                const subtask = make()
                subtask.operator.restore(snapshot)
                return subtask
              })
            }
            if (typeof step === 'number') {
              watermark += step
              for (const { operator } of subtasks) operator.processWatermark(watermark, 0)
              continue
            }
            const { operator } = subtasks[subtaskOfKeyGroup(hasher.keyGroupOfRow(step, 128), 128, subtasks.length)]!
            if (operator instanceof RowWindowAggregateOperator) operator.processElement(step)
            else operator.processFrame(frameOf([step], layouts))
          }
          late += subtasks.reduce((sum, { state }) => sum + state.late, 0)
          return { rows: [...output.rows.map(row => show(row as unknown[])), ...results(output)].sort(), late }
        }
        expect(run(step => restarts[step]!)).toEqual(run(() => 0))
      },
    ),
    { numRuns: runs(300) },
  )
})
