import { FlinkError } from '../../../runtime/common/errors.ts'
import { type Random, seededRandom } from '../../../runtime/common/random.ts'
import { scalarFunction, scalarFunctionNames } from '../../../runtime/table/functions/function-table.ts'
import { resolveCall, resolveCast } from '../../../runtime/table/functions/resolve-call.ts'
import { isApproximate, isInteger, isText, parseValueType, type TypeRoot } from '../../../runtime/table/functions/value-type.ts'
import type { Expression, Schema } from '../../../runtime/table/plan/expression.ts'
import { columnRoots, oneIn, pick, randomLiteral, randomType } from './values.ts'

/**
 * Random expressions of a wanted type, over the whole function library: which functions answer which type for which arguments is asked of the
 * library itself, once.
 */
export interface ExpressionOptions {
  readonly schema: Schema
  /** Also what may fail at run time, such as a division by a column. */
  readonly throwing: boolean
  /** Only functions of this set; undefined = all. */
  readonly names?: ReadonlySet<string> | undefined
}

interface Production {
  readonly name: string
  /** A unit or a format stands as a literal. */
  readonly args: readonly (TypeRoot | { readonly literal: string })[]
}

const units = ['YEAR', 'QUARTER', 'MONTH', 'WEEK', 'DAY', 'HOUR', 'MINUTE', 'SECOND', 'DOW', 'DECADE', 'EPOCH']
const zones = ['UTC', 'Asia/Tokyo', '+02:00']
const roots: readonly TypeRoot[] = [...columnRoots, 'INTERVAL_MONTHS', 'INTERVAL_MS']
const sampleOf = (root: TypeRoot): Expression => ({ kind: 'literal', value: null, type: randomType(seededRandom(1), root).replace(' NOT NULL', '') })
const byResult = new Map<TypeRoot, Map<string, Production[]>>()

function productions(): typeof byResult {
  if (byResult.size > 0) return byResult
  const random = seededRandom(0)
  const samples = new Map(roots.map(root => [root, sampleOf(root)] as const))
  const expressionOf = (arg: Production['args'][number]): Expression =>
    typeof arg === 'string' ? samples.get(arg)! : { kind: 'literal', value: arg.literal, type: 'STRING NOT NULL' }
  const consider = (name: string, args: Production['args']) => {
    let call: Expression | undefined
    try {
      call = resolveCall(name, args.map(expressionOf), '')
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
    }
    if (call === undefined) return
    const { root } = parseValueType(call.type)
    const ofRoot = byResult.get(root) ?? new Map<string, Production[]>()
    byResult.set(root, ofRoot)
    ofRoot.set(name, [...(ofRoot.get(name) ?? []), { name, args }])
  }
  for (const name of scalarFunctionNames()) {
    if (name === 'CAST' || name === 'TRY_CAST') continue
    consider(name, [])
    for (const a of roots) {
      consider(name, [a])
      for (const b of roots) consider(name, [a, b])
      for (const b of ['VARCHAR', 'INT'] as const) consider(name, ['VARCHAR', b, a])
      for (const unit of units) consider(name, [{ literal: unit }, a])
      for (const unit of units) consider(name, [a, { literal: unit }])
    }
    for (let i = 0; i < 150; i++) {
      const [a, b, c] = [pick(random, roots), pick(random, roots), pick(random, roots)]
      consider(name, [a, b, c])
      consider(name, [a, a, a])
      consider(name, ['BOOLEAN', a, a])
      consider(name, [{ literal: pick(random, units) }, a, b])
      consider(name, ['BOOLEAN', a, 'BOOLEAN', a, a])
      consider(name, [a, b, c, pick(random, roots)])
    }
  }
  return byResult
}

/** Over columns of the schema, if one is found soon. */
export function randomColumnExpression(random: Random, root: TypeRoot, depth: number, options: ExpressionOptions): Expression {
  let expression = randomExpression(random, root, depth, options)
  for (let i = 0; i < 5 && !readsColumn(expression); i++) expression = randomExpression(random, root, depth, options)
  return expression
}

/** Of a type with this root. */
export function randomExpression(random: Random, root: TypeRoot, depth: number, options: ExpressionOptions): Expression {
  if (depth === 0 || oneIn(random, 6)) return leaf(random, root, options)
  for (let attempt = 0; attempt < 6; attempt++) {
    const made = oneIn(random, 5) ? cast(random, root, depth, options) : call(random, root, depth, options)
    if (made !== undefined && (options.throwing || !mayThrow(made))) return made
  }
  return leaf(random, root, options)
}

function leaf(random: Random, root: TypeRoot, { schema }: ExpressionOptions): Expression {
  const columns = schema.flatMap(({ type }, index) => (parseValueType(type).root === root ? [{ index, type }] : []))
  if (columns.length > 0 && !oneIn(random, 6)) return { kind: 'column', ...pick(random, columns) }
  return randomLiteral(random, root)
}

