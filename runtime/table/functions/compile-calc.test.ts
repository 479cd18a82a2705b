import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomColumnExpression } from '../../../test/support/differential/expressions.ts'
import { columnRoots, pick, randomType, randomValue } from '../../../test/support/differential/values.ts'
import { runs } from '../../../test/support/runs.ts'
import { systemClock } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import { type Random, seededRandom } from '../../common/random.ts'
import type { Column, ColumnarFrame } from '../../network/columns.ts'
import { frameOf as columnarFrame } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { Expression } from '../plan/expression.ts'
import { type Calc, compileCalc, interpretCalc } from './compile-calc.ts'
import { BytesSink, buildColumn, decodeText, readValue } from './frame-values.ts'
import { resolveCall, resolveCast } from './resolve-call.ts'
import { isText, parseValueType, type TypeRoot, type Value, type ValueType } from './value-type.ts'

const options = { origin: { job: 'test', vertex: 'calc' }, timeZone: 'America/New_York', clock: { ...systemClock, nowMs: () => 1_600_000_000_123 } }

const randomSchema = (random: Random, width: number): string[] => Array.from({ length: width }, () => randomType(random, pick(random, columnRoots)))

function randomExpression(random: Random, schema: readonly string[], depth: number, root: TypeRoot = pick(random, columnRoots)): Expression {
  return randomColumnExpression(random, root, depth, {
    schema: schema.map((type, i) => ({ name: `c${i}`, type })),
    throwing: random.nextInt(4) === 0,
  })
}

function frameOf(random: Random, schema: readonly string[], count: number): ColumnarFrame {
  const rows = Array.from({ length: count }, () => schema.map(type => randomValue(random, type)))
  return columnarFrame(
    rows,
    schema.map(columnLayout),
    Float64Array.from(rows, (_, i) => i),
  )
}

type Outcome = { readonly rows: Value[][]; readonly times: number[] } | { readonly error: string }

function outcome(calc: Calc, frame: ColumnarFrame, types: readonly ValueType[]): Outcome {
  try {
    const out = calc.run(frame)
    if (out === undefined) return { rows: [], times: [] }
    const rows = Array.from({ length: out.length }, (_, row) => types.map((type, i) => readValue(out.columns[i] as Column, type, row)))
    return { rows, times: [...(out.timestamps ?? [])] }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    return { error: `${error.code} ${error.message}` }
  }
}

const column = (index: number, type: string): Expression => ({ kind: 'column', index, type })

test('generated calcs answer what the interpreter answers, on random schemas, data and expressions', () => {
  let failed = 0
  let evaluated = 0
  const cases = runs(3_000)
  for (let seed = 0; seed < cases; seed++) {
    const random = seededRandom(seed)
    const schema = randomSchema(random, 2 + random.nextInt(6))
    const projections = Array.from({ length: 1 + random.nextInt(3) }, () => randomExpression(random, schema, 1 + random.nextInt(3)))
    const condition = random.nextInt(2) === 0 ? randomExpression(random, schema, 2, 'BOOLEAN') : null
    const types = projections.map(({ type }) => parseValueType(type))
    let generated: Calc
    let interpreted: Calc
    try {
      generated = compileCalc(schema, condition, projections, options)
      interpreted = interpretCalc(schema, condition, projections, options)
    } catch (error) {
      // A literal pattern or zone that does not parse is refused when the plan is compiled, by both.
      expect(error, `seed ${seed}`).toBeInstanceOf(FlinkError)
      expect(() => interpretCalc(schema, condition, projections, options)).toThrow(FlinkError)
      continue
    }
    // Few rows, as a row without a value ends the frame.
    for (const rows of [1, 4, 11]) {
      const frame = frameOf(random, schema, rows)
      const expected = outcome(interpreted, frame, types)
      const actual = outcome(generated, frame, types)
      evaluated++
      if ('error' in expected) failed++
      if (isDeepStrictEqual(actual, expected)) continue
      // Which of several failures of a frame comes first is not said: the loop goes row by row, the interpreter too, but filters first.
      if ('error' in actual && 'error' in expected) continue
      expect(actual, `seed ${seed}\n${JSON.stringify({ schema, condition, projections }, null, 1)}\n${generated.source}`).toEqual(expected)
    }
  }
  expect(evaluated).toBeGreaterThan(2.5 * cases)
  expect(failed).toBeLessThan(evaluated / 3)
}, 120_000)

