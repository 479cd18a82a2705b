import { expect, test } from 'vitest'
import { smallStateLimits, takeIncrements } from '../../../test/support/increments.ts'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import { ColumnsKeyHasher } from '../../network/columns-hash.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { subtaskOfKeyGroup } from '../../serde/key-groups.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import { aggregateFunction } from '../functions/aggregates.ts'
import { parseValueType, typeText, withNullable } from '../functions/value-type.ts'
import type { AggregateCall, WindowSpec } from '../plan/physical.ts'
import { RowWindowAggregateOperator } from './rows/row-window-aggregate-operator.ts'
import { WindowAggregateOperator } from './window-aggregate-operator.ts'

/**
 * Windows restored from chains of changes and bases, some of which were lost, fire what undisturbed ones fire: keys that are NULL, -0 or text, accumulators of
 * every kind, windows that are gone in the meantime.
 */
const maxParallelism = 16
const inputTypes = ['STRING', 'DOUBLE', 'INT', 'STRING', 'TIMESTAMP(3)']
const layouts = inputTypes.map(columnLayout)
const call = (name: string, argument: number, distinct = false): AggregateCall => ({
  name,
  argument,
  distinct,
  filter: -1,
  inputType: argument < 0 ? 'INT' : inputTypes[argument]!,
  type: name === 'COUNT' ? 'BIGINT NOT NULL' : inputTypes[argument]!,
})
const plain = [call('COUNT', -1), call('SUM', 2), call('MIN', 3), call('AVG', 2)]
const sets = [call('COUNT', 3, true), call('SUM', 2, true), call('MAX', 2)]
const windows: readonly WindowSpec[] = [
  { kind: 'TUMBLE', size: 10, offset: 0 },
  { kind: 'HOP', size: 15, slide: 5, offset: 0 },
  { kind: 'CUMULATE', size: 20, step: 5, offset: 0 },
]

type Step = { readonly row: readonly unknown[] } | { readonly watermark: number }

function steps(random: Random): Step[] {
  const pick = <T>(values: readonly T[]): T => values[random.nextInt(values.length)] as T
  let watermark = 0
  return Array.from({ length: 60 }, (): Step => {
    if (random.nextInt(4) === 0) {
      watermark += random.nextInt(7)
      return { watermark }
    }
    const time = watermark + random.nextInt(25) - 3
    return {
      row: [
        pick(['a', 'b', 'c', '', null]),
        pick([0, -0, 1.5, Number.NaN, null]),
        pick([null, random.nextInt(100)]),
        pick(['', 'x', 'é', null]),
        time,
      ],
    }
  })
}

async function run(
  aggregates: readonly AggregateCall[],
  window: WindowSpec,
  byRow: boolean,
  input: readonly Step[],
  random: Random | undefined,
): Promise<{ rows: string[]; late: number; restores: number }> {
  const node = { keys: [0, 1], aggregates, rowtime: 4, merges: false, windowColumns: ['window_start', 'window_end'] as const, window }
  const outputLayouts = [
    'STRING',
    'DOUBLE',
    ...aggregates.map(({ name, inputType }) => typeText(withNullable(aggregateFunction(name, parseValueType(inputType)).type, true))),
    'TIMESTAMP(3)',
    'TIMESTAMP(3)',
  ].map(columnLayout)
  const hasher = new ColumnsKeyHasher(layouts, [0, 1])
  const rows: string[] = []
  let subtasks: StreamOperatorHarness[] = []
  let late = 0
  let restores = 0
  const start = async (parallelism: number, snapshots: readonly OperatorSnapshot[] | undefined) => {
    const parts = snapshots === undefined ? undefined : redistribute(snapshots, parallelism, maxParallelism)
    for (const subtask of subtasks) late += subtask.counters.get('numLateRecordsDropped') ?? 0
    subtasks = []
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const operator = byRow ? new RowWindowAggregateOperator(node, inputTypes) : new WindowAggregateOperator(node, inputTypes, true)
      const harness = new StreamOperatorHarness(operator, { subtaskIndex, parallelism, maxParallelism, snapshotLimits: smallStateLimits })
      subtasks.push(await harness.open(parts?.[subtaskIndex]))
    }
  }
  await start(1, undefined)
  for (const step of [...input, { watermark: Number.POSITIVE_INFINITY }]) {
    if ('watermark' in step) for (const subtask of subtasks) subtask.watermark(step.watermark)
    else {
      const { operator } = subtasks[subtaskOfKeyGroup(hasher.keyGroupOfRow(step.row, maxParallelism), maxParallelism, subtasks.length)]!
      if (byRow) operator.processElement(step.row, Number.NaN)
      else operator.processFrame?.(frameOf([step.row], layouts))
    }
    for (const subtask of subtasks) {
      for (const frame of subtask.frames.splice(0)) rows.push(...rowsOf(frame, outputLayouts).map(show))
      for (const { value } of subtask.rows.splice(0)) rows.push(show(value))
    }
    if (random === undefined || ('watermark' in step && step.watermark === Number.POSITIVE_INFINITY)) continue
    const snapshots = takeIncrements(
      subtasks.map(({ increments }) => increments),
      random,
    )
    if (snapshots === undefined) continue
    restores++
    await start(1 + random.nextInt(4), snapshots)
  }
  await start(0, undefined)
  return { rows: rows.sort(), late, restores }
}

function show(row: unknown): string {
  return JSON.stringify(row, (_key, value) =>
    typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : Number.isNaN(value) ? 'NaN' : value,
  )
}

test.each([
  { what: 'slices', aggregates: plain, byRow: false },
  { what: 'slices with sets of values', aggregates: sets, byRow: false },
  { what: 'windows a row at a time', aggregates: plain, byRow: true },
])('restored from increments of which some are lost: $what', async ({ aggregates, byRow }) => {
  let restores = 0
  for (let seed = 0; seed < 60; seed++) {
    const random = seededRandom(seed)
    const window = windows[seed % windows.length]!
    const input = steps(random)
    const undisturbed = await run(aggregates, window, byRow, input, undefined)
    const restored = await run(aggregates, window, byRow, input, random)
    expect(undisturbed.rows.length).toBeGreaterThan(0)
    expect({ rows: restored.rows, late: restored.late }, `seed ${seed}`).toEqual({ rows: undisturbed.rows, late: undisturbed.late })
    restores += restored.restores
  }
  expect(restores).toBeGreaterThan(100)
})