function cast(random: Random, root: TypeRoot, depth: number, options: ExpressionOptions): Expression | undefined {
  const tries = oneIn(random, 2)
  const name = tries ? 'TRY_CAST' : 'CAST'
  if (options.names !== undefined && !options.names.has(name)) return undefined
  const from = pick(random, options.names === undefined ? columnRoots : numberRoots)
  const to = oneIn(random, 8) && root === 'VARCHAR' ? 'CHAR(4)' : randomType(random, root).replace(' NOT NULL', '')
  return resolveCast(randomExpression(random, from, depth - 1, options), to, position(random), tries)
}

/** Casts among these are in the model. */
const numberRoots: readonly TypeRoot[] = ['TINYINT', 'SMALLINT', 'INT', 'BIGINT']

function call(random: Random, root: TypeRoot, depth: number, options: ExpressionOptions): Expression | undefined {
  const ofRoot = productions().get(root)
  if (ofRoot === undefined) return undefined
  const { names } = options
  const candidates = names === undefined ? [...ofRoot.keys()] : [...ofRoot.keys()].filter(name => names.has(name))
  if (candidates.length === 0) return undefined
  const present = new Set(options.schema.map(({ type }) => parseValueType(type).root))
  // Of a few the one whose arguments may be columns: over literals alone every row says the same.
  let best: Production | undefined
  let bestScore = -1
  const common = candidates.filter(name => commonNames.has(name))
  const from = common.length > 0 && oneIn(random, 3) ? common : candidates
  for (let i = 0; i < 3; i++) {
    const production = pick(random, ofRoot.get(pick(random, from))!)
    const score = production.args.filter(arg => typeof arg === 'string' && present.has(arg)).length
    if (score > bestScore) [best, bestScore] = [production, score]
  }
  const { name, args } = best!
  const made = args.map((arg, i): Expression => {
    if (typeof arg !== 'string') return { kind: 'literal', value: arg.literal, type: 'STRING NOT NULL' }
    // A length of two thousand million characters is a test of the memory.
    if (i === 1 && ['REPEAT', 'LPAD', 'RPAD'].includes(name)) return { kind: 'literal', value: random.nextInt(9), type: 'INT NOT NULL' }
    // Bytes are searched for a literal of one byte.
    if (i === 1 && name === 'SPLIT_INDEX' && oneIn(random, 2))
      return { kind: 'literal', value: pick(random, ['/', 'a', 'é']), type: 'CHAR(1) NOT NULL' }
    if (i > 0 && name === 'CONVERT_TZ') return { kind: 'literal', value: pick(random, zones), type: 'STRING NOT NULL' }
    return randomExpression(random, arg, depth - 1, options)
  })
  if (!options.throwing && ['/', '%', 'MOD'].includes(name) && made.length === 2) {
    const first = parseValueType(made[0]!.type)
    made[1] = { kind: 'literal', value: 3, type: `${isInteger(first) ? first.root : 'INT'} NOT NULL` }
  }
  try {
    const resolved = resolveCall(name, made, position(random))
    return resolved !== undefined && parseValueType(resolved.type).root === root ? resolved : undefined
  } catch (error) {
    if (error instanceof FlinkError) return undefined
    throw error
  }
}

/** What most queries are made of, and what loops hold inline. */
const commonNames: ReadonlySet<string> = new Set(['+', '-', '*', '/', '%', '=', '<>', '<', '<=', '>', '>=', 'AND', 'OR', 'NOT'])

const position = (random: Random): string => `${1 + random.nextInt(9)}:${1 + random.nextInt(80)}`

/** May have no value for some row; implicit casts of the arguments included. */
export function mayThrow(expression: Expression): boolean {
  if (expression.kind !== 'call') return false
  const { name, arguments: args } = expression
  if (args.some(mayThrow)) return true
  if (scalarFunction(name)?.throws !== true) return false
  const [first, second] = args
  if (name === 'CAST') return first !== undefined && isText(parseValueType(first.type)) && !isText(parseValueType(expression.type))
  if (name === 'LIKE') return args.length > 2
  if (isApproximate(parseValueType(expression.type))) return false
  return !isNonZero(second)
}

function isNonZero(expression: Expression | undefined): boolean {
  if (expression?.kind === 'call' && expression.name === 'CAST') return isNonZero(expression.arguments[0])
  return expression?.kind === 'literal' && Number(expression.value) !== 0 && expression.value !== null
}

export function readsColumn(expression: Expression): boolean {
  return expression.kind === 'column' || (expression.kind === 'call' && expression.arguments.some(readsColumn))
}

/** Functions that stand in the expression. */
export function functionNames(expression: Expression, into: Set<string> = new Set()): Set<string> {
  if (expression.kind === 'call') {
    into.add(expression.name)
    for (const argument of expression.arguments) functionNames(argument, into)
  }
  return into
}