test('a declared NOT NULL result is never null', () => {
  for (let seed = 5000; seed < 5600; seed++) {
    const random = seededRandom(seed)
    const schema = randomSchema(random, 4)
    const expression = randomExpression(random, schema, 2)
    const type = parseValueType(expression.type)
    if (type.nullable || ['LPAD', 'RPAD'].some(name => JSON.stringify(expression).includes(name))) continue
    // Overflow of a DECIMAL is NULL in Flink too, whatever it declares.
    if (JSON.stringify(expression).includes('DECIMAL')) continue
    const result = outcome(compileCalc(schema, null, [expression], options), frameOf(random, schema, 8), [type])
    if ('rows' in result) expect(result.rows.flat(), JSON.stringify(expression)).not.toContain(null)
  }
})

test('arrays that are used again hold nothing of the frame before', () => {
  for (let seed = 9000; seed < 9300; seed++) {
    const random = seededRandom(seed)
    const schema = Array.from({ length: 4 }, () => randomType(random, pick(random, columnRoots)))
    const projections = Array.from({ length: 3 }, () => randomExpression(random, schema, 2))
    const wish = randomExpression(random, schema, 2)
    const condition = parseValueType(wish.type).root === 'BOOLEAN' ? wish : null
    const types = projections.map(({ type }) => parseValueType(type))
    let [again, fresh]: (Calc | undefined)[] = []
    try {
      again = compileCalc(schema, condition, projections, { ...options, reuse: true })
      fresh = compileCalc(schema, condition, projections, options)
    } catch (error) {
      expect(error).toBeInstanceOf(FlinkError)
      continue
    }
    for (const rows of [7, 3, 11, 11, 1]) {
      const frame = frameOf(random, schema, rows)
      expect(outcome(again, frame, types), `seed ${seed}`).toEqual(outcome(fresh, frame, types))
    }
  }
  const input: ColumnarFrame = {
    kind: 'columnar',
    length: 2,
    columns: [buildColumn(parseValueType('INT'), [1, 2])],
    timestamps: undefined,
    rowKinds: undefined,
  }
  const sum = [resolveCall('+', [column(0, 'INT'), column(0, 'INT')], '1:1') as Expression]
  const arrayOf = (calc: Calc) => {
    const output = calc.run(input)?.columns[0]
    return output?.kind === 'i32' ? output.values.buffer : undefined
  }
  const [again, fresh] = [true, false].map(reuse => compileCalc(['INT'], null, sum, { ...options, reuse }))
  expect(arrayOf(again!)).toBe(arrayOf(again!))
  expect(arrayOf(fresh!)).not.toBe(arrayOf(fresh!))
})

test('parts of one text are the same in any order that they are asked for', () => {
  const texts = ['a/b/c/d', '/', '', 'abc', '//x//', 'https://www.nexmark.com/a/bc/item.htm?query=1', null, 'a/b', 'a/b']
  const literal = (value: string | number, type: string): Expression => ({ kind: 'literal', value, type })
  const input: ColumnarFrame = {
    kind: 'columnar',
    length: texts.length,
    columns: [buildColumn(parseValueType('STRING'), texts)],
    timestamps: undefined,
    rowKinds: undefined,
  }
  for (const order of [
    [0, 1, 2, 3, 4],
    [4, 3, 2, 1, 0],
    [3, 5, 4, 4, 1],
    [9, 0, 9, 2],
    [-1, 1, -1, 2],
  ]) {
    const parts = order.map(
      index =>
        resolveCall('SPLIT_INDEX', [column(0, 'STRING'), literal('/', 'STRING NOT NULL'), literal(index, 'INT NOT NULL')], '1:1') as Expression,
    )
    const condition = resolveCall('<>', [parts[0]!, literal('a', 'STRING NOT NULL')], '1:1') as Expression
    const types = parts.map(({ type }) => parseValueType(type))
    for (const filter of [null, condition]) {
      const calc = compileCalc(['STRING'], filter, parts, options)
      const expected = outcome(interpretCalc(['STRING'], filter, parts, options), input, types)
      expect(outcome(calc, input, types)).toEqual(expected)
      expect(outcome(calc, { ...input }, types)).toEqual(expected)
    }
  }
})

