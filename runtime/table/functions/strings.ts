import { code } from '../../codegen/emit.ts'
import type { Argument, ScalarFunction } from './function.ts'
import { likeMatcher } from './like.ts'
import { accept, anyNullable } from './type-rules.ts'
import {
  booleanType,
  intType,
  isInteger,
  isSmallInteger,
  isText,
  LENGTH_MAX,
  stringType,
  type Value,
  type ValueType,
  valueType,
  withNullable,
} from './value-type.ts'

/** String functions. Positions and lengths count code points from 1, as Flink's do. */

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

/** True when no surrogates: positions are UTF-16 positions. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0xd800 && unit <= 0xdfff) return false
  }
  return true
}

export function codePointCount(text: string): number {
  let count = text.length
  for (let i = 0; i + 1 < text.length; i++) if (text.codePointAt(i)! > 0xffff) count--
  return count
}

/** Code points `from` (0-based) to before `to`. */
function slice(text: string, from: number, to: number): string {
  if (from >= to) return ''
  return isPlain(text) ? text.slice(from, to) : [...text].slice(from, to).join('')
}

export function substring(text: string, start: number, length: number = LENGTH_MAX): string | null {
  if (length < 0) return null
  const count = codePointCount(text)
  const from = start > 0 ? start - 1 : start < 0 ? count + start : 0
  if (from >= count) return ''
  const end = Math.min(count, from + length)
  return from < 0 ? '' : slice(text, from, end)
}

/** 1-based code point position of `part` at or after `from` (1-based); 0 when there is none. */
function locate(part: string, text: string, from = 1): number {
  if (from < 1) return locate(part, text, 1)
  if (isPlain(text)) return text.indexOf(part, from - 1) + 1
  const points = [...text]
  const at = text.indexOf(part, points.slice(0, from - 1).join('').length)
  return at < 0 ? 0 : codePointCount(text.slice(0, at)) + 1
}

/** Functions that count UTF-16 units, as Java's do, may cut a pair in two: half of one is U+FFFD at once, as it would be in a column. */
function wellFormed<T extends string | null>(text: T): T {
  return (text === null ? null : text.toWellFormed()) as T
}

function pad(text: string, length: number, padding: string, left: boolean): string | null {
  if (length < 0 || padding === '') return null
  if (text.length >= length) return text.slice(0, length)
  return left ? text.padStart(length, padding) : text.padEnd(length, padding)
}

/** Commons' splitByWholeSeparatorPreserveAllTokens: nothing of an empty text; an empty separator splits at blanks. */
export function splitIndex(text: string, separator: string, index: number): string | null {
  if (index < 0 || text === '') return null
  const by = separator === '' ? ' ' : separator
  let from = 0
  for (let i = 0; i < index; i++) {
    const at = text.indexOf(by, from)
    if (at < 0) return null
    from = at + by.length
  }
  const end = text.indexOf(by, from)
  return end < 0 ? text.slice(from) : text.slice(from, end)
}

function trimEnds(text: string, characters: string, where: 'BOTH' | 'LEADING' | 'TRAILING'): string {
  const set = new Set(characters)
  const points = isAscii(text) ? text : [...text]
  let from = 0
  let to = points.length
  if (where !== 'TRAILING') while (from < to && set.has(points[from] ?? '')) from++
  if (where !== 'LEADING') while (to > from && set.has(points[to - 1] ?? '')) to--
  return typeof points === 'string' ? points.slice(from, to) : points.slice(from, to).join('')
}

function initcap(text: string): string {
  return text.replace(/[A-Za-z0-9]+/g, word => word[0]!.toUpperCase() + word.slice(1).toLowerCase())
}

const text = isText
const int = isInteger
/** Flink takes every integer where an INT is meant, but not a BIGINT. */
const small = isSmallInteger

/** The type of the first argument, or the VARCHAR of its length. */
const overlayType = ([a, b]: readonly Argument[]): ValueType =>
  valueType('VARCHAR', true, Math.min(LENGTH_MAX, (a?.type.precision ?? 0) + (b?.type.precision ?? 0)))
const sameKind = ([first]: readonly Argument[]): ValueType => first?.type ?? stringType
const sameText = ([first]: readonly Argument[]): ValueType => valueType('VARCHAR', true, first?.type.precision ?? LENGTH_MAX)

