import { unreachable } from '../../common/assert.ts'
import { refusedFunctions, scalarFunction, scalarFunctionNames } from '../functions/function-table.ts'
import { resolveCall, resolveCast } from '../functions/resolve-call.ts'
import type { Expression } from '../plan/expression.ts'
import type * as ast from '../sql/ast-expression.ts'
import { printType } from '../types/type-text.ts'
import { aggregateNames } from './aggregate-functions.ts'
import { bindInterval, bindNumber, bindTemporal, literal, textLiteral } from './bind-literal.ts'
import { candidatesText, at as inside, notSupportedYet, planError, positionText, type SqlPosition } from './plan-error.ts'
import { findColumn, referenceOf, type ScopeColumn } from './scope.ts'

/**
 * Expressions of SQL to typed ones: names resolved in a scope, functions by `resolve` with implicit casts made explicit. What stands behind an
 * aggregation gets an `intercept`, which answers for group keys and aggregate calls before anything else is looked at.
 */
export interface ExpressionScope {
  readonly columns: readonly ScopeColumn[]
  /** In the words of the clause, for an aggregate call that stands where none may. */
  readonly clause: string
  readonly intercept?: (expression: ast.Expression) => Expression | undefined
}

export function bindExpression(expression: ast.Expression, scope: ExpressionScope): Expression {
  const intercepted = scope.intercept?.(expression)
  if (intercepted !== undefined) return intercepted
  const bind = (inner: ast.Expression) => bindExpression(inner, scope)
  const { pos } = expression
  const call = (name: string, args: readonly Expression[]) => callOf(name, args, pos)
  const negatable = (bound: Expression, negated: boolean) => (negated ? call('NOT', [bound]) : bound)
  switch (expression.kind) {
    case 'null':
      return literal(null, 'NULL')
    case 'boolean':
      return expression.value === undefined ? literal(null, 'BOOLEAN') : literal(expression.value, 'BOOLEAN NOT NULL')
    case 'number':
      return bindNumber(expression, false)
    case 'string':
      return textLiteral(expression.value)
    case 'bytes':
      return literal(expression.hex, `BINARY(${Math.max(1, expression.hex.length / 2)}) NOT NULL`)
    case 'temporal':
      return bindTemporal(expression)
    case 'interval':
      return bindInterval(expression)
    case 'column':
      return bindColumn(expression, scope)
    case 'call':
      return bindCall(expression, scope)
    case 'unary': {
      const { operator, operand } = expression
      if (operator === '-' && operand.kind === 'number') return bindNumber(operand, true)
      const bound = bind(operand)
      return operator === '+' ? bound : call(operator, [bound])
    }
    case 'binary':
      if (expression.operator === 'OVERLAPS') throw notSupportedYet(pos, 'OVERLAPS')
      return call(expression.operator, [bind(expression.left), bind(expression.right)])
    case 'is': {
      const { test, negated, operand, other } = expression
      if (test.startsWith('JSON')) throw notSupportedYet(pos, `IS ${test}`)
      return call(`IS ${negated ? 'NOT ' : ''}${test}`, other === undefined ? [bind(operand)] : [bind(operand), bind(other)])
    }
    case 'between': {
      if (expression.symmetric) throw notSupportedYet(pos, 'BETWEEN SYMMETRIC')
      const operand = bind(expression.operand)
      const both = call('AND', [call('>=', [operand, bind(expression.low)]), call('<=', [operand, bind(expression.high)])])
      return negatable(both, expression.negated)
    }
    case 'in': {
      if (!Array.isArray(expression.list)) throw notSupportedYet(pos, 'IN with a query')
      return negatable(call('IN', [bind(expression.operand), ...(expression.list as readonly ast.Expression[]).map(bind)]), expression.negated)
    }
    case 'like': {
      if (expression.operator !== 'LIKE') throw notSupportedYet(pos, expression.operator)
      const operands = [expression.operand, expression.pattern, ...(expression.escape === undefined ? [] : [expression.escape])]
      return negatable(call('LIKE', operands.map(bind)), expression.negated)
    }
    case 'case':
      return bindCase(expression, scope)
    case 'cast': {
      const operand = bind(expression.operand)
      const type = printType(expression.type)
      const cast = inside(pos, () => resolveCast(operand, type, positionText(pos), expression.safe))
      if (cast === undefined) throw planError(pos, `a value of type ${operand.type} cannot be cast to ${type}`)
      return cast
    }
    case 'trim': {
      const characters = expression.characters === undefined ? textLiteral(' ') : bind(expression.characters)
      return call('TRIM', [textLiteral(expression.where), characters, bind(expression.operand)])
    }
    case 'unit':
      return textLiteral(expression.unit)
    case 'star':
      throw planError(pos, '* stands only in the list of SELECT and in COUNT(*)')
    case 'field':
      throw notSupportedYet(pos, 'a field of a ROW that is no column')
    case 'element':
      throw notSupportedYet(pos, 'access to an element')
    case 'row':
      throw notSupportedYet(pos, 'a ROW value')
    case 'array':
      throw notSupportedYet(pos, 'an ARRAY value')
    case 'map':
      throw notSupportedYet(pos, 'a MAP value')
    case 'exists':
      throw notSupportedYet(pos, 'EXISTS')
    case 'subquery':
      throw notSupportedYet(pos, 'a query as a value')
    case 'quantified':
      throw notSupportedYet(pos, `${expression.operator} ${expression.quantifier}`)
    case 'named':
      throw notSupportedYet(pos, 'a named argument')
    case 'descriptor':
      throw planError(pos, 'DESCRIPTOR stands only in a window table function')
    case 'table':
      throw planError(pos, 'a table stands only in a window table function')
    case 'default':
      throw planError(pos, 'DEFAULT has no meaning here')
    default:
      return unreachable(expression)
  }
}