test('BIGINT by a constant and exact casts answer what the interpreter answers at their ends', () => {
  const values = [0n, 1n, -1n, 9973n, -9974n, 2n ** 31n, -(2n ** 31n) - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), null]
  const input: ColumnarFrame = {
    kind: 'columnar',
    length: values.length,
    columns: [buildColumn(parseValueType('BIGINT'), values)],
    timestamps: undefined,
    rowKinds: undefined,
  }
  const n = column(0, 'BIGINT')
  const cast = (value: Expression, type: string): Expression => ({ kind: 'call', name: 'CAST', arguments: [value], type, position: '1:1' })
  const by = (name: string, value: string, type: string) => resolveCall(name, [n, { kind: 'literal', value, type }], '1:1') as Expression
  const half: Expression = { kind: 'literal', value: '0.908', type: 'DECIMAL(3, 3) NOT NULL' }
  const projections = [
    ...['7', '-1', '9973'].flatMap(divisor => ['/', 'MOD'].map(name => by(name, divisor, 'BIGINT NOT NULL'))),
    by('MOD', '123', 'INT NOT NULL'),
    ...['INT', 'DOUBLE', 'DECIMAL(19, 0)', 'DECIMAL(30, 5)', 'DECIMAL(18, 0)', 'DECIMAL(20, 5)'].map(type => cast(n, type)),
    cast(cast(n, 'INT'), 'BIGINT'),
    cast(cast(n, 'INT'), 'DECIMAL(12, 1)'),
    ...['*', '+', '-'].map(name => resolveCall(name, [half, cast(n, 'DECIMAL(19, 0)')], '1:1') as Expression),
  ]
  const types = projections.map(({ type }) => parseValueType(type))
  const result = outcome(interpretCalc(['BIGINT'], null, projections, options), input, types)
  expect('rows' in result).toBe(true)
  expect(outcome(compileCalc(['BIGINT'], null, projections, options), input, types)).toEqual(result)
})

test('decimals are written as their text', () => {
  const ends = [0n, 9n, 10n, 99_999_999n, 100_000_000n, 100_000_001n, 2n ** 53n - 1n, 2n ** 53n, 10n ** 16n, 10n ** 37n]
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }), fc.constantFrom(...ends, ...ends.map(end => -end)))), values => {
      const sink = new BytesSink(values.length)
      for (const [row, value] of values.entries()) sink.decimal(row, value)
      const texts = values.map((_, row) => decodeText(sink.data, sink.starts[row]!, sink.lengths[row]!))
      expect(texts).toEqual(values.map(String))
    }),
  )
})

test('hostile literals are constants and never source', () => {
  const hostile = ["'", '"', '`', '\n', '*/', '${process.exit(1)}', '__proto__', '\u2028\u2029', '</script>', '\\', 'k0', '//# sourceURL=x']
  for (const value of hostile) {
    const same = resolveCall('=', [column(0, 'STRING'), { kind: 'literal', value, type: 'STRING NOT NULL' }], '1:1')
    const both = resolveCall('||', [column(0, 'STRING'), { kind: 'literal', value, type: 'STRING NOT NULL' }], value)
    const calc = compileCalc(['STRING'], null, [same as Expression, both as Expression], { ...options, origin: { job: value, vertex: value } })
    const frame: ColumnarFrame = {
      kind: 'columnar',
      length: 2,
      columns: [buildColumn(parseValueType('STRING'), [value, 'x'])],
      timestamps: undefined,
      rowKinds: undefined,
    }
    const types = ['BOOLEAN', 'STRING'].map(parseValueType)
    expect(outcome(calc, frame, types)).toEqual({
      rows: [
        [true, value + value],
        [value === 'x', `x${value}`],
      ],
      times: [],
    })
    if (value.length > 2) expect(calc.source.replace(/sourceURL=millrace\/.*/, '').includes(value)).toBe(false)
  }
})

