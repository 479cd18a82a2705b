import type { Random } from '../../../runtime/common/random.ts'
import { powerOfTen } from '../../../runtime/table/functions/decimal.ts'
import { toRowForm } from '../../../runtime/table/functions/frame-values.ts'
import { LENGTH_MAX, parseValueType, type TypeRoot, type Value } from '../../../runtime/table/functions/value-type.ts'
import type { Literal } from '../../../runtime/table/plan/expression.ts'

/** Random types and values of SQL, edges first: what goes wrong does so at the ends of a range, at NaN, at -0 and outside of ASCII. */

export const pick = <T>(random: Random, values: readonly T[]): T => values[random.nextInt(values.length)] as T
/** True once in `n`. */
export const oneIn = (random: Random, n: number): boolean => random.nextInt(n) === 0

/** Types of columns by their root, without NOT NULL. */
const typesByRoot: Readonly<Partial<Record<TypeRoot, readonly string[]>>> = {
  BOOLEAN: ['BOOLEAN'],
  TINYINT: ['TINYINT'],
  SMALLINT: ['SMALLINT'],
  INT: ['INT'],
  BIGINT: ['BIGINT'],
  FLOAT: ['FLOAT'],
  DOUBLE: ['DOUBLE'],
  DECIMAL: ['DECIMAL(10, 2)', 'DECIMAL(18, 0)', 'DECIMAL(4, 4)', 'DECIMAL(38, 4)', 'DECIMAL(25, 10)'],
  VARCHAR: ['STRING', 'STRING', 'VARCHAR(5)'],
  VARBINARY: ['BYTES', 'VARBINARY(4)'],
  DATE: ['DATE'],
  TIME: ['TIME(0)'],
  TIMESTAMP: ['TIMESTAMP(3)'],
  TIMESTAMP_LTZ: ['TIMESTAMP_LTZ(3)'],
}
/** Roots of columns. */
export const columnRoots = Object.keys(typesByRoot) as readonly TypeRoot[]
/** Types that only literals and results have. */
const literalTypes: Readonly<Partial<Record<TypeRoot, string>>> = {
  INTERVAL_MONTHS: 'INTERVAL YEAR TO MONTH',
  INTERVAL_MS: 'INTERVAL DAY TO SECOND(3)',
}

export function randomType(random: Random, root: TypeRoot): string {
  const type = pick(random, typesByRoot[root] ?? [literalTypes[root] ?? 'INT'])
  return oneIn(random, 3) ? `${type} NOT NULL` : type
}

const texts = [
  '',
  'a',
  'abc',
  'aBc dE',
  ' 12 ',
  '12',
  '-7',
  '2020-02-29',
  '2020-02-29 13:14:15',
  '23:59:59',
  'a/b//c',
  '😀é\u2028x',
  '\u{10ffff}\ufffd',
  'true',
  '1.50',
  "'`${x}*/",
  '%_%',
  'yyyy-MM-dd',
  'ÄÖß',
  '\uffff',
  'k\u0000v',
  'x'.repeat(70),
  'é'.repeat(40),
]

/** In row form (runtime/serde/columns-type.ts). */
export function randomValue(random: Random, typeText: string): unknown {
  const type = parseValueType(typeText)
  return toRowForm(type, randomHeld(random, typeText))
}

function randomHeld(random: Random, typeText: string): Value {
  const type = parseValueType(typeText)
  if (type.nullable && oneIn(random, 5)) return null
  switch (type.root) {
    case 'BOOLEAN':
      return oneIn(random, 2)
    case 'TINYINT':
      return pick(random, [0, 1, -1, 2, 3, 127, -128, 5])
    case 'SMALLINT':
      return pick(random, [0, 1, -1, 2, 3, 32_767, -32_768, 12])
    case 'INT':
      return pick(random, [0, 1, 2, 3, -1, 2_147_483_647, -2_147_483_648, 65_536, 47, random.nextInt(1000)])
    case 'BIGINT':
      return pick(random, [0n, 1n, 2n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 9_007_199_254_740_993n, BigInt(random.nextInt(1000))])
    case 'FLOAT':
      return Math.fround(pick(random, [0, -0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 0.1, -3e38, 7]))
    case 'DOUBLE':
      return pick(random, [0, -0, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, 0.1, 1e300, 2 ** 53, -2.5, 3])
    case 'DECIMAL': {
      const bound = powerOfTen(type.precision) - 1n
      return pick(random, [0n, 1n, -1n, bound, -bound, BigInt(random.nextInt(100_000)) % bound, -(BigInt(random.nextInt(1_000_000)) % bound)])
    }
    case 'CHAR':
      return pick(random, texts)
    case 'VARCHAR': {
      const text = oneIn(random, 12) ? String.fromCodePoint(...Array.from({ length: 3 }, () => randomCodePoint(random))) : pick(random, texts)
      return type.precision === LENGTH_MAX ? text : [...text].slice(0, type.precision).join('')
    }
    case 'BINARY':
    case 'VARBINARY':
      return Uint8Array.from({ length: random.nextInt(5) }, () => random.nextInt(256))
    case 'DATE':
      return pick(random, [0, -1, 18_321, 20_000, -700_000, 11_016])
    case 'TIME':
      return pick(random, [0, 86_399_000, 36_672_000])
    case 'TIMESTAMP':
    case 'TIMESTAMP_LTZ':
      return pick(random, [0, -1, 1_582_982_055_678, 1_583_652_600_000, 1_604_208_600_000, -62_135_596_800_000, 951_782_400_000])
    case 'INTERVAL_MONTHS':
      return pick(random, [0, 1, -1, 12, 13, 25])
    case 'INTERVAL_MS':
      return pick(random, [0, 1, -1000, 86_400_000, 3_600_000, 90_061_001])
    case 'NULL':
      return null
  }
}

/** No surrogate. */
function randomCodePoint(random: Random): number {
  const point = random.nextInt(pick(random, [0x80, 0x800, 0x10000, 0x110000]))
  return point >= 0xd800 && point < 0xe000 ? 0x41 : point
}

/** Doubles that add up to the same in any order: aggregates see them in several. */
export function tameValue(random: Random): number {
  return (1 + random.nextInt(400)) / 4
}

export function randomLiteral(random: Random, root: TypeRoot): Literal {
  const plain = randomType(random, root)
  const value = randomValue(random, plain)
  // As the planner types them: a text that stands in a query is a CHAR of its length.
  if (root === 'VARCHAR' && typeof value === 'string' && value !== '' && oneIn(random, 2))
    return { kind: 'literal', value, type: `CHAR(${[...value].length}) NOT NULL` }
  return literalOf(value, plain)
}

export function literalOf(value: unknown, type: string): Literal {
  if (value instanceof Uint8Array) return { kind: 'literal', value: Buffer.from(value).toString('hex'), type }
  // A plan is JSON, which has no NaN, infinity or -0: the planner writes them as calls.
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))) return { kind: 'literal', value: 1, type }
  return { kind: 'literal', value: typeof value === 'bigint' ? value.toString() : (value as string | number | boolean | null), type }
}

/** One text for each value and type, in which every difference shows. */
export function shownValue(value: unknown): string {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string') return JSON.stringify(value)
  return Object.is(value, -0) ? '-0' : String(value)
}
