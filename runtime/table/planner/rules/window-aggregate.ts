import type { Expression } from '../../plan/expression.ts'
import { addColumns, columnReference, moveColumns } from '../expressions.ts'
import { type LogicalAggregate, type LogicalNode, type LogicalWindowTable, rewrite, schemaOf, windowColumns } from '../logical.ts'
import { notSupportedYet } from '../plan-error.ts'

/**
 * GROUP BY window_start, window_end [, window_time] over a window table function is a window aggregate: the function is pulled up through
 * projections and filters into the aggregate, so that no row is copied per window. What reads a window's columns below the aggregate, and an
 * aggregate without a window, is refused.
 */
export function recogniseWindowAggregates(root: LogicalNode): LogicalNode {
  const rewritten = rewrite(root, node => (node.kind === 'aggregate' && node.window === undefined ? withWindow(node) : node))
  rewrite(rewritten, node => {
    if (node.kind === 'window-table') throw notSupportedYet(node.position, `${node.window.kind} without GROUP BY window_start, window_end`)
    return node
  })
  return rewritten
}

function withWindow(node: LogicalAggregate): LogicalNode {
  const pulled = pull(node.input)
  if (pulled === undefined)
    throw notSupportedYet(node.position, node.keys.length === 0 ? 'aggregation without a window' : 'GROUP BY without a window')
  const { windows } = pulled
  const isWindowKey = (key: number) => key >= 0 && windows.includes(key)
  const [start, end] = windows
  if (!node.keys.includes(start!) || !node.keys.includes(end!))
    throw notSupportedYet(node.position, 'GROUP BY over a window table function without window_start and window_end')
  const columns = windowColumns.filter((_, i) => node.keys.includes(windows[i]!))
  const keys = node.keys.filter(key => !isWindowKey(key))
  for (const { argument, filter } of node.aggregates)
    if (isWindowKey(argument) || isWindowKey(filter)) throw notSupportedYet(node.position, 'an aggregate over a column of the window')
  const place = (index: number) => (index < 0 ? index : pulled.places.get(index)!)
  const names = [...keys.map((_, i) => `$k${i}`), ...node.aggregates.map((_, i) => `$a${i}`), ...columns]
  const aggregate: LogicalAggregate = {
    ...node,
    input: pulled.input,
    keys: keys.map(place),
    aggregates: node.aggregates.map(call => ({ ...call, argument: place(call.argument), filter: place(call.filter) })),
    names,
    window: { spec: pulled.table.window, rowtime: pulled.rowtime, columns },
  }
  // The columns in their old order: keys with the window's among them, then the aggregates.
  const schema = schemaOf(aggregate)
  const order = [
    ...node.keys.map(key =>
      isWindowKey(key) ? keys.length + node.aggregates.length + columns.indexOf(windowColumns[windows.indexOf(key)]!) : keys.indexOf(key),
    ),
    ...node.aggregates.map((_, i) => keys.length + i),
  ]
  return { kind: 'project', input: aggregate, projections: order.map(index => columnReference(index, schema[index]!.type)), names: node.names }
}

interface Pulled {
  readonly table: LogicalWindowTable
  /** The node without the window's columns; `places` says where its other columns are now. */
  readonly input: LogicalNode
  readonly places: ReadonlyMap<number, number>
  readonly rowtime: number
  /** Columns of the node that are window_start, window_end, window_time; -1 = not passed on. */
  readonly windows: readonly number[]
}

function pull(node: LogicalNode): Pulled | undefined {
  switch (node.kind) {
    case 'window-table': {
      const width = schemaOf(node.input).length
      const places = new Map(Array.from({ length: width }, (_, i) => [i, i] as const))
      return { table: node, input: node.input, places, rowtime: node.rowtime, windows: [width, width + 1, width + 2] }
    }
    case 'filter': {
      const below = pull(node.input)
      if (below === undefined) return undefined
      refuseWindows(node.condition, below)
      return { ...below, input: { ...node, input: below.input, condition: moveColumns(node.condition, index => below.places.get(index)!) } }
    }
    case 'project': {
      const below = pull(node.input)
      if (below === undefined) return undefined
      const windows = [-1, -1, -1]
      const places = new Map<number, number>()
      const projections: Expression[] = []
      const names: string[] = []
      for (const [i, projection] of node.projections.entries()) {
        const window = projection.kind === 'column' ? below.windows.indexOf(projection.index) : -1
        if (window >= 0) {
          windows[window] = i
          continue
        }
        refuseWindows(projection, below)
        places.set(i, projections.length)
        projections.push(moveColumns(projection, index => below.places.get(index)!))
        names.push(node.names[i]!)
      }
      const rowtimeType = schemaOf(below.input)[below.rowtime]!.type
      const passed = projections.findIndex(projection => projection.kind === 'column' && projection.index === below.rowtime)
      const rowtime = passed >= 0 ? passed : projections.push(columnReference(below.rowtime, rowtimeType)) - 1
      if (passed < 0) names.push('$rowtime')
      return { table: below.table, input: { ...node, input: below.input, projections, names }, places, rowtime, windows }
    }
    default:
      return undefined
  }
}

function refuseWindows(expression: Expression, below: Pulled): void {
  const used = new Set<number>()
  addColumns(expression, used)
  if (below.windows.some(window => window >= 0 && used.has(window)))
    throw notSupportedYet(below.table.position, `a column of the window of ${below.table.window.kind} in an expression below GROUP BY`)
}
