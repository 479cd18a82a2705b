import { type Code, code } from '../../codegen/emit.ts'
import type { ScalarFunction } from './function.ts'
import { accept, anyNullable, commonType, comparisonType, isAny, isBooleanType } from './type-rules.ts'
import { booleanType, isBinary, isText, type Value, type ValueType, withNullable } from './value-type.ts'

/** Three-valued logic, comparisons and conditionals. */

/** UTF-8 order, which is that of code points: UTF-16's differs where a surrogate meets U+E000 and above. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    const surrogateX = x >= 0xd800 && x <= 0xdfff
    const surrogateY = y >= 0xd800 && y <= 0xdfff
    return surrogateX === surrogateY ? x - y : surrogateX ? 1 : -1
  }
  return a.length - b.length
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0)
  return a.length - b.length
}

/** Both of `type`, neither null. NaN answers NaN: it compares with nothing, as in Java. */
export function compareValues(type: ValueType, a: Value, b: Value): number {
  if (isText(type)) return compareText(a as string, b as string)
  if (isBinary(type)) return compareBytes(a as Uint8Array, b as Uint8Array)
  const [x, y] = [a as number, b as number]
  return x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN
}

const resolveComparison: ScalarFunction['resolve'] = args => {
  const [a, b] = args
  if (a === undefined || b === undefined || args.length > 2) return undefined
  const type = comparisonType(a.type, b.type)
  if (type === undefined) return undefined
  return { type: withNullable(booleanType, anyNullable(args)), args: [a, b].map(arg => withNullable(type, arg.type.nullable)) }
}

function comparison(name: string, test: (order: number) => boolean, operator: (a: Code, b: Code) => Code): ScalarFunction {
  return {
    name,
    syntax: `a ${name} b`,
    doc: 'numbers by value, strings by code point, times by instant; a string beside a date or time is read as one',
    nulls: 'strict',
    resolve: resolveComparison,
    bind: ({ args }) => {
      const type = args[0]?.type ?? booleanType
      return (a: Value, b: Value) => test(compareValues(type, a, b))
    },
    emit: ({ args }, [a, b], emitter) => {
      const type = args[0]?.type ?? booleanType
      if (a === undefined || b === undefined) return undefined
      if (isText(type)) return name === '=' || name === '<>' ? operator(a, b) : operator(code`${emitter.constant(compareText)}(${a}, ${b})`, code`0`)
      if (isBinary(type)) return operator(code`${emitter.constant(compareBytes)}(${a}, ${b})`, code`0`)
      return operator(a, b)
    },
  }
}

const distinct = (name: string, negated: boolean): ScalarFunction => ({
  name,
  syntax: `a ${name} b`,
  doc: 'a comparison for which NULL is a value; never NULL',
  nulls: 'own',
  resolve: args => {
    const resolved = resolveComparison(args)
    return resolved && { ...resolved, type: withNullable(booleanType, false) }
  },
  bind: ({ args }) => {
    const type = args[0]?.type ?? booleanType
    return (a: Value, b: Value) => (a === null || b === null ? (a === null) !== (b === null) : compareValues(type, a, b) !== 0) !== negated
  },
})

const truth = (name: string, answer: (value: boolean | null) => boolean): ScalarFunction => ({
  name,
  syntax: `a ${name}`,
  doc: 'never NULL',
  nulls: 'own',
  resolve: args =>
    accept(withNullable(booleanType, false), [name.endsWith('NULL') ? isAny : isBooleanType])(args) && {
      type: withNullable(booleanType, false),
      args: args.map(({ type }) => type),
    },
  bind: () => (value: boolean | null) => answer(value),
})

const logic = (name: 'AND' | 'OR', doc: string): ScalarFunction => ({
  name,
  syntax: `a ${name} b …`,
  doc,
  nulls: 'lazy',
  resolve: args =>
    args.length < 2
      ? undefined
      : accept(
          booleanType,
          args.map(() => isBooleanType),
        )(args),
  bind: () => () => null,
})

const conditional = (name: string, syntax: string, doc: string, resolve: ScalarFunction['resolve']): ScalarFunction => ({
  name,
  syntax,
  doc,
  nulls: 'lazy',
  resolve,
  bind: () => () => null,
})

