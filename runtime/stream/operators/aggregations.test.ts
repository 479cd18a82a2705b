import { describe, expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import type { TypeInformation } from '../../serde/type-information.ts'
import { Types } from '../../serde/types.ts'
import type { ReduceFunction } from '../functions.ts'
import { type AggregationKind, aggregationFunction } from './aggregations.ts'
import { ReduceOperator } from './reduce-operator.ts'

const sensor = Types.tuple(Types.STRING, Types.INT, Types.DOUBLE)
const byId = { select: (value: unknown) => (value as unknown[])[0], type: Types.STRING }
// XE4: what Flink answers for these four readings.
const readings = [
  ['s1', 1, 35.8],
  ['s1', 2, 32.0],
  ['s1', 3, 36.2],
  ['s1', 4, 32.0],
]

async function rolling(fn: ReduceFunction<unknown>, rows: readonly unknown[] = readings, type: TypeInformation = sensor): Promise<unknown[]> {
  const harness = await new StreamOperatorHarness(new ReduceOperator(byId, fn, type, { finalOnly: false })).open()
  for (const row of rows) harness.row(row)
  return harness.values()
}

describe('rolling aggregations of the readings', () => {
  test.each<[AggregationKind, unknown[]]>([
    [
      'min',
      [
        ['s1', 1, 35.8],
        ['s1', 1, 32.0],
        ['s1', 1, 32.0],
        ['s1', 1, 32.0],
      ],
    ],
    [
      'max',
      [
        ['s1', 1, 35.8],
        ['s1', 1, 35.8],
        ['s1', 1, 36.2],
        ['s1', 1, 36.2],
      ],
    ],
    [
      'minBy',
      [
        ['s1', 1, 35.8],
        ['s1', 2, 32.0],
        ['s1', 2, 32.0],
        ['s1', 2, 32.0],
      ],
    ],
    [
      'maxBy',
      [
        ['s1', 1, 35.8],
        ['s1', 1, 35.8],
        ['s1', 3, 36.2],
        ['s1', 3, 36.2],
      ],
    ],
  ])('%s', async (kind, expected) => {
    expect(await rolling(aggregationFunction(kind, 2, sensor))).toEqual(expected)
  })

  test('reduce with the id, the newest timestamp and the lowest value', async () => {
    const lowest = { reduce: (a: unknown[], b: unknown[]) => [a[0], b[1], Math.min(a[2] as number, b[2] as number)] }
    expect(await rolling(lowest as ReduceFunction<unknown>)).toEqual([
      ['s1', 1, 35.8],
      ['s1', 2, 32.0],
      ['s1', 3, 32.0],
      ['s1', 4, 32.0],
    ])
  })
})

describe('sum follows the declared type', () => {
  test.each<[string, TypeInformation, unknown, unknown, unknown]>([
    ['INT wraps', Types.INT, 2 ** 31 - 1, 1, -(2 ** 31)],
    ['BYTE wraps', Types.BYTE, 127, 1, -128],
    ['SHORT wraps', Types.SHORT, 32767, 1, -32768],
    ['LONG wraps', Types.LONG, 2n ** 63n - 1n, 1n, -(2n ** 63n)],
    ['FLOAT rounds', Types.FLOAT, Math.fround(0.1), Math.fround(0.2), Math.fround(Math.fround(0.1) + Math.fround(0.2))],
    ['DOUBLE', Types.DOUBLE, 0.1, 0.2, 0.1 + 0.2],
    ['GENERIC numbers', Types.GENERIC, 1.5, 2, 3.5],
    ['GENERIC bigints', Types.GENERIC, 1n, 2n, 3n],
  ])('%s', (_, type, a, b, expected) => {
    expect(aggregationFunction('sum', 'n', type.json.kind === 'GENERIC' ? type : Types.row({ n: type })).reduce({ n: a }, { n: b })).toEqual({
      n: expected,
    })
    expect(aggregationFunction('sum', undefined, type).reduce(a, b)).toEqual(expected)
  })

  test('SAFE_LONG refuses to leave the safe range', () => {
    expect(() => aggregationFunction('sum', undefined, Types.SAFE_LONG).reduce(Number.MAX_SAFE_INTEGER, 1)).toThrow('left the safe range')
  })
})

test('an aggregate never changes a row that it was given, and keeps its class', () => {
  class Reading {
    shop = 'a'
    n = 1
  }
  const first = new Reading()
  const sum = aggregationFunction('sum', 'n', Types.GENERIC).reduce(first, new Reading())
  expect([first.n, sum instanceof Reading, (sum as Reading).n]).toEqual([1, true, 2])
})

test.each<[AggregationKind, string | number | undefined, TypeInformation, string]>([
  ['sum', 0, sensor, 'STRING is not a numeric type'],
  ['sum', 7, sensor, 'has no field 7; its positions are 0 to 2'],
  ['min', 'prize', Types.row({ price: Types.INT }), 'has no field prize; its fields are price'],
  ['max', 'price', Types.INT, 'values of INT have no fields'],
  ['max', undefined, sensor, 'needs a field'],
  ['maxBy', 'list', Types.row({ list: Types.list(Types.INT) }), 'values of LIST have no order'],
])('%s of field %s is refused while the graph is built', (kind, field, type, message) => {
  expect(() => aggregationFunction(kind, field, type)).toThrow(message)
})

test('a missing field of an undeclared value is named', () => {
  expect(() => aggregationFunction('sum', 'n', Types.GENERIC).reduce({ n: 1 }, {})).toThrow('sum: field n of a record is undefined')
})

test('in batch mode only the last row of each key leaves, when the input has ended', async () => {
  const operator = new ReduceOperator(byId, aggregationFunction('sum', 1, sensor), sensor, { finalOnly: true })
  const harness = await new StreamOperatorHarness(operator, { batch: true }).open()
  for (const row of [...readings, ['s2', 5, 1]]) harness.row(row)
  expect(harness.values()).toEqual([])
  harness.end()
  expect(harness.values()).toEqual([
    ['s1', 10, 35.8],
    ['s2', 5, 1],
  ])
})

test('a field that is not there is refused with the first row of a key, before any result', () => {
  for (const [kind, value, what] of [
    ['sum', ['a', 1], 'field 2'],
    ['max', ['a', 1], 'field 2'],
  ] as const) {
    const { checkFirst } = aggregationFunction(kind, 2, Types.GENERIC)
    expect(() => checkFirst?.(value)).toThrow(what)
  }
  expect(() => aggregationFunction('sum', 0, Types.GENERIC).checkFirst?.(['a', 1])).toThrow()
  expect(() => aggregationFunction('sum', 1, Types.GENERIC).checkFirst?.(['a', 1])).not.toThrow()
})
