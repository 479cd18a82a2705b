import type { Expression } from '../plan/expression.ts'
import type { AggregateCall } from '../plan/physical.ts'
import type * as ast from '../sql/ast-expression.ts'
import type { GroupingElement, Select } from '../sql/ast-query.ts'
import { printExpressionText } from '../sql/print.ts'
import { aggregateCall, isAggregate } from './aggregate-functions.ts'
import { bindCondition, bindExpression, type ExpressionScope } from './bind-expression.ts'
import { groupWindow } from './bind-window.ts'
import { columnReference, expressionKey, isNotNull } from './expressions.ts'
import { type LogicalAggregate, type LogicalNode, schemaOf, type WindowColumn } from './logical.ts'
import { notSupportedYet, planError } from './plan-error.ts'
import { type ExpandedItem, isRowtime, nameOf, type Projected, project } from './projection.ts'
import type { Relation } from './scope.ts'

/**
 * A SELECT with GROUP BY or aggregate functions:
 *
 * 1. a projection of the group keys, the aggregates' arguments and their filters (and the row time of a group window);
 * 2. the aggregation, whose output is keys, aggregates, window columns;
 * 3. HAVING, and the SELECT list, bound over that output: a part of an expression that equals a key or an aggregate is that column.
 */
export function isAggregated(select: Select): boolean {
  return select.groupBy.length > 0 || select.having !== undefined || select.items.some(({ expression }) => aggregatesIn(expression).length > 0)
}

export function bindAggregation(select: Select, items: readonly ExpandedItem[], input: Relation): Relation {
  const scope: ExpressionScope = { columns: input.columns, clause: 'GROUP BY' }
  const columns: Expression[] = []
  const addColumn = (expression: Expression): number => {
    const known = columns.findIndex(column => expressionKey(column) === expressionKey(expression))
    return known >= 0 ? known : columns.push(expression) - 1
  }
  const grouping = groupingOf(select.groupBy)
  const windowCalls = grouping.filter(isGroupWindow)
  if (windowCalls.length > 1) throw planError(windowCalls[1]!.pos, 'GROUP BY holds more than one group window')
  const windowCall = windowCalls[0]
  const keys = grouping
    .filter(expression => expression !== windowCall)
    .map(expression => ({ column: addColumn(bindExpression(expression, scope)), rowtime: isRowtime(expression, input.columns) }))
  const window = windowCall === undefined ? undefined : groupWindow(windowCall, input.columns)
  const rowtime = window === undefined ? -1 : addColumn(columnReference(window.column.index, window.column.type))
  const clause = 'an argument of an aggregate function'
  const calls = new Map<string, AggregateCall>()
  const addAggregate = (call: ast.Call): number => {
    const [argument, ...more] = call.args
    const star = argument?.kind === 'star'
    const name = call.path[0]!.text.toUpperCase()
    if (more.length > 0) throw notSupportedYet(call.pos, `${name} of several arguments`)
    if (star && name !== 'COUNT') throw planError(argument.pos, `function ${name} takes one argument, not *`)
    const written = argument === undefined || star ? undefined : bindExpression(argument, { columns: input.columns, clause })
    // COUNT of what is declared NOT NULL is COUNT(*), as in Flink: it counts also what is NULL all the same.
    const bound = name === 'COUNT' && call.quantifier !== 'DISTINCT' && written !== undefined && isNotNull(written.type) ? undefined : written
    const filter = call.filter === undefined ? -1 : addColumn(bindCondition(call.filter, { columns: input.columns, clause: 'FILTER' }))
    const aggregate = aggregateCall(call, bound, bound === undefined ? -1 : addColumn(bound), filter)
    const key = JSON.stringify(aggregate)
    if (!calls.has(key)) calls.set(key, aggregate)
    return [...calls.keys()].indexOf(key)
  }
  const expressions = [...items.map(({ item }) => item.expression), ...(select.having === undefined ? [] : [select.having])]
  for (const expression of expressions) for (const call of aggregatesIn(expression)) addAggregate(call)
  if (columns.length === 0 && calls.size === 0) throw planError(select.pos, 'HAVING needs GROUP BY or an aggregate function')

  const uniqueKeys = [...new Map(keys.map(key => [key.column, key])).values()]
  const windowKinds = windowCall === undefined ? [] : windowFunctionsIn(expressions).map(({ column }) => column)
  const usedWindow = [...new Set(windowKinds)]
  const projected = project(
    input.node,
    columns.map(expression => ({ expression, rowtime: false })),
    columns.map((_, i) => `$f${i}`),
  ).node
  const node: LogicalAggregate = {
    kind: 'aggregate',
    input: projected,
    keys: uniqueKeys.map(({ column }) => column),
    aggregates: [...calls.values()],
    names: outputNames(uniqueKeys.length, calls.size, usedWindow),
    window: window === undefined ? undefined : { spec: window.spec, rowtime, columns: usedWindow },
    position: windowCall?.pos ?? select.pos,
  }
  const output = schemaOf(node)
  const keyTexts = uniqueKeys.map(({ column }) => expressionKey(columns[column]!))
  const windowText = windowCall === undefined ? '' : argumentsText(windowCall)
  const windowReference = (call: ast.Call): Expression | undefined => {
    const column = windowFunction(call)
    if (column === undefined || windowCall === undefined) return undefined
    if (`${functionName(windowCall)}` !== functionName(call).split('_')[0] || argumentsText(call) !== windowText)
      throw planError(call.pos, `${functionName(call)} has other arguments than the window in GROUP BY`)
    const index = uniqueKeys.length + calls.size + usedWindow.indexOf(column)
    return columnReference(index, output[index]!.type)
  }
  const after = (clauseName: string): ExpressionScope => ({
    columns: [],
    clause: clauseName,
    intercept: expression => {
      if (expression.kind === 'call') {
        if (isAggregate(expression)) {
          const index = uniqueKeys.length + addAggregate(expression)
          return columnReference(index, output[index]!.type)
        }
        const reference = windowReference(expression)
        if (reference !== undefined) return reference
      }
      if (aggregatesIn(expression).length > 0 || windowFunctionsIn([expression]).length > 0) return undefined
      // A constant is no key; it is bound as it stands, over no columns.
      if (!hasColumn(expression)) return undefined
      const bound = bindExpression(expression, { columns: input.columns, clause: clauseName })
      const key = keyTexts.indexOf(expressionKey(bound))
      if (key >= 0) return columnReference(key, output[key]!.type)
      if (expression.kind !== 'column') return undefined
      throw planError(
        expression.pos,
        `column '${expression.path.map(({ text }) => text).join('.')}' is neither in GROUP BY nor in an aggregate function`,
      )
    },
  })
  let result: LogicalNode = node
  if (select.having !== undefined) result = { kind: 'filter', input: node, condition: bindCondition(select.having, after('HAVING')) }
  const selected = items.map(({ item }): Projected => {
    const star = item.expression.kind === 'star'
    if (star) throw planError(item.pos, '* cannot be selected beside GROUP BY')
    const expression = bindExpression(item.expression, after('SELECT'))
    return { expression, rowtime: isTimeOf(expression, node, uniqueKeys) }
  })
  return project(
    result,
    selected,
    items.map(({ item }, i) => nameOf(item, i)),
  )
}

