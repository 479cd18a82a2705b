import { scalarFunction } from '../../functions/function-table.ts'
import type { Expression } from '../../plan/expression.ts'
import { addColumns, expressionSize, isNotNull, mapColumns } from '../expressions.ts'
import { type LogicalNode, type LogicalProject, rewrite } from '../logical.ts'

/**
 * Projections and filters that follow one another become one calc: a filter goes below the projection that it reads, two filters become an AND,
 * two projections one. Nothing is merged that would work something dear out twice, or look at a row that a filter keeps from it.
 */
export function mergeCalcs(root: LogicalNode): LogicalNode {
  return rewrite(root, mergeOne)
}

function mergeOne(node: LogicalNode): LogicalNode {
  if (node.kind === 'filter') {
    const { input } = node
    if (input.kind === 'filter') return { ...input, condition: and(input.condition, node.condition) }
    if (input.kind === 'project' && mayInline([node.condition], input)) {
      return { ...input, input: mergeOne({ kind: 'filter', input: input.input, condition: inline(node.condition, input) }) }
    }
  }
  if (node.kind === 'project' && node.input.kind === 'project' && mayInline(node.projections, node.input)) {
    const { input } = node
    return mergeOne({ ...node, input: input.input, projections: node.projections.map(projection => inline(projection, input)) })
  }
  return node
}

function inline(expression: Expression, below: LogicalProject): Expression {
  return mapColumns(expression, index => below.projections[index]!)
}

/** An expression that is used more than once is worth its own place, unless it is small. What may throw or depends on the time is worked out where it stands. */
function mayInline(above: readonly Expression[], below: LogicalProject): boolean {
  const uses = below.projections.map(() => 0)
  for (const expression of above) {
    const used = new Set<number>()
    addColumns(expression, used)
    for (const index of used) uses[index]!++
  }
  let size = 0
  for (const [i, projection] of below.projections.entries()) {
    if (projection.kind !== 'call') continue
    if (isDynamic(projection)) return false
    size += expressionSize(projection) * (uses[i] ?? 0)
    if ((uses[i] ?? 0) > 1 && expressionSize(projection) > INLINED_SIZE_MAX) return false
  }
  return size <= MERGED_SIZE_MAX
}

const INLINED_SIZE_MAX = 8
const MERGED_SIZE_MAX = 2000

function isDynamic(expression: Expression): boolean {
  return expression.kind === 'call' && (scalarFunction(expression.name)?.dynamic === true || expression.arguments.some(isDynamic))
}

/** The second condition sees no row that the first keeps from it: AND goes on after NULL, a filter does not. */
function and(first: Expression, b: Expression): Expression {
  const a: Expression =
    isNotNull(first.type) || !mayThrow(b) ? first : { kind: 'call', name: 'IS TRUE', arguments: [first], type: 'BOOLEAN NOT NULL', position: '' }
  const parts = [a, b].flatMap(part => (part.kind === 'call' && part.name === 'AND' ? part.arguments : [part]))
  const nullable = !parts.every(({ type }) => isNotNull(type))
  return { kind: 'call', name: 'AND', arguments: parts, type: nullable ? 'BOOLEAN' : 'BOOLEAN NOT NULL', position: '' }
}

function mayThrow(expression: Expression): boolean {
  return expression.kind === 'call' && (scalarFunction(expression.name)?.throws === true || expression.arguments.some(mayThrow))
}
