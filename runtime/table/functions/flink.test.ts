import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { columns, sqlCases } from '../../../test/oracle/sql-functions/cases.ts'
import { systemClock } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame } from '../../network/columns.ts'
import { compileCalc, interpretCalc } from './compile-calc.ts'
import { buildColumn, fromRowForm, readValue, toRowForm } from './frame-values.ts'
import { scalarFunctions } from './function-table.ts'
import { isApproximate, parseValueType, typeText, type Value, type ValueType, withNullable } from './value-type.ts'

interface Answer {
  readonly zone: string
  readonly sql: string
  readonly type?: string
  readonly value?: string | null
  readonly phase?: string
  readonly error?: string
}

const file = new URL('../../../test/oracle/sql-functions/expected.json', import.meta.url)
const answers = (JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Answer[] }).cases

/** row.csv of the oracle. */
const row: Record<string, Value> = {
  i: 7,
  zi: 0,
  ni: null,
  b: 9_007_199_254_740_993n,
  zb: 0n,
  d: 2.5,
  zd: 0,
  nand: Number.NaN,
  f: Math.fround(0.1),
  s: 'hé😀lo',
  e: '',
  ns: null,
  de: '123.45',
  zde: '0.00',
  ts: 1_582_982_055_678,
  da: 18_321,
  ti: 47_655_000,
  bo: true,
  nb: null,
  ms: 1_583_000_000_123n,
  lt: 1_583_000_000_123,
}
const frame: ColumnarFrame = {
  kind: 'columnar',
  length: 1,
  columns: columns.map(([name, type]) => buildColumn(parseValueType(type), [fromRowForm(parseValueType(type), row[name] ?? null)])),
  timestamps: undefined,
  rowKinds: undefined,
}

function flinkType(text: string): string {
  const plain = text.replace(/^(TIME(?:STAMP)?\(\d\)) WITHOUT TIME ZONE/, '$1').replace(/^TIMESTAMP(\(\d\)) WITH LOCAL TIME ZONE/, 'TIMESTAMP_LTZ$1')
  return typeText(withNullable(parseValueType(plain), true))
}

function flinkValue(type: ValueType, text: string): Value {
  if (type.root === 'BOOLEAN') return text === 'true'
  if (type.root === 'BIGINT') return BigInt(text)
  if (type.root === 'DECIMAL' || type.root === 'CHAR' || type.root === 'VARCHAR') return text
  if (type.root === 'BINARY' || type.root === 'VARBINARY') return Uint8Array.from(text.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
  return type.root === 'FLOAT' ? Math.fround(Number(text)) : Number(text)
}

/** Where we answer otherwise on purpose, with the reason. */
const deviations: Readonly<Record<string, string>> = {
  'COALESCE(ni, i, (i / zi))': 'Flink evaluates what it does not need',
  "TIMESTAMPDIFF(MILLISECOND, ts, TIMESTAMP '2021-01-01 00:00:00.001')": 'Flink counts whole seconds only',
}

describe.each([
  ['generated', compileCalc],
  ['interpreted', interpretCalc],
] as const)('%s', (_, make) => {
  test('every expression has the type and value that Flink 2.3 gives it', () => {
    expect(answers.length).toBe(sqlCases.length)
    const wrong: string[] = []
    for (const [k, { zone, sql, tree }] of sqlCases.entries()) {
      const answer = answers[k]
      expect(answer?.sql).toBe(sql)
      if (answer === undefined || deviations[sql] !== undefined) continue
      const type = parseValueType(tree.type)
      let value: Value | FlinkError
      try {
        const calc = make(
          columns.map(([, text]) => text),
          null,
          [tree],
          { origin: { job: 'flink', vertex: 'test' }, timeZone: zone, clock: systemClock },
        )
        value = toRowForm(type, readValue(calc.run(frame)?.columns[0] as Column, type, 0))
      } catch (error) {
        if (!(error instanceof FlinkError)) throw error
        value = error
      }
      const shown = value instanceof FlinkError ? value.code : `${typeText(withNullable(type, true))} ${String(value)}`
      if (answer.type === undefined) {
        // Flink enforces what it declares NOT NULL; we answer the NULL that it tripped over.
        const nulled = answer.error?.includes('a null value is being written') === true
        if (nulled ? value !== null : !(value instanceof FlinkError)) wrong.push(`${zone} ${sql}: Flink fails (${answer.error}), we answer ${shown}`)
        continue
      }
      const expected = answer.value === null || answer.value === undefined ? null : flinkValue(type, answer.value)
      const near =
        typeof expected === 'number' && typeof value === 'number' && isApproximate(type) && Math.abs(expected - value) <= Math.abs(expected) * 3e-16
      const same =
        near || (expected instanceof Uint8Array ? String(expected) === String(value) : Object.is(expected, value) || (expected === 0 && value === 0))
      const typed = flinkType(answer.type) === typeText(withNullable(type, true)) || type.root.startsWith('INTERVAL')
      const sound = type.nullable || answer.type.endsWith('NOT NULL')
      if (!same || !typed || !sound)
        wrong.push(`${zone} ${sql}: Flink ${answer.type} ${answer.value}, we ${shown}${type.nullable ? '' : ' NOT NULL'}`)
    }
    expect(wrong).toEqual([])
  })
})

test('every function that does not depend on the time is held against Flink', () => {
  const covered = new Set<string>()
  const walk = (tree: (typeof sqlCases)[number]['tree']): void => {
    if (tree.kind !== 'call') return
    covered.add(tree.name)
    for (const argument of tree.arguments) walk(argument)
  }
  for (const { tree } of sqlCases) walk(tree)
  expect(scalarFunctions.filter(({ name, dynamic }) => dynamic !== true && !covered.has(name)).map(({ name }) => name)).toEqual([])
})