function simple(
  name: string,
  syntax: string,
  doc: string,
  type: ValueType | ((args: readonly Argument[]) => ValueType),
  expected: readonly ((type: ValueType) => boolean)[],
  run: (...args: never[]) => Value,
  options: { readonly optional?: number; readonly answersNull?: boolean } = {},
): ScalarFunction {
  const answersNull = options.answersNull === true
  const resolve = accept(typeof type === 'function' ? stringType : type, expected, options.optional ?? 0)
  return {
    name,
    syntax,
    doc,
    nulls: 'strict',
    answersNull,
    resolve: args => {
      const resolved = resolve(args)
      if (resolved === undefined) return undefined
      const result = typeof type === 'function' ? type(args) : resolved.type
      return { ...resolved, type: withNullable(result, resolved.type.nullable || answersNull) }
    },
    bind: () => run,
  }
}

const concatType = (args: readonly Argument[]): ValueType => {
  const all = args.every(({ type }) => type.root === 'CHAR')
  const length = args.reduce((sum, { type }) => Math.min(LENGTH_MAX, sum + type.precision), 0)
  return valueType(all ? 'CHAR' : 'VARCHAR', anyNullable(args), length)
}

const length = (name: string): ScalarFunction => ({
  ...simple(name, `${name}(s)`, 'code points', intType, [text], codePointCount),
  emit: (_, [a], emitter) => a && code`${emitter.constant(codePointCount)}(${a})`,
})

const trims = (name: string, where: 'BOTH' | 'LEADING' | 'TRAILING'): ScalarFunction =>
  simple(
    name,
    `${name}(s[, characters])`,
    'without characters blanks',
    sameText,
    [text, text],
    (s: string, characters = ' ') => trimEnds(s, characters, where),
    {
      optional: 1,
    },
  )

