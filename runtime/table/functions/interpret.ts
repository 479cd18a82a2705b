import { assert } from '../../common/assert.ts'
import type { Expression } from '../plan/expression.ts'
import { bindCall, bindFunction, definitionOf, literalValue } from './bind-call.ts'
import type { Environment } from './function.ts'
import type { Value } from './value-type.ts'

/** Expressions evaluated as a tree of closures: the twin that generated loops are tested against, and the path for what is too large for one. */
export type Evaluator = (row: readonly Value[]) => Value

export function interpretExpression(expression: Expression, environment: Environment): Evaluator {
  if (expression.kind === 'column') {
    const { index } = expression
    return row => row[index] ?? null
  }
  if (expression.kind === 'literal') {
    const value = literalValue(expression)
    return () => value
  }
  const definition = definitionOf(expression)
  const args = expression.arguments.map(argument => interpretExpression(argument, environment))
  if (definition.nulls === 'lazy') return interpretLazy(definition.name, args)
  // The function's arguments follow the call's types; its signature cannot say so.
  const run = bindFunction(definition, bindCall(expression), environment) as (...values: Value[]) => Value
  if (definition.nulls === 'own') return row => run(...args.map(argument => argument(row)))
  return row => {
    const values: Value[] = []
    let isNull = false
    for (const argument of args) {
      const value = argument(row)
      if (value === null) isNull = true
      values.push(value)
    }
    return isNull ? null : run(...values)
  }
}

function interpretLazy(name: string, args: readonly Evaluator[]): Evaluator {
  switch (name) {
    case 'AND':
    case 'OR': {
      const decisive = name === 'OR'
      return row => {
        let unknown = false
        for (const argument of args) {
          const value = argument(row)
          if (value === decisive) return decisive
          if (value === null) unknown = true
        }
        return unknown ? null : !decisive
      }
    }
    case 'CASE':
    case 'IF':
      return row => {
        let i = 0
        for (; i + 1 < args.length; i += 2) if (args[i]?.(row) === true) return args[i + 1]?.(row) ?? null
        return args[i]?.(row) ?? null
      }
    default:
      assert(name === 'COALESCE' || name === 'IFNULL', `lazy function ${name} is interpreted`)
      return row => {
        for (const argument of args) {
          const value = argument(row)
          if (value !== null) return value
        }
        return null
      }
  }
}
