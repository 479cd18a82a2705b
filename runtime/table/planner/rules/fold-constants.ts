import { FlinkError } from '../../../common/errors.ts'
import { toRowForm } from '../../functions/frame-values.ts'
import { NoValue } from '../../functions/function.ts'
import { scalarFunction } from '../../functions/function-table.ts'
import { interpretExpression } from '../../functions/interpret.ts'
import { timeZone } from '../../functions/time-zone.ts'
import { parseValueType } from '../../functions/value-type.ts'
import type { Expression } from '../../plan/expression.ts'
import { type LogicalNode, rewrite } from '../logical.ts'

/** Calls of constants become their values; one without a value (1 / 0) stays, for it fails only when a row needs it. TRUE and FALSE shorten AND and OR. */
export function foldConstants(root: LogicalNode, zone: string): LogicalNode {
  const environment = { timeZone: timeZone(zone), frameTimeMs: 0 }
  const fold = (expression: Expression): Expression => {
    if (expression.kind !== 'call') return expression
    const args = expression.arguments.map(fold)
    const folded = args.some((arg, i) => arg !== expression.arguments[i]) ? { ...expression, arguments: args } : expression
    const definition = scalarFunction(expression.name)
    if (definition === undefined || definition.dynamic === true) return folded
    if (expression.name === 'AND' || expression.name === 'OR') return foldLogic(folded, expression.name === 'OR')
    if (args.length === 0 || !args.every(arg => arg.kind === 'literal')) return folded
    const type = parseValueType(expression.type)
    try {
      const value = toRowForm(type, interpretExpression(folded, environment)([]))
      if (value instanceof Uint8Array) return folded
      const plain = typeof value === 'bigint' ? value.toString() : value
      if (typeof plain === 'number' && (!Number.isFinite(plain) || Object.is(plain, -0))) return folded
      return { kind: 'literal', value: plain, type: expression.type }
    } catch (error) {
      if (error instanceof NoValue || error instanceof FlinkError) return folded
      throw error
    }
  }
  return rewrite(root, node => {
    switch (node.kind) {
      case 'filter': {
        const condition = fold(node.condition)
        if (condition.kind === 'literal' && condition.value === true) return node.input
        return condition === node.condition ? node : { ...node, condition }
      }
      case 'project': {
        const projections = node.projections.map(fold)
        return projections.some((projection, i) => projection !== node.projections[i]) ? { ...node, projections } : node
      }
      case 'watermark': {
        const expression = fold(node.expression)
        return expression === node.expression ? node : { ...node, expression }
      }
      default:
        return node
    }
  })
}

function foldLogic(expression: Extract<Expression, { kind: 'call' }>, decisive: boolean): Expression {
  const open: Expression[] = []
  for (const argument of expression.arguments) {
    if (argument.kind !== 'literal' || argument.value === null) open.push(argument)
    else if (argument.value === decisive) return { kind: 'literal', value: decisive, type: 'BOOLEAN NOT NULL' }
  }
  if (open.length === 0) return { kind: 'literal', value: !decisive, type: 'BOOLEAN NOT NULL' }
  if (open.length === expression.arguments.length) return expression
  return open.length === 1 ? open[0]! : { ...expression, arguments: open }
}