/** A condition of WHERE, HAVING or FILTER. */
export function bindCondition(expression: ast.Expression, scope: ExpressionScope): Expression {
  const bound = bindExpression(expression, scope)
  if (!/^(BOOLEAN|NULL)\b/.test(bound.type)) throw planError(expression.pos, `${scope.clause} takes a BOOLEAN, got ${bound.type}`)
  return bound
}

export function callOf(name: string, args: readonly Expression[], pos: SqlPosition): Expression {
  const resolved = inside(pos, () => resolveCall(name, args, positionText(pos)))
  if (resolved !== undefined) return resolved
  const types = args.map(({ type }) => type).join(', ')
  throw planError(pos, `function ${name} does not take (${types}), expected ${scalarFunction(name)?.syntax ?? 'another name'}`)
}

function bindColumn({ path, pos }: ast.ColumnReference, scope: ExpressionScope): Expression {
  const column = findColumn(path, scope.columns)
  if (column.fields !== undefined)
    throw notSupportedYet(pos, `ROW column '${column.name}' as a whole (name one of its fields: ${column.fields.map(({ name }) => name).join(', ')})`)
  return referenceOf(column)
}

function bindCall(call: ast.Call, scope: ExpressionScope): Expression {
  const { pos, path, args } = call
  const name = path
    .map(({ text }) => text)
    .join('.')
    .toUpperCase()
  if (call.over !== undefined) throw notSupportedYet(pos, `${name} OVER`)
  if (aggregateNames.includes(name)) throw planError(pos, `aggregate function ${name} is not allowed in ${scope.clause}`)
  if (call.withinGroup.length > 0) throw notSupportedYet(pos, 'WITHIN GROUP')
  if (call.filter !== undefined) throw planError(pos, `FILTER belongs to an aggregate function, ${name} is none`)
  if (call.quantifier !== undefined) throw planError(pos, `${call.quantifier} belongs to an aggregate function, ${name} is none`)
  if (/^(TUMBLE|HOP|SESSION|CUMULATE)(_START|_END|_ROWTIME|_PROCTIME)?$/.test(name))
    throw planError(pos, `${name} has no group window: GROUP BY must hold the window itself, with the same arguments`)
  if (scalarFunction(name) === undefined) {
    if (refusedFunctions.includes(name)) throw notSupportedYet(pos, `function ${name}`)
    throw planError(pos, `function ${name} is not known${candidatesText(name, [...scalarFunctionNames(), ...aggregateNames])}`)
  }
  return callOf(
    name,
    args.map(arg => bindExpression(arg, scope)),
    pos,
  )
}

function bindCase({ operand, branches, otherwise, pos }: ast.Case, scope: ExpressionScope): Expression {
  const subject = operand === undefined ? undefined : bindExpression(operand, scope)
  const args: Expression[] = []
  for (const { when, result } of branches) {
    const tests = when.map(test => {
      const bound = bindExpression(test, scope)
      return subject === undefined ? bound : callOf('=', [subject, bound], test.pos)
    })
    args.push(tests.length === 1 ? tests[0]! : callOf('OR', tests, pos), bindExpression(result, scope))
  }
  args.push(otherwise === undefined ? literal(null, 'NULL') : bindExpression(otherwise, scope))
  return callOf('CASE', args, pos)
}
