import { expect, test } from 'vitest'
import { runs } from '../../../test/support/runs.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import { aggregateNames } from '../functions/aggregates.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { Accumulators, accumulatorProgram, accumulatorTypes } from './accumulators.ts'
import { functionOf } from './aggregate-program.ts'

const types = [
  'TINYINT',
  'SMALLINT',
  'INT',
  'BIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL(12, 3)',
  'DECIMAL(38, 2)',
  'STRING',
  'BOOLEAN',
  'DATE',
  'TIME(0)',
  'TIMESTAMP(3)',
]

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.nextInt(values.length)] as T
}

/** Few values, so that they repeat, and those at the ends of the type. */
function randomValue(random: Random, type: string): unknown {
  switch (type.replace(/ NOT NULL$/, '')) {
    case 'TINYINT':
      return pick(random, [127, -128, 0, 1, random.nextInt(256) - 128])
    case 'SMALLINT':
      return pick(random, [32_767, -32_768, 3, random.nextInt(65_536) - 32_768])
    case 'BIGINT':
      return pick(random, [2n ** 63n - 1n, -(2n ** 63n), 0n, 7n, BigInt(random.nextInt(2 ** 31)) * 4_000_000_000n])
    case 'FLOAT':
      return Math.fround(pick(random, [0, -0, 1.1, 0.1, random.next() * 100 - 50]))
    case 'DOUBLE':
      return pick(random, [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 0.1, 0.2, random.next() * 1e9])
    case 'DECIMAL(12, 3)':
      return pick(random, ['0.000', '-1.500', '999999999.999', `${random.nextInt(1000)}.${100 + random.nextInt(900)}`])
    case 'DECIMAL(38, 2)':
      return pick(random, [
        '900000000000000000000000000000000000.00',
        '-900000000000000000000000000000000000.00',
        '0.01',
        `${random.nextInt(1000)}.25`,
      ])
    case 'STRING':
      return pick(random, ['', 'a', 'aa', 'b', '\uffff', '😀', 'a long text that does not fit in a few words'])
    case 'BOOLEAN':
      return random.nextInt(2) === 1
    case 'TIMESTAMP(3)':
      return random.nextInt(2 ** 31) * 1000 - 5e11
    default:
      return random.nextInt(2 ** 31) - 2 ** 30
  }
}

const isNumber = (type: string) => /^(TINYINT|SMALLINT|INT|BIGINT|FLOAT|DOUBLE|DECIMAL)\b/.test(type)

/** Columns: the filter, then one of each chosen type. */
function randomCalls(random: Random): { readonly inputTypes: string[]; readonly calls: AggregateCall[] } {
  const inputTypes = ['BOOLEAN', ...Array.from({ length: 1 + random.nextInt(5) }, () => pick(random, types) + pick(random, ['', '', ' NOT NULL']))]
  const calls = Array.from({ length: 1 + random.nextInt(6) }, (): AggregateCall => {
    const argument = 1 + random.nextInt(inputTypes.length - 1)
    const name = pick(random, isNumber(inputTypes[argument]!) ? aggregateNames : ['COUNT', 'MIN', 'MAX'])
    const star = name === 'COUNT' && random.nextInt(3) === 0
    return {
      name,
      argument: star ? -1 : argument,
      distinct: !star && random.nextInt(4) === 0,
      filter: random.nextInt(4) === 0 ? 0 : -1,
      inputType: star ? 'BIGINT NOT NULL' : inputTypes[argument]!,
      type: '',
    }
  })
  return { inputTypes, calls }
}

function randomFrame(random: Random, inputTypes: readonly string[], length: number): ColumnarFrame {
  const rows = Array.from({ length }, () =>
    inputTypes.map(type => (!type.endsWith('NOT NULL') && random.nextInt(5) === 0 ? null : randomValue(random, type))),
  )
  return frameOf(rows, inputTypes.map(columnLayout))
}

const groupCount = 5
const origin = { job: 'test', vertex: 'aggregate' }
const all = (count: number) => Int32Array.from({ length: count }, (_, i) => i)