/** window_time, as a key of a window table function or of a group window, is an event time again. */
function isTimeOf(expression: Expression, node: LogicalAggregate, keys: readonly { readonly rowtime: boolean }[]): boolean {
  if (expression.kind !== 'column') return false
  if (expression.index < keys.length) return keys[expression.index]!.rowtime
  return node.window?.columns[expression.index - keys.length - node.aggregates.length] === 'window_time'
}

function groupingOf(elements: readonly GroupingElement[]): ast.Expression[] {
  return elements.map(element => {
    if (element.kind === 'expression') return element.expression
    if (element.kind === 'set') throw notSupportedYet(element.pos, 'a grouping set')
    throw notSupportedYet(element.pos, element.kind === 'groupingSets' ? 'GROUPING SETS' : element.kind.toUpperCase())
  })
}

function isGroupWindow(expression: ast.Expression): expression is ast.Call {
  return expression.kind === 'call' && /^(TUMBLE|HOP|SESSION)$/.test(functionName(expression))
}

function functionName(call: ast.Call): string {
  return call.path
    .map(({ text }) => text)
    .join('.')
    .toUpperCase()
}

function windowFunction(call: ast.Call): WindowColumn | undefined {
  const suffix = /^(?:TUMBLE|HOP|SESSION)_(START|END|ROWTIME|PROCTIME)$/.exec(functionName(call))?.[1]
  if (suffix === 'PROCTIME') throw notSupportedYet(call.pos, functionName(call))
  return suffix === 'START' ? 'window_start' : suffix === 'END' ? 'window_end' : suffix === 'ROWTIME' ? 'window_time' : undefined
}

function argumentsText(call: ast.Call): string {
  return call.args.map(printExpressionText).join(', ')
}

function aggregatesIn(expression: ast.Expression): ast.Call[] {
  return nodesIn(expression).filter(isAggregate)
}

function windowFunctionsIn(expressions: readonly ast.Expression[]): { readonly column: WindowColumn }[] {
  return expressions.flatMap(nodesIn).flatMap(call => {
    const column = windowFunction(call)
    return column === undefined ? [] : [{ column }]
  })
}

/** Calls of an expression, not those inside the arguments of an aggregate, and not those of inner queries. */
function nodesIn(expression: ast.Expression): ast.Call[] {
  const found: ast.Call[] = []
  walk(expression, node => {
    if (node['kind'] !== 'call') return true
    // The tag says that it is one.
    const call = node as unknown as ast.Call
    found.push(call)
    return !isAggregate(call)
  })
  return found
}

function hasColumn(expression: ast.Expression): boolean {
  let found = false
  walk(expression, node => {
    if (node['kind'] === 'column') found = true
    return !found
  })
  return found
}

function walk(value: unknown, visit: (node: Readonly<Record<string, unknown>>) => boolean): void {
  if (Array.isArray(value)) for (const item of value) walk(item, visit)
  else if (typeof value === 'object' && value !== null) {
    const node = value as Readonly<Record<string, unknown>>
    if (node['kind'] === 'select' || !visit(node)) return
    for (const inner of Object.values(node)) walk(inner, visit)
  }
}

function outputNames(keyCount: number, aggregateCount: number, windowNames: readonly string[]): string[] {
  return [...Array.from({ length: keyCount }, (_, i) => `$k${i}`), ...Array.from({ length: aggregateCount }, (_, i) => `$a${i}`), ...windowNames]
}