test('columns pass by reference without a filter, and keep their bytes with one', () => {
  const random = seededRandom(1)
  const schema = ['STRING NOT NULL', 'INT NOT NULL']
  const frame = frameOf(random, schema, 50)
  const all = compileCalc(schema, null, [column(1, 'INT NOT NULL'), column(0, 'STRING NOT NULL')], options).run(frame)
  expect(all?.columns[0]).toBe(frame.columns[1])
  expect(all?.columns[1]).toBe(frame.columns[0])
  const condition = resolveCall('>', [column(1, 'INT NOT NULL'), { kind: 'literal', value: 0, type: 'INT NOT NULL' }], '1:1') as Expression
  const some = compileCalc(schema, condition, [column(0, 'STRING NOT NULL')], options).run(frame)
  const [input, output] = [frame.columns[0], some?.columns[0]]
  expect(input?.kind === 'bytes' && output?.kind === 'bytes' && input.data === output.data).toBe(true)
  expect(some?.length).toBeLessThan(50)
})

test('a division by zero names the expression, its position and the row, and only where it is reached', () => {
  const schema = ['INT', 'INT']
  const divide = resolveCall('/', [column(0, 'INT'), column(1, 'INT')], '3:14') as Expression
  const frame: ColumnarFrame = {
    kind: 'columnar',
    length: 3,
    columns: [buildColumn(parseValueType('INT'), [1, 2, null]), buildColumn(parseValueType('INT'), [1, 0, 0])],
    timestamps: undefined,
    rowKinds: undefined,
  }
  for (const make of [compileCalc, interpretCalc]) {
    expect(() => make(schema, null, [divide], options).run(frame)).toThrow('division by zero in ($0 / $1) at 3:14, row 1 of its frame')
    const zero: Expression = { kind: 'literal', value: 0, type: 'INT NOT NULL' }
    const guard = resolveCall('<>', [column(1, 'INT'), zero], '1:1') as Expression
    const safe = resolveCall('IF', [guard, divide, zero], '1:1') as Expression
    expect(outcome(make(schema, null, [safe], options), frame, [parseValueType('INT')])).toEqual({ rows: [[1], [0], [0]], times: [] })
  }
})

test('a NULL in a column that is declared NOT NULL is NULL to the loops too', () => {
  const type = 'DECIMAL(4, 0) NOT NULL'
  const cast = resolveCast(column(0, 'DOUBLE NOT NULL'), 'DECIMAL(4, 0)', '1:1') as Expression
  const sum = resolveCall('+', [column(0, type), column(0, type)], '1:1') as Expression
  const frame: ColumnarFrame = {
    kind: 'columnar',
    length: 2,
    columns: [buildColumn(parseValueType('DOUBLE'), [1e300, 7])],
    timestamps: undefined,
    rowKinds: undefined,
  }
  expect(cast.type).toBe(type)
  const between = compileCalc(['DOUBLE NOT NULL'], null, [cast], options).run(frame) as ColumnarFrame
  const present = resolveCall('IS NOT NULL', [column(0, type)], '1:1') as Expression
  for (const make of [compileCalc, interpretCalc])
    expect(
      outcome(
        make([type], null, [sum, present], options),
        between,
        [sum, present].map(({ type: text }) => parseValueType(text)),
      ),
    ).toEqual({
      rows: [
        [null, false],
        [14n, true],
      ],
      times: [],
    })
})

