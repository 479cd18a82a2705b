import { expect, test } from 'vitest'
import { aggregateFunction } from './aggregates.ts'
import { parseValueType, typeText, type Value } from './value-type.ts'

const run = (name: string, type: string, values: readonly Value[]): Value => {
  const aggregate = aggregateFunction(name, parseValueType(type))
  const slots = aggregate.slots.map(slot => slot.initial)
  for (const value of values) if (value !== null) aggregate.add(slots, value)
  return aggregate.value(slots)
}

test("an average of integers is an integer, as Flink's: 60 and 75 give 67", () => {
  expect(run('AVG', 'INT', [60, 75])).toBe(67)
  expect(run('AVG', 'INT', [-60, -75])).toBe(-67)
  expect(run('AVG', 'BIGINT', [60n, 75n, null])).toBe(67n)
  expect(run('AVG', 'INT', [])).toBe(null)
  expect(run('AVG', 'DECIMAL(4, 1)', [10n, 20n, 20n])).toBe(1_666_667n)
})

test('sums wrap, count nothing but values, and are NULL of none', () => {
  expect(run('SUM', 'INT', [2_147_483_647, 1])).toBe(-2_147_483_648)
  expect(run('SUM', 'TINYINT', [127, 1])).toBe(-128)
  expect(run('SUM', 'BIGINT', [2n ** 63n - 1n, 1n])).toBe(-(2n ** 63n))
  expect(run('SUM', 'INT', [60, 75, 90])).toBe(225)
  expect(run('SUM', 'INT', [null])).toBe(null)
  expect(run('COUNT', 'INT', [60, null, 90])).toBe(2n)
  expect(run('MAX', 'STRING', ['a', '\uffff', '😀'])).toBe('😀')
  expect(run('MIN', 'DOUBLE', [3, -1, null])).toBe(-1)
})

test('sums and averages of decimals have room for 38 digits; a sum begins anew behind an overflow, an average stays NULL', () => {
  const large = 9n * 10n ** 37n
  expect(run('SUM', 'DECIMAL(10, 2)', [125n, 250n, 1n])).toBe(376n)
  expect(typeText(aggregateFunction('SUM', parseValueType('DECIMAL(10, 2)')).type)).toBe('DECIMAL(38, 2)')
  expect(typeText(aggregateFunction('AVG', parseValueType('DECIMAL(10, 2)')).type)).toBe('DECIMAL(38, 6)')
  expect(typeText(aggregateFunction('AVG', parseValueType('DECIMAL(38, 10) NOT NULL')).type)).toBe('DECIMAL(38, 10)')
  expect(run('SUM', 'DECIMAL(38, 0)', [large, large])).toBe(null)
  expect(run('SUM', 'DECIMAL(38, 0)', [large, large, 5n])).toBe(5n)
  expect(run('AVG', 'DECIMAL(38, 0)', [large, large, 5n])).toBe(null)
})

test('arguments that do not fit are refused by name', () => {
  expect(() => aggregateFunction('SUM', parseValueType('STRING'))).toThrow('aggregate function SUM of STRING is not supported yet')
  expect(() => aggregateFunction('MIN', parseValueType('BYTES'))).toThrow('aggregate function MIN of BYTES is not supported yet')
})