test('generated loops leave the accumulators and results that the interpreter leaves: added, merged from columns and from tables, copied', () => {
  for (let seed = 0; seed < runs(2_000); seed++) {
    const random = seededRandom(seed)
    const { inputTypes, calls } = randomCalls(random)
    const programs = [accumulatorProgram(calls, origin), accumulatorProgram(calls, undefined)]
    const frames = Array.from({ length: 3 }, () => {
      const frame = randomFrame(random, inputTypes, random.nextInt(30))
      const rows = all(frame.length).filter(() => random.nextInt(8) > 0)
      return { frame, rows, groups: Int32Array.from(rows, () => random.nextInt(groupCount)) }
    })
    const moved = Int32Array.from(all(groupCount), group => (group * 3 + 1) % groupCount)
    const accumulatorLayouts = calls.flatMap(accumulatorTypes).map(columnLayout)
    const resultTypes = calls.map(call => functionOf(call).type)
    const [generated, interpreted] = programs.map(program => {
      const tables = frames.map(({ frame, rows, groups }) => {
        const table = new Accumulators(program, 1)
        table.grow(groupCount)
        table.add(frame, rows, groups, rows.length)
        return table
      })
      const [first, second, third] = tables as [Accumulators, Accumulators, Accumulators]
      const before = first.columns(0, groupCount)
      const merged = new Accumulators(program, 1)
      merged.grow(1)
      merged.copyFrom(first, groupCount)
      merged.merge(second.columns(0, groupCount), all(groupCount), moved, groupCount)
      merged.mergeFrom(third, moved, groupCount)
      // What was copied from stays as it was.
      expect(show(first.columns(0, groupCount), accumulatorLayouts)).toEqual(show(before, accumulatorLayouts))
      return {
        accumulators: show(merged.columns(0, groupCount), accumulatorLayouts),
        part: show(merged.columns(1, 3), accumulatorLayouts),
        results: show(merged.results(0, groupCount), resultTypes.map(layoutOf)),
      }
    })
    expect(generated, `seed ${seed} ${JSON.stringify(calls)}`).toEqual(interpreted)
    expect(generated?.part).toEqual(generated?.accumulators.slice(1, 3))
    expect(programs[0]?.plain.source === '').toBe(calls.every(call => call.distinct && !['MIN', 'MAX'].includes(call.name)))
  }
})

test('200 calls are split into loops that V8 compiles, and count what one does', () => {
  const inputTypes = ['BOOLEAN', 'BIGINT', 'STRING']
  const calls = Array.from({ length: 200 }, (_, i): AggregateCall => ({ name: i % 2 === 0 ? 'MAX' : 'COUNT', argument: 1 + (i % 2), distinct: false, filter: 0, inputType: inputTypes[1 + (i % 2)]!, type: '' })) // biome-ignore format: one call
  const frame = randomFrame(seededRandom(7), inputTypes, 100)
  const results = [origin, undefined].map(one => {
    const table = new Accumulators(accumulatorProgram(calls, one), 1)
    table.grow(1)
    table.add(frame, all(100), new Int32Array(100), 100)
    return table.results(0, 1)
  })
  expect(results[0]).toEqual(results[1])
  expect(accumulatorProgram(calls, origin).plain.source.split('sourceURL').length).toBeGreaterThan(3)
})

const layoutOf = ({ root, precision, scale }: ReturnType<typeof functionOf>['type']) =>
  columnLayout(root === 'DECIMAL' ? `DECIMAL(${precision}, ${scale})` : root === 'INTERVAL_MS' || root === 'INTERVAL_MONTHS' ? 'INT' : root)

function show(columns: ReturnType<Accumulators['columns']>, layouts: readonly ReturnType<typeof columnLayout>[]): unknown[] {
  return rowsOf(
    { kind: 'columnar', length: columns.length === 0 ? 0 : lengthOf(columns[0]!), columns, timestamps: undefined, rowKinds: undefined },
    layouts,
  )
}

const lengthOf = (column: ReturnType<Accumulators['columns']>[number]) => (column.kind === 'bytes' ? column.starts.length : column.values.length)
