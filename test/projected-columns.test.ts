import { expect, test } from 'vitest'
import type { DataStream, StreamExecutionEnvironment } from '../runtime/api/index.ts'
import { Types } from '../runtime/serde/types.ts'
import { type InProcessJobOptions, runInProcess } from './support/in-process-job.ts'

/** Columns that no function behind an exchange reads do not travel (runtime/graph/projection.ts), and nobody can tell by the rows. */
type Order = [id: string, shop: string, amount: number, note: string, open: boolean]
const order = Types.tuple(Types.STRING, Types.STRING, Types.INT, Types.STRING, Types.BOOLEAN)
const ROWS = 500
const orderOf = (n: number): Order => [`order ${n}`, `shop ${n % 7} é`, n, n % 3 === 0 ? (null as never) : 'a long note '.repeat(10), n % 2 === 0]
const all = Array.from({ length: ROWS }, (_, n) => orderOf(n))

const orders = (env: StreamExecutionEnvironment): DataStream<Order> =>
  env
    .fromSequence(0, ROWS - 1)
    .map(orderOf)
    .returns(order)
    .name('orders')

async function run(program: (env: StreamExecutionEnvironment) => unknown, options: InProcessJobOptions = {}) {
  const { error, stdout, metrics } = await runInProcess(program, { parallelism: 2, channelCapacity: 2, ...options })
  expect(error).toBeUndefined()
  const lines = stdout.trimEnd().split('\n')
  const values = metrics.flatMap(({ operators }) => Object.values(operators))
  const counted = (name: string) => values.reduce((sum, each) => sum + (each[name] ?? 0), 0)
  return {
    rows: lines.map(line => line.replace(/^\d+> /, '')).sort(),
    valuesNotSent: counted('valuesNotSent'),
    rowsColumnar: counted('rowsColumnar'),
    bytes: metrics.reduce((sum, { task }) => sum + task['numBytesOut']!, 0),
  }
}

interface Case {
  readonly title: string
  readonly program: (env: StreamExecutionEnvironment) => unknown
  readonly model: () => readonly unknown[]
  /** Per row that is sent: columns that are not. */
  readonly notSent: number
}

const cases: readonly Case[] = [
  {
    title: 'a map behind a key that it does not read',
    program: env =>
      orders(env)
        .keyBy(1)
        .map(row => row[2])
        .print(),
    model: () => all.map(row => row[2]),
    notSent: 4 * ROWS,
  },
  {
    title: 'a pattern',
    program: env =>
      orders(env)
        .keyBy(0)
        .map(([id, , amount]) => `${id} ${amount}`)
        .print(),
    model: () => all.map(row => `${row[0]} ${row[2]}`),
    notSent: 3 * ROWS,
  },
  {
    title: 'a function that looks at nothing',
    program: env =>
      orders(env)
        .rebalance()
        .map(() => 'row')
        .print(),
    model: () => all.map(() => 'row'),
    notSent: 5 * ROWS,
  },
  {
    title: 'nulls of a column that is read, and of one that is not',
    program: env => {
      orders(env)
        .rebalance()
        .map(row => row[3] === null)
        .print()
      orders(env)
        .rebalance()
        .map(row => row[4])
        .print()
    },
    model: () => all.flatMap(row => [row[3] === null, row[4]]),
    notSent: 8 * ROWS,
  },
  {
    title: 'a filter, its map and a sink',
    program: env =>
      orders(env)
        .broadcast()
        .filter(row => row[4])
        .flatMap(row => [row[2], -row[2]])
        .print(),
    // To both subtasks.
    model: () => all.filter(row => row[4]).flatMap(row => [row[2], -row[2], row[2], -row[2]]),
    notSent: 3 * ROWS,
  },
  {
    title: 'a filter that passes rows to another exchange by a key that its consumer does not read',
    program: env =>
      orders(env)
        .rebalance()
        .filter(row => row[2] > 99)
        .keyBy(1)
        .map(row => row[0])
        .print(),
    model: () => all.filter(row => row[2] > 99).map(row => row[0]),
    notSent: 2 * ROWS + 4 * (ROWS - 100),
  },
  {
    title: 'two consumers of an output, and a sink in its chain',
    program: env => {
      const rows = orders(env)
      rows
        .keyBy(1)
        .map(row => row[0])
        .print()
      rows
        .shuffle()
        .map(row => row[3]?.length ?? 0)
        .print()
      rows
        .filter(row => row[4])
        .map(row => row[2])
        .print()
    },
    model: () => [...all.map(row => row[0]), ...all.map(row => row[3]?.length ?? 0), ...all.filter(row => row[4]).map(row => row[2])],
    notSent: 8 * ROWS,
  },
  {
    title: 'a key made by a function, which reads one field of most rows',
    program: env =>
      orders(env)
        .keyBy(row => row[3] ?? row[1])
        .map(row => row[2])
        .print(),
    model: () => all.map(row => row[2]),
    notSent: 4 * ROWS,
  },
]

test('columns that nobody reads are not sent, and rows are what they are with all of them, interpreted, and in a model', async () => {
  for (const { title, program, model, notSent } of cases) {
    const expected = model().map(String).sort()
    const projected = await run(program)
    expect(projected.rows, title).toEqual(expected)
    expect(projected.valuesNotSent, title).toBe(notSent)
    const whole = await run(program, { projected: false })
    expect(whole.rows, title).toEqual(expected)
    expect(whole.valuesNotSent, title).toBe(0)
    // The same ways, with fewer bytes.
    expect(projected.rowsColumnar, title).toBe(whole.rowsColumnar)
    expect(projected.rowsColumnar, title).toBeGreaterThanOrEqual(ROWS)
    expect(projected.bytes, title).toBeLessThan(whole.bytes)
    const interpreted = await run(program, { generated: false })
    expect(interpreted.rows, title).toEqual(expected)
    const suspended = await run(program, { channelCapacity: 1, suspendEverywhere: true })
    expect(suspended.rows, title).toEqual(expected)
    expect(suspended.valuesNotSent, title).toBe(notSent)
  }
})

test.each([true, false])('rows with names, of an operator that makes columns for whoever reads them: generated %s', async generated => {
  const type = Types.row({ id: Types.INT, 'a "name"': Types.STRING, much: Types.DOUBLE })
  const seen: unknown[] = []
  const program = (env: StreamExecutionEnvironment) =>
    env
      .fromSequence(0, 2)
      .map(n => ({ id: n, 'a "name"': 'x', much: n / 2 }))
      .returns(type)
      .keyBy('id')
      .sum('much')
      .rebalance()
      .addSink(row => void seen.push(row.id, row['a "name"']))
  const result = await run(program, { parallelism: 1, generated })
  expect(seen).toEqual([0, 'x', 1, 'x', 2, 'x'])
  expect(result.valuesNotSent).toBe(3)
})

test('a value that is false to its declared type is refused only where somebody reads it', async () => {
  const program = (read: (row: Order) => unknown) => (env: StreamExecutionEnvironment) =>
    env
      .fromSequence(0, 1)
      .map<Order>(() => ['', '', 'no number' as never, '', true])
      .name('liar')
      .returns(order)
      .rebalance()
      .map(read)
      .print()
  const refused = await runInProcess(
    program(row => row[2]),
    { parallelism: 1 },
  )
  expect(refused.error?.message).toContain('output of operator liar: value[2] cannot be written as INT: it is a string')
  const unread = await run(
    program(row => row[4]),
    { parallelism: 1 },
  )
  expect(unread.rows).toEqual(['true', 'true'])
})
