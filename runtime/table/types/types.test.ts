import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseExpressionText, parseTypeText } from '../sql/parse.ts'
import { commonType } from './common-type.ts'
import { type Literal, typeOfLiteral } from './literal-type.ts'
import { sameType } from './logical-type.ts'
import { castOf } from './type-casts.ts'
import { isDatetime, isInterval } from './type-families.ts'
import { printType } from './type-text.ts'

/** Answers of Flink 2.3, recorded by test/oracle/sql-types/run.sh. */
interface Recorded {
  readonly type: string
  readonly prints: string
  readonly casts: string
  readonly common: readonly (string | null)[]
}
const read = (name: string) => JSON.parse(readFileSync(new URL(`../../../test/sql/${name}`, import.meta.url), 'utf8'))
const recorded: readonly Recorded[] = read('flink-types.json').types
const literals: readonly (readonly [string, string | null])[] = read('flink-literals.json').literals
const types = recorded.map(({ type }) => parseTypeText(type))

/** Flink's serializable form writes out three types that its summary, and ours, abbreviates. */
function abbreviated(text: string): string {
  return text
    .replaceAll('VARCHAR(2147483647)', 'STRING')
    .replaceAll('VARBINARY(2147483647)', 'BYTES')
    .replaceAll(/TIMESTAMP\((\d)\) WITH LOCAL TIME ZONE/g, 'TIMESTAMP_LTZ($1)')
}

describe('type text', () => {
  test('prints as Flink prints', () => {
    expect(types.map(printType)).toEqual(recorded.map(({ prints }) => abbreviated(prints)))
  })

  test('parses to the type it was printed from', () => {
    expect(types.filter(type => !sameType(parseTypeText(printType(type)), type))).toEqual([])
  })

  test.each([
    ['int', 'INT'],
    ['DEC(5,1) NOT NULL', 'DECIMAL(5, 1) NOT NULL'],
    ['CHARACTER VARYING(3)', 'VARCHAR(3)'],
    ['TIMESTAMP(3) WITHOUT TIME ZONE', 'TIMESTAMP(3)'],
    ['TIMESTAMP WITH LOCAL TIME ZONE', 'TIMESTAMP_LTZ(6)'],
    ['ARRAY<ARRAY<ROW<`a b` INT NOT NULL>>>', 'ARRAY<ARRAY<ROW<`a b` INT NOT NULL>>>'],
    ['INT NOT NULL ARRAY NOT NULL', 'ARRAY<INT NOT NULL> NOT NULL'],
    ['ROW(a INT, b STRING)', 'ROW<`a` INT, `b` STRING>'],
    ["ROW<`a``b` INT 'it''s'>", "ROW<`a``b` INT 'it''s'>"],
    ['ROW<>', 'ROW<>'],
    ['INTERVAL DAY TO HOUR', 'INTERVAL DAY(2) TO HOUR'],
    ["RAW('a.B', 'xyz=')", "RAW('a.B', 'xyz=')"],
  ])('%s is %s', (text, printed) => {
    expect(printType(parseTypeText(text))).toBe(printed)
  })

  test.each([
    ['DECIMAL(39, 0)', 'a precision 39 is larger than 38'],
    ['DECIMAL(2, 3)', 'a scale 3 is larger than 2'],
    ['CHAR(0)', 'a length is at least 1'],
    ['TIMESTAMP(10)', 'a precision 10 is larger than 9'],
    ['ROW<a INT, a INT>', 'the field a stands twice'],
    ['INTT', 'did you mean INT?'],
    ['INT INT', 'found the keyword INT'],
    ['TIMESTAMP WITH TIME ZONE', 'TIMESTAMP WITH TIME ZONE is not supported'],
    ['REAL', 'the type REAL is not supported'],
  ])('%s is refused', (text, message) => {
    expect(() => parseTypeText(text)).toThrow(message)
  })
})

describe('common type', () => {
  test('is that of Flink for every pair of values that merge', () => {
    const wrong: unknown[] = []
    recorded.forEach((row, i) => {
      row.common.forEach((expected, j) => {
        const [a, b] = [types[i], types[j]]
        if (a === undefined || b === undefined) return
        // Flink's answers across the families of dates, times, intervals and numbers are those of date arithmetic.
        const families = [a, b].map(type =>
          isDatetime(type) ? (type.kind.startsWith('TIMESTAMP') ? 'TIMESTAMP' : type.kind) : isInterval(type) ? 'interval' : 'other',
        )
        if (families[0] !== families[1]) return
        const common = commonType([a, b])
        const [ours, flinks] = [common === undefined ? null : printType(common), expected === null ? null : abbreviated(expected)]
        if (ours !== flinks) wrong.push([row.type, recorded[j]?.type, ours, flinks])
      })
    })
    expect(wrong).toEqual([])
  })

  test.each([
    [['DATE', 'TIMESTAMP(3)'], 'TIMESTAMP(3)'],
    [['INT NOT NULL', 'BIGINT NOT NULL', 'SMALLINT NOT NULL'], 'BIGINT NOT NULL'],
    [['CHAR(1) NOT NULL', 'STRING'], 'STRING'],
    [['DECIMAL(38, 0)', 'DECIMAL(38, 20)'], 'DECIMAL(38, 20)'],
    [['DATE', 'INT'], undefined],
    [['BOOLEAN', 'INT'], undefined],
    [['STRING', 'INT'], undefined],
    [['ROW<a INT>', 'ROW<a INT, b INT>'], undefined],
  ])('of %j is %s', (texts, expected) => {
    const common = commonType(texts.map(parseTypeText))
    expect(common === undefined ? undefined : printType(common)).toBe(expected)
  })

  test('NULL takes any type and makes it nullable', () => {
    const common = commonType([{ kind: 'NULL', nullable: true }, parseTypeText('INT NOT NULL')])
    expect(common === undefined ? undefined : printType(common)).toBe('INT')
  })
})

test('casts are implicit, explicit or refused as in Flink for every pair', () => {
  const wrong: unknown[] = []
  recorded.forEach((row, i) => {
    ;[...row.casts].forEach((expected, j) => {
      const [from, to] = [types[i], types[j]]
      if (from === undefined || to === undefined) return
      const ours = { implicit: 'i', explicit: 'e', none: '-' }[castOf(from, to) ?? 'none']
      if (ours !== expected) wrong.push([row.type, recorded[j]?.type, ours, expected])
    })
  })
  expect(wrong).toEqual([])
})

// A NULL alone has no type in Flink, which refuses it; ours is the type NULL.
test.each(literals.filter(([text]) => text !== 'NULL'))('the literal %s has the type %s', (text, expected) => {
  const type = typeOfLiteral(parseExpressionText(text) as Literal) // the recorded expressions are literals
  expect(type === undefined ? null : printType(type)).toBe(expected)
})
