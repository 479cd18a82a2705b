import { unreachable } from '../../common/assert.ts'
import { printType, quoteName, quoteString } from '../types/type-text.ts'
import type { Call, Expression, FrameBound, Name, Path, SortItem, WindowSpecification } from './ast-expression.ts'
import type { Query } from './ast-query.ts'
import { reservedWords } from './keywords.ts'
import { qualifierName } from './parse-literal.ts'

/** Prints queries inside expressions; given by print.ts, so that the files need not import in circles. */
export type PrintQuery = (query: Query) => string

/** Names that read back without backticks keep none. */
export function printName(name: Name): string {
  return /^[\p{L}_][\p{L}\d_]*$/u.test(name.text) && !reservedWords.has(name.text.toUpperCase()) ? name.text : quoteName(name.text)
}

export function printPath(path: Path): string {
  return path.map(printName).join('.')
}

/** An expression as SQL. Every operand that is no plain name, literal or call stands in parentheses, so no binding power is needed to read it. */
export function printExpression(expression: Expression, query: PrintQuery): string {
  const print = (operand: Expression) => printExpression(operand, query)
  const list = (items: readonly Expression[]) => items.map(print).join(', ')
  const inner = (operand: Expression) => (isPlain(operand) ? print(operand) : `(${print(operand)})`)
  const not = (negated: boolean) => (negated ? ' NOT' : '')
  switch (expression.kind) {
    case 'null':
      return 'NULL'
    case 'boolean':
      return expression.value === undefined ? 'UNKNOWN' : expression.value ? 'TRUE' : 'FALSE'
    case 'number':
      return expression.text
    case 'string':
      return quoteString(expression.value)
    case 'bytes':
      return `X'${expression.hex}'`
    case 'temporal':
      return `${expression.type} ${quoteString(expression.text)}`
    case 'interval':
      return `INTERVAL ${expression.negative ? '-' : ''}${quoteString(expression.text)} ${qualifierName(expression.qualifier)}`
    case 'column':
      return printPath(expression.path)
    case 'star':
      return [...expression.path.map(printName), '*'].join('.')
    case 'call':
      return printCall(expression, query)
    case 'unary':
      return `${expression.operator}${expression.operator === 'NOT' ? ' ' : ''}${inner(expression.operand)}`
    case 'binary':
      return `${inner(expression.left)} ${expression.operator} ${inner(expression.right)}`
    case 'is': {
      const other = expression.other === undefined ? '' : ` ${inner(expression.other)}`
      return `${inner(expression.operand)} IS${not(expression.negated)} ${expression.test}${other}`
    }
    case 'between': {
      const symmetric = expression.symmetric ? ' SYMMETRIC' : ''
      return `${inner(expression.operand)}${not(expression.negated)} BETWEEN${symmetric} ${inner(expression.low)} AND ${inner(expression.high)}`
    }
    case 'in':
      return `${inner(expression.operand)}${not(expression.negated)} IN (${'kind' in expression.list ? query(expression.list) : list(expression.list)})`
    case 'like': {
      const escapedBy = expression.escape === undefined ? '' : ` ESCAPE ${inner(expression.escape)}`
      return `${inner(expression.operand)}${not(expression.negated)} ${expression.operator} ${inner(expression.pattern)}${escapedBy}`
    }
    case 'case': {
      const operand = expression.operand === undefined ? '' : ` ${print(expression.operand)}`
      const branches = expression.branches.map(branch => ` WHEN ${list(branch.when)} THEN ${print(branch.result)}`).join('')
      return `CASE${operand}${branches}${expression.otherwise === undefined ? '' : ` ELSE ${print(expression.otherwise)}`} END`
    }
    case 'cast':
      return `${expression.safe ? 'TRY_CAST' : 'CAST'}(${print(expression.operand)} AS ${printType(expression.type)})`
    case 'trim': {
      const characters = expression.characters === undefined ? '' : ` ${print(expression.characters)}`
      return `TRIM(${expression.where}${characters} FROM ${print(expression.operand)})`
    }
    case 'exists':
      return `EXISTS (${query(expression.query)})`
    case 'subquery':
      return `(${query(expression.query)})`
    case 'quantified': {
      const values = 'kind' in expression.list ? query(expression.list) : list(expression.list)
      return `${inner(expression.operand)} ${expression.operator} ${expression.quantifier} (${values})`
    }
    case 'row':
      return `${expression.explicit ? 'ROW' : ''}(${list(expression.items)})`
    case 'array':
      return `ARRAY[${list(expression.items)}]`
    case 'map':
      return `MAP[${list(expression.items)}]`
    case 'element':
      return `${inner(expression.operand)}[${print(expression.index)}]`
    case 'field':
      return `${expression.operand.kind === 'column' ? `(${print(expression.operand)})` : inner(expression.operand)}.${printName(expression.field)}`
    case 'unit':
      return expression.unit
    case 'named':
      return `${printName(expression.name)} => ${print(expression.value)}`
    case 'descriptor':
      return `DESCRIPTOR(${expression.columns.map(printName).join(', ')})`
    case 'table': {
      const table = 'kind' in expression.table ? `(${query(expression.table)})` : `TABLE ${printPath(expression.table)}`
      const partition = expression.partitionBy.length === 0 ? '' : ` PARTITION BY (${list(expression.partitionBy)})`
      return `${table}${partition}${expression.orderBy.length === 0 ? '' : ` ORDER BY (${printSortItems(expression.orderBy, query)})`}`
    }
    case 'default':
      return 'DEFAULT'
    default:
      return unreachable(expression)
  }
}

