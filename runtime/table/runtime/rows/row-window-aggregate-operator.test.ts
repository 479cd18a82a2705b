import { describe, expect, test } from 'vitest'
import { type OperatorCase, runCase, runModes, type ScriptStep, StreamOperatorHarness } from '../../../../test/support/stream-operator-harness.ts'
import { Types } from '../../../serde/types.ts'
import type { AggregateCall, WindowSpec } from '../../plan/physical.ts'
import { RowLocalWindowAggregateOperator, RowWindowAggregateOperator } from './row-window-aggregate-operator.ts'

const inputTypes = ['STRING', 'BIGINT', 'TIMESTAMP(3)']
const call = (name: string, argument: number, type: string): AggregateCall => ({
  name,
  argument,
  distinct: false,
  filter: -1,
  inputType: argument < 0 ? 'BIGINT NOT NULL' : inputTypes[argument]!,
  type,
})
const aggregates = [call('COUNT', -1, 'BIGINT NOT NULL'), call('SUM', 1, 'BIGINT'), call('AVG', 1, 'BIGINT'), call('MAX', 1, 'BIGINT')]
const hop: WindowSpec = { kind: 'HOP', size: 10, slide: 5, offset: 0 }
const node = { keys: [0], aggregates, rowtime: 2, window: hop }
const global = () => new RowWindowAggregateOperator({ ...node, merges: false, windowColumns: ['window_end'] }, inputTypes)

const row = (key: string | null, value: bigint | null, time: number): ScriptStep => ({ kind: 'row', value: [key, value, time] })
const script: readonly ScriptStep[] = [
  row('a', 3n, 1),
  row('b', null, 2),
  row(null, 2n ** 63n - 1n, 4),
  { kind: 'watermark', timestamp: 4 },
  row('a', -4n, 3),
  row(null, 1n, 6),
  { kind: 'watermark', timestamp: 9 },
  row('a', 9n, 7),
  row('b', 1n, 2),
]

describe('the row form of a window aggregate', () => {
  test.each(runModes)('gives the same results %s', async mode => {
    const testCase: OperatorCase = {
      covers: 'RowWindowAggregateOperator',
      title: 'hop',
      create: global,
      script,
      keys: [{ type: Types.STRING, select: value => (value as readonly unknown[])[0] ?? '' }],
    }
    const results = [...(await runCase(testCase, mode)).values()].flat().map(({ value }) => value)
    const expected = [
      ['a', 1n, 3n, 3n, 3n, 5],
      ['b', 1n, null, null, null, 5],
      [null, 1n, 2n ** 63n - 1n, 2n ** 63n - 1n, 2n ** 63n - 1n, 5],
      // The row of time 3 is late for the window that ended at 5, not for this one.
      ['a', 2n, -1n, 0n, 3n, 10],
      ['b', 1n, null, null, null, 10],
      // Sums wrap, and so does the sum of an average.
      [null, 2n, -(2n ** 63n), -(2n ** 62n), 2n ** 63n - 1n, 10],
      ['a', 1n, 9n, 9n, 9n, 15],
      [null, 1n, 1n, 1n, 1n, 15],
    ]
    expect(results.length).toBe(expected.length)
    expect(results).toEqual(expect.arrayContaining(expected))
  })

  test('counts rows of which every window has fired as late', async () => {
    const harness = await new StreamOperatorHarness(global()).open()
    for (const step of script) {
      if (step.kind === 'row') harness.row(step.value)
      else if (step.kind === 'watermark') harness.watermark(step.timestamp)
    }
    // 'b' of time 2; 'a' of time 3 has lost one window only.
    expect(harness.counters.get('numLateRecordsDropped')).toBe(1)
  })

  test('before the exchange every row is the partial result of itself, of its slice', async () => {
    const harness = await new StreamOperatorHarness(new RowLocalWindowAggregateOperator(node)).open()
    harness.row(['a', 3n, 7])
    harness.row(['b', null, -1])
    expect(harness.values()).toEqual([
      ['a', 1n, 3n, 3n, 1n, 3n, 10],
      ['b', 1n, null, 0n, 0n, null, 0],
    ])
  })

  test('a row without a time fails by name', async () => {
    const harness = await new StreamOperatorHarness(global()).open()
    expect(() => harness.row(['a', 1n, null])).toThrow('the row time column is NULL in a row')
  })
})