export const logicFunctions: readonly ScalarFunction[] = [
  logic('AND', 'FALSE when an operand is FALSE, else NULL when one is NULL; later operands are evaluated only when needed'),
  logic('OR', 'TRUE when an operand is TRUE, else NULL when one is NULL; later operands are evaluated only when needed'),
  {
    name: 'NOT',
    syntax: 'NOT a',
    doc: 'NULL of NULL',
    nulls: 'strict',
    resolve: accept(booleanType, [isBooleanType]),
    bind: () => (a: boolean) => !a,
    emit: (_, [a]) => a && code`!${a}`,
  },
  truth('IS TRUE', value => value === true),
  truth('IS NOT TRUE', value => value !== true),
  truth('IS FALSE', value => value === false),
  truth('IS NOT FALSE', value => value !== false),
  truth('IS NULL', value => value === null),
  truth('IS NOT NULL', value => value !== null),
  comparison(
    '=',
    order => order === 0,
    (a, b) => code`${a} === ${b}`,
  ),
  comparison(
    '<>',
    order => order !== 0,
    (a, b) => code`${a} !== ${b}`,
  ),
  comparison(
    '<',
    order => order < 0,
    (a, b) => code`${a} < ${b}`,
  ),
  comparison(
    '<=',
    order => order <= 0,
    (a, b) => code`${a} <= ${b}`,
  ),
  comparison(
    '>',
    order => order > 0,
    (a, b) => code`${a} > ${b}`,
  ),
  comparison(
    '>=',
    order => order >= 0,
    (a, b) => code`${a} >= ${b}`,
  ),
  distinct('IS DISTINCT FROM', false),
  distinct('IS NOT DISTINCT FROM', true),
  {
    name: 'IN',
    syntax: 'a IN (b, …)',
    doc: 'TRUE when one equals, else NULL when one is NULL; NOT IN is NOT of it',
    nulls: 'own',
    resolve: args => {
      const type = args
        .map(arg => arg.type)
        .reduce<ValueType | undefined>((all, next) => (all === undefined ? undefined : comparisonType(all, next)), args[0]?.type)
      if (type === undefined || args.length < 2) return undefined
      return { type: withNullable(booleanType, anyNullable(args)), args: args.map(arg => withNullable(type, arg.type.nullable)) }
    },
    bind: ({ args }) => {
      const type = args[0]?.type ?? booleanType
      return (a: Value, ...list: Value[]) => {
        if (a === null) return null
        let unknown = false
        for (const b of list)
          if (b === null) unknown = true
          else if (compareValues(type, a, b) === 0) return true
        return unknown ? null : false
      }
    },
  },
  conditional('CASE', 'CASE WHEN a THEN x … ELSE y END', 'the value of the first branch whose condition is TRUE; others are not evaluated', args => {
    const conditions = args.filter((_, i) => i % 2 === 0 && i < args.length - 1)
    const results = args.filter((_, i) => i % 2 === 1 || i === args.length - 1)
    if (args.length < 3 || args.length % 2 === 0 || !conditions.every(({ type }) => isBooleanType(type))) return undefined
    const type = commonType(results.map(arg => arg.type))
    return type && { type, args: args.map((arg, i) => (results.includes(arg) || i === args.length - 1 ? type : arg.type)) }
  }),
  conditional('IF', 'IF(a, x, y)', 'x when a is TRUE, else y', ([a, x, y, ...rest]) => {
    if (a === undefined || x === undefined || y === undefined || rest.length > 0 || !isBooleanType(a.type)) return undefined
    const type = commonType([x.type, y.type])
    return (
      type && {
        type: withNullable(type, anyNullable([a, x, y])),
        args: [a.type, withNullable(type, x.type.nullable), withNullable(type, y.type.nullable)],
      }
    )
  }),
  conditional('COALESCE', 'COALESCE(x, …)', 'the first that is not NULL; later ones are not evaluated', resolveCoalesce),
  conditional('IFNULL', 'IFNULL(x, y)', 'COALESCE of two', args => (args.length === 2 ? resolveCoalesce(args) : undefined)),
  {
    name: 'NULLIF',
    syntax: 'NULLIF(x, y)',
    doc: 'NULL when x = y, else x',
    nulls: 'own',
    answersNull: true,
    resolve: ([x, y, ...rest]) => {
      if (x === undefined || y === undefined || rest.length > 0) return undefined
      const type = comparisonType(x.type, y.type)
      // Only a comparison without casts keeps x as it is.
      return type && type.root === x.type.root && type.scale === x.type.scale
        ? { type: withNullable(x.type, true), args: [x.type, withNullable(type, y.type.nullable)] }
        : undefined
    },
    bind: ({ args }) => {
      const type = args[1]?.type ?? booleanType
      return (x: Value, y: Value) => (x === null || y === null || compareValues(type, x, y) !== 0 ? x : null)
    },
  },
  ...(['GREATEST', 'LEAST'] as const).map(
    (name): ScalarFunction => ({
      name,
      syntax: `${name}(x, …)`,
      doc: 'NULL when an argument is',
      nulls: 'strict',
      resolve: args => {
        const type = commonType(args.map(arg => arg.type))
        return args.length < 2 || type === undefined ? undefined : { type, args: args.map(arg => withNullable(type, arg.type.nullable)) }
      },
      bind: ({ type }) => {
        const sign = name === 'GREATEST' ? 1 : -1
        return (...values: Value[]) => values.reduce((best, next) => (compareValues(type, next, best) * sign > 0 ? next : best))
      },
    }),
  ),
]

function resolveCoalesce(args: Parameters<ScalarFunction['resolve']>[0]): ReturnType<ScalarFunction['resolve']> {
  const common = commonType(args.map(arg => arg.type))
  if (common === undefined || args.length === 0) return undefined
  const type = withNullable(
    common,
    args.every(arg => arg.type.nullable),
  )
  return { type, args: args.map(arg => withNullable(type, arg.type.nullable)) }
}