test('a date that leaves the range of its days wraps inside an expression as it does in a column', () => {
  const interval: Expression = { kind: 'literal', value: 90_061_001, type: 'INTERVAL DAY TO SECOND(3) NOT NULL' }
  const times = resolveCall('*', [column(0, 'INT'), interval], '1:1') as Expression
  const day = resolveCall('+', [column(1, 'DATE'), times], '1:2') as Expression
  const isEarly = resolveCall('<', [day, column(1, 'DATE')], '1:3') as Expression
  const frame: ColumnarFrame = {
    kind: 'columnar',
    length: 1,
    columns: [buildColumn(parseValueType('INT'), [-2_147_483_648]), buildColumn(parseValueType('DATE'), [-700_000])],
    timestamps: undefined,
    rowKinds: undefined,
  }
  for (const make of [compileCalc, interpretCalc])
    expect(outcome(make(['INT', 'DATE'], null, [day, isEarly], options), frame, ['DATE', 'BOOLEAN'].map(parseValueType))).toEqual({
      rows: [[2_055_788_975, false]],
      times: [],
    })
})

test('functions that cut or pad by UTF-16 units leave no half of a pair to the function around them', () => {
  const text = (value: string): Expression => ({ kind: 'literal', value, type: 'STRING NOT NULL' })
  const three: Expression = { kind: 'literal', value: 3, type: 'INT NOT NULL' }
  const made = [
    resolveCall('LPAD', [column(0, 'STRING'), three, text('😀')], '1:1'),
    resolveCall('RPAD', [column(0, 'STRING'), three, text('😀')], '1:1'),
    resolveCall('REPLACE', [column(0, 'STRING'), text(''), text('-')], '1:1'),
  ].map(call => resolveCall('||', [call as Expression, text('|')], '1:1') as Expression)
  const frame: ColumnarFrame = {
    kind: 'columnar',
    length: 1,
    columns: [buildColumn(parseValueType('STRING'), ['😀'])],
    timestamps: undefined,
    rowKinds: undefined,
  }
  const isWell = made.map(
    expression => resolveCall('=', [resolveCall('REVERSE', [expression], '1:1') as Expression, text('|😀\ufffd')], '1:1') as Expression,
  )
  const types = [...made, ...isWell].map(({ type }) => parseValueType(type))
  for (const make of [compileCalc, interpretCalc])
    expect(outcome(make(['STRING'], null, [...made, ...isWell], options), frame, types)).toEqual({
      rows: [['\ufffd😀|', '😀\ufffd|', '-\ufffd-\ufffd-|', true, false, false]],
      times: [],
    })
})

test('a pattern that does not parse is refused by name when its calc is made, whichever way', () => {
  const text = (value: string): Expression => ({ kind: 'literal', value, type: 'STRING NOT NULL' })
  const like = resolveCall('LIKE', [column(0, 'STRING'), text('a%'), text('ab')], '2:7') as Expression
  for (const make of [compileCalc, interpretCalc])
    expect(() => make(['STRING'], null, [like], options)).toThrow(
      expect.objectContaining({ code: 'INVALID_SQL', message: "invalid escape character 'ab' in LIKE($0, 'a%', 'ab') at 2:7" }),
    )
})

test('two thousand columns with hostile texts are split into functions and give the same rows', () => {
  const schema = Array.from({ length: 2000 }, (_, i) => (i % 3 === 0 ? 'INT' : i % 3 === 1 ? 'STRING' : 'BIGINT NOT NULL'))
  const random = seededRandom(7)
  const frame = frameOf(random, schema, 5)
  const projections = schema.map((type, i) =>
    isText(parseValueType(type))
      ? (resolveCall('UPPER', [column(i, type)], '1:1') as Expression)
      : (resolveCall('+', [column(i, type), column(i, type)], '1:1') as Expression),
  )
  const condition = resolveCall('IS NOT NULL', [column(0, 'INT')], '1:1') as Expression
  const types = projections.map(({ type }) => parseValueType(type))
  const calc = compileCalc(schema, condition, projections, options)
  expect(calc.source.split('sourceURL=').length).toBeGreaterThan(5)
  expect(calc.interpretedCount).toBe(0)
  expect(outcome(calc, frame, types)).toEqual(outcome(interpretCalc(schema, condition, projections, options), frame, types))
})