const plainKinds: readonly Expression['kind'][] = [
  'null',
  'boolean',
  'number',
  'string',
  'bytes',
  'column',
  'call',
  'cast',
  'trim',
  'exists',
  'subquery',
  'array',
  'map',
  'row',
  'temporal',
  'case',
  'element',
  'field',
  'interval',
]

function isPlain(expression: Expression): boolean {
  return plainKinds.includes(expression.kind)
}

export function printSortItems(items: readonly SortItem[], query: PrintQuery): string {
  return items
    .map(item => {
      const nulls = item.nulls === undefined ? '' : ` NULLS ${item.nulls}`
      return `${printExpression(item.expression, query)}${item.direction === undefined ? '' : ` ${item.direction}`}${nulls}`
    })
    .join(', ')
}

/** The arguments of calls that are no comma-separated list. */
function printArguments(call: Call, query: PrintQuery): string {
  const args = call.args.map(argument => printExpression(argument, query))
  const [first, second, third, fourth] = args
  switch (call.path.length === 1 ? call.path[0]?.text : '') {
    case 'EXTRACT':
      return `${first} FROM ${second}`
    case 'FLOOR':
    case 'CEIL':
    case 'CEILING':
      return args.join(' TO ')
    case 'POSITION':
      return `${parenthesized(call.args[0], first)} IN ${second}${third === undefined ? '' : ` FROM ${third}`}`
    case 'OVERLAY':
      return `${first} PLACING ${second} FROM ${third}${fourth === undefined ? '' : ` FOR ${fourth}`}`
    default:
      return args.join(', ')
  }
}

/** IN must not be read as the predicate of what stands before it. */
function parenthesized(operand: Expression | undefined, text: string | undefined): string {
  return operand !== undefined && isPlain(operand) ? (text ?? '') : `(${text ?? ''})`
}

function printCall(call: Call, query: PrintQuery): string {
  // Reserved function words are names here: backticks would make them a user's function.
  const name = call.path.length === 1 ? (call.path[0]?.text ?? '') : ''
  const path = reservedWords.has(name) ? name : printPath(call.path)
  if (call.niladic) return path
  const quantifier = call.quantifier === undefined ? '' : `${call.quantifier} `
  const nulls = call.nulls === undefined ? '' : ` ${call.nulls} NULLS`
  const within = call.withinGroup.length === 0 ? '' : ` WITHIN GROUP (ORDER BY ${printSortItems(call.withinGroup, query)})`
  const filter = call.filter === undefined ? '' : ` FILTER (WHERE ${printExpression(call.filter, query)})`
  const over = call.over === undefined ? '' : ` OVER ${'kind' in call.over ? printWindow(call.over, query) : printName(call.over)}`
  return `${path}(${quantifier}${printArguments(call, query)})${nulls}${within}${filter}${over}`
}

export function printWindow(window: WindowSpecification, query: PrintQuery): string {
  const parts: string[] = []
  if (window.base !== undefined) parts.push(printName(window.base))
  if (window.partitionBy.length > 0) parts.push(`PARTITION BY ${window.partitionBy.map(item => printExpression(item, query)).join(', ')}`)
  if (window.orderBy.length > 0) parts.push(`ORDER BY ${printSortItems(window.orderBy, query)}`)
  if (window.frame !== undefined) {
    const { unit, from, to } = window.frame
    parts.push(to === undefined ? `${unit} ${printBound(from, query)}` : `${unit} BETWEEN ${printBound(from, query)} AND ${printBound(to, query)}`)
  }
  return `(${parts.join(' ')})`
}

function printBound(bound: FrameBound, query: PrintQuery): string {
  switch (bound.kind) {
    case 'currentRow':
      return 'CURRENT ROW'
    case 'unboundedPreceding':
      return 'UNBOUNDED PRECEDING'
    case 'unboundedFollowing':
      return 'UNBOUNDED FOLLOWING'
    case 'preceding':
      return `${printExpression(bound.distance, query)} PRECEDING`
    case 'following':
      return `${printExpression(bound.distance, query)} FOLLOWING`
    default:
      return unreachable(bound)
  }
}
