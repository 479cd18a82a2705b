import { expect, test } from 'vitest'
import { code, FunctionEmitter } from '../../codegen/emit.ts'
import { seededRandom } from '../../common/random.ts'
import { aggregateFunction, aggregateNames } from './aggregates.ts'
import { parseValueType, type Value } from './value-type.ts'

const run = (name: string, type: string, values: readonly Value[]): Value => {
  const aggregate = aggregateFunction(name, parseValueType(type), false)
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
  expect(run('SUM0', 'INT', [])).toBe(0)
  expect(run('COUNT', 'INT', [60, null, 90])).toBe(2n)
  expect(run('MAX', 'STRING', ['a', '\uffff', '😀'])).toBe('😀')
  expect(run('MIN', 'DOUBLE', [3, -1, null])).toBe(-1)
})

test('generated fragments add, merge and answer what the interpreter does', () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = seededRandom(seed)
    const name = aggregateNames[random.nextInt(aggregateNames.length)] ?? 'SUM'
    const type = ['INT', 'TINYINT', 'BIGINT', 'DOUBLE', 'FLOAT'][random.nextInt(5)] ?? 'INT'
    const aggregate = aggregateFunction(name, parseValueType(type), false)
    const { emit } = aggregate
    if (emit === undefined) continue
    const value = (): Value =>
      type === 'BIGINT'
        ? BigInt(random.nextInt(2 ** 31)) * 4_000_000_000n
        : type === 'INT'
          ? random.nextInt(2 ** 32) | 0
          : type === 'TINYINT'
            ? random.nextInt(256) - 128
            : Math.fround(random.next() * 100 - 50)
    const halves = [0, 1].map(() => Array.from({ length: random.nextInt(6) }, value))
    const emitter = new FunctionEmitter()
    const [groups, given] = [emitter.fresh(), emitter.fresh()]
    const slots = (group: number) => aggregate.slots.map((_, i) => code`${groups}[${group}][${i}]`)
    const valid = (group: number) => code`${groups}[${group}][9]`
    for (const group of [0, 1]) {
      emitter.open(code`for (const one of ${given}[${group}])`)
      emitter.line(emit.add(slots(group), valid(group), code`one`))
      emitter.close()
    }
    emitter.line(emit.merge(slots(0), valid(0), slots(1), valid(1)))
    emitter.line(code`return ${emit.isNull(slots(0), valid(0))} ? null : ${emit.value(slots(0))}`)
    const fresh = () =>
      Object.assign(
        new Array<Value>(10).fill(0),
        aggregate.slots.map(slot => slot.initial ?? (slot.kind === 'i64' ? 0n : 0)),
      )
    const generated = emitter
      .build<(groups: Value[][], given: Value[][]) => Value>({ job: 'j', vertex: 'v' }, [groups, given])
      .run([fresh(), fresh()], halves)
    const [a, b] = halves.map(values => {
      const slotsOf = aggregate.slots.map(slot => slot.initial)
      for (const one of values) aggregate.add(slotsOf, one)
      return slotsOf
    })
    aggregate.merge(a ?? [], b ?? [])
    expect(generated, `seed ${seed} ${name} ${type}`).toEqual(aggregate.value(a ?? []))
  }
})

test('DISTINCT and arguments that do not fit are refused by name', () => {
  expect(() => aggregateFunction('SUM', parseValueType('INT'), true)).toThrow('SUM(DISTINCT …) is not supported yet')
  expect(() => aggregateFunction('SUM', parseValueType('STRING'), false)).toThrow('aggregate function SUM of VARCHAR is not supported yet')
})
