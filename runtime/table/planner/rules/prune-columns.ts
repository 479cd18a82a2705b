import { unreachable } from '../../../common/assert.ts'
import { addColumns, columnReference, moveColumns } from '../expressions.ts'
import { type LogicalNode, schemaOf } from '../logical.ts'

/** Columns that nobody reads are neither computed nor, at a scan, decoded. */
export function pruneColumns(root: LogicalNode): LogicalNode {
  return prune(
    root,
    schemaOf(root).map((_, i) => i),
  ).node
}

/** A node with at least the columns `wanted` of the old one, and where each of them is now. */
interface Pruned {
  readonly node: LogicalNode
  readonly places: ReadonlyMap<number, number>
}

function prune(node: LogicalNode, wanted: readonly number[]): Pruned {
  switch (node.kind) {
    case 'scan': {
      const kept = [...new Set(wanted)].sort((a, b) => a - b)
      // A frame without columns would hold nothing but its length.
      if (kept.length === 0 && node.projected.length > 0) kept.push(0)
      return { node: { ...node, projected: kept.map(index => node.projected[index]!) }, places: placesOf(kept) }
    }
    case 'filter': {
      const used = new Set(wanted)
      addColumns(node.condition, used)
      const input = prune(node.input, [...used])
      return { node: { ...node, input: input.node, condition: moveColumns(node.condition, placeIn(input)) }, places: input.places }
    }
    case 'watermark': {
      const used = new Set([...wanted, node.rowtime])
      addColumns(node.expression, used)
      const input = prune(node.input, [...used])
      const place = placeIn(input)
      return {
        node: { ...node, input: input.node, rowtime: place(node.rowtime), expression: moveColumns(node.expression, place) },
        places: input.places,
      }
    }
    case 'project': {
      const kept = [...new Set(wanted)].sort((a, b) => a - b)
      const used = new Set<number>()
      for (const index of kept) addColumns(node.projections[index]!, used)
      const input = prune(node.input, [...used])
      const place = placeIn(input)
      const pruned: LogicalNode = {
        ...node,
        input: input.node,
        projections: kept.map(index => moveColumns(node.projections[index]!, place)),
        names: kept.map(index => node.names[index]!),
      }
      return { node: pruned, places: placesOf(kept) }
    }
    case 'window-table': {
      const width = schemaOf(node.input).length
      const input = prune(node.input, [...new Set([...wanted.filter(index => index < width), node.rowtime])])
      const newWidth = schemaOf(input.node).length
      const places = new Map([...input.places, ...[0, 1, 2].map(i => [width + i, newWidth + i] as const)])
      return { node: { ...node, input: input.node, rowtime: placeIn(input)(node.rowtime) }, places }
    }
    case 'aggregate': {
      const used = new Set(node.keys)
      for (const { argument, filter } of node.aggregates) for (const column of [argument, filter]) if (column >= 0) used.add(column)
      if (node.window !== undefined) used.add(node.window.rowtime)
      const input = prune(node.input, [...used])
      const place = (index: number) => (index < 0 ? index : placeIn(input)(index))
      const pruned: LogicalNode = {
        ...node,
        input: input.node,
        keys: node.keys.map(place),
        aggregates: node.aggregates.map(call => ({ ...call, argument: place(call.argument), filter: place(call.filter) })),
        window: node.window === undefined ? undefined : { ...node.window, rowtime: place(node.window.rowtime) },
      }
      return { node: pruned, places: placesOf(schemaOf(node).map((_, i) => i)) }
    }
    case 'union': {
      // All sides keep the same columns in the same order.
      const kept = [...new Set(wanted)].sort((a, b) => a - b)
      const inputs = node.inputs.map(input => exactly(prune(input, kept), kept, input))
      return { node: { ...node, inputs }, places: placesOf(kept) }
    }
    case 'sink': {
      const all = schemaOf(node.input).map((_, i) => i)
      return { node: { ...node, input: exactly(prune(node.input, all), all, node.input) }, places: placesOf(all) }
    }
    default:
      return unreachable(node)
  }
}

/** Exactly the columns `kept`, in this order. */
function exactly(pruned: Pruned, kept: readonly number[], old: LogicalNode): LogicalNode {
  const schema = schemaOf(pruned.node)
  const place = placeIn(pruned)
  if (schema.length === kept.length && kept.every((index, i) => place(index) === i)) return pruned.node
  const names = schemaOf(old)
  return {
    kind: 'project',
    input: pruned.node,
    projections: kept.map(index => columnReference(place(index), schema[place(index)]!.type)),
    names: kept.map(index => names[index]!.name),
  }
}

function placesOf(kept: readonly number[]): ReadonlyMap<number, number> {
  return new Map(kept.map((index, i) => [index, i]))
}

function placeIn(pruned: Pruned): (index: number) => number {
  return index => pruned.places.get(index)!
}