export const stringFunctions: readonly ScalarFunction[] = [
  {
    name: '||',
    syntax: 'a || b',
    doc: 'NULL when an operand is',
    nulls: 'strict',
    resolve: args =>
      args.length >= 2 && args.every(arg => text(arg.type)) ? { type: concatType(args), args: args.map(arg => arg.type) } : undefined,
    bind:
      () =>
      (...parts: string[]) =>
        parts.join(''),
    emit: (_, [a, b, ...rest]) => (a !== undefined && b !== undefined && rest.length === 0 ? code`(${a} + ${b})` : undefined),
  },
  {
    name: 'CONCAT',
    syntax: 'CONCAT(s, …)',
    doc: 'NULL when an argument is',
    nulls: 'strict',
    resolve: args =>
      args.length >= 1 && args.every(arg => text(arg.type) || arg.type.root === 'NULL')
        ? { type: withNullable(stringType, anyNullable(args)), args: args.map(arg => arg.type) }
        : undefined,
    bind:
      () =>
      (...parts: string[]) =>
        parts.join(''),
  },
  {
    name: 'CONCAT_WS',
    syntax: 'CONCAT_WS(separator, s, …)',
    doc: 'skips NULLs; NULL when the separator is',
    nulls: 'own',
    resolve: args => {
      const [separator] = args
      if (separator === undefined || args.length < 2 || !args.every(arg => text(arg.type))) return undefined
      return { type: withNullable(stringType, anyNullable(args)), args: args.map(arg => arg.type) }
    },
    bind:
      () =>
      (separator: string | null, ...parts: (string | null)[]) =>
        separator === null ? null : parts.filter(part => part !== null).join(separator),
  },
  length('CHAR_LENGTH'),
  length('CHARACTER_LENGTH'),
  simple('UPPER', 'UPPER(s)', 'by the root locale', sameKind, [text], (s: string) => s.toUpperCase()),
  simple('LOWER', 'LOWER(s)', 'by the root locale', sameKind, [text], (s: string) => s.toLowerCase()),
  simple('INITCAP', 'INITCAP(s)', 'words are runs of ASCII letters and digits', sameKind, [text], initcap),
  { ...trims('BTRIM', 'BOTH'), resolve: accept(stringType, [text, text], 1) },
  trims('LTRIM', 'LEADING'),
  trims('RTRIM', 'TRAILING'),
  {
    ...simple(
      'TRIM',
      'TRIM([BOTH|LEADING|TRAILING] [characters] FROM s)',
      'called as TRIM(where, characters, s); without characters blanks',
      stringType,
      [text, text, text],
      trimFrom,
    ),
    resolve: args => {
      const resolved =
        args.length === 1 ? accept(stringType, [text])(args) : args.length === 3 ? accept(stringType, [text, text, text])(args) : undefined
      return resolved && { ...resolved, type: withNullable(sameText(args.slice(-1)), resolved.type.nullable) }
    },
    bind: ({ args }) => (args.length === 1 ? (s: string) => trimEnds(s, ' ', 'BOTH') : trimFrom),
  },
  ...['SUBSTRING', 'SUBSTR'].map(name =>
    simple(name, `${name}(s, start[, length])`, 'a negative start counts from the end', sameText, [text, small, small], substring, {
      optional: 1,
      answersNull: true,
    }),
  ),
  simple('LEFT', 'LEFT(s, n)', 'the first n', sameText, [text, small], (s: string, n: number) => (n <= 0 ? '' : slice(s, 0, n))),
  simple('RIGHT', 'RIGHT(s, n)', 'the last n', sameText, [text, small], (s: string, n: number) =>
    n <= 0 ? '' : substring(s, -Math.min(n, codePointCount(s))),
  ),
  simple('POSITION', 'POSITION(part IN s)', 'from 1; 0 when absent', intType, [text, text], (part: string, s: string) => locate(part, s)),
  simple('LOCATE', 'LOCATE(part, s[, from])', 'from 1; 0 when absent', intType, [text, text, small], locate, { optional: 1 }),
  simple('INSTR', 'INSTR(s, part)', 'from 1; 0 when absent', intType, [text, text], (s: string, part: string) => locate(part, s)),
  simple('REPLACE', 'REPLACE(s, old, new)', 'every occurrence', stringType, [text, text, text], (s: string, old: string, by: string) =>
    wellFormed(s.replaceAll(old, () => by)),
  ),
  simple(
    'LPAD',
    'LPAD(s, length, padding)',
    'cuts what is longer; NULL for a negative length and for no padding',
    stringType,
    [text, small, text],
    (s: string, n: number, p: string) => wellFormed(pad(s, n, p, true)),
    { answersNull: true },
  ),
  simple(
    'RPAD',
    'RPAD(s, length, padding)',
    'cuts what is longer; NULL for a negative length and for no padding',
    stringType,
    [text, small, text],
    (s: string, n: number, p: string) => wellFormed(pad(s, n, p, false)),
    { answersNull: true },
  ),
  simple('REPEAT', 'REPEAT(s, n)', 'empty when n is not positive', stringType, [text, small], (s: string, n: number) => (n <= 0 ? '' : s.repeat(n))),
  simple('REVERSE', 'REVERSE(s)', 'by code points', stringType, [text], (s: string) => (isPlain(s) ? s.split('') : [...s]).reverse().join('')),
  simple('SPLIT_INDEX', 'SPLIT_INDEX(s, separator, n)', 'part n from 0; NULL when there is none', stringType, [text, text, small], splitIndex, {
    answersNull: true,
  }),
  simple('ASCII', 'ASCII(s)', 'of the first byte; 0 of an empty text', intType, [text], (s: string) =>
    s === '' ? 0 : (Buffer.from(s)[0]! << 24) >> 24,
  ),
  simple(
    'CHR',
    'CHR(n)',
    'the character of code n mod 256; empty when n is negative',
    stringType,
    [int],
    (n: number | bigint) => (n < 0 ? '' : String.fromCharCode(Number(BigInt.asUintN(8, BigInt(n))))),
    { answersNull: true },
  ),
  simple('STARTSWITH', 'STARTSWITH(s, part)', '', booleanType, [text, text], (s: string, part: string) => s.startsWith(part)),
  simple('ENDSWITH', 'ENDSWITH(s, part)', '', booleanType, [text, text], (s: string, part: string) => s.endsWith(part)),
  simple(
    'OVERLAY',
    'OVERLAY(s PLACING by FROM start [FOR length])',
    'a start outside the text changes nothing',
    overlayType,
    [text, text, small, small],
    overlay,
    { optional: 1 },
  ),
  {
    ...simple(
      'LIKE',
      "a LIKE pattern [ESCAPE 'c']",
      '% any run, _ one character; the backslash is an ordinary character without ESCAPE',
      booleanType,
      [text, text, text],
      like,
      { optional: 1 },
    ),
    throws: true,
    bind: call => {
      const [, pattern, escaping] = call.args
      // A pattern that is a literal, as nearly always, is read once.
      if (typeof pattern?.literal === 'string' && (call.args.length < 3 || typeof escaping?.literal === 'string')) {
        const matches = likeMatcher(pattern.literal, typeof escaping?.literal === 'string' ? escaping.literal : undefined, call)
        return (s: string) => matches(s)
      }
      return (s: string, p: string, e?: string) => likeMatcher(p, e, call)(s)
    },
  },
]

function like(): Value {
  return null
}

function trimFrom(where: string, characters: string, s: string): string {
  return trimEnds(s, characters, where === 'LEADING' || where === 'TRAILING' ? where : 'BOTH')
}

function overlay(s: string, by: string, start: number, length: number = codePointCount(by)): string {
  const count = codePointCount(s)
  if (start < 1 || start > count) return s
  return slice(s, 0, start - 1) + by + (length < 0 ? '' : slice(s, start - 1 + length, count))
}
