import { canonicalJson } from '../../common/json.ts'
import type { Expression } from '../plan/expression.ts'
import type { CalcNode, PhysicalNode, ScanNode, SinkNode } from '../plan/physical.ts'
import { columnReference, moveColumns } from './expressions.ts'

/**
 * What several statements of a job, or several branches of one, read alike is read once, as Flink does in a statement set: equal sub-plans become one
 * node with several readers. Scans of one table that differ in their columns become one of all the columns, under projections. Functions of the moment
 * are shared, as by Flink; RAND and UUID, which Flink keeps apart, are not there yet.
 */
export interface SharingSettings {
  readonly subplans: boolean
  readonly sources: boolean
}

/** The same plans, in which nodes that are to run once are one object. */
export function shareSubplans(sinks: readonly SinkNode[], settings: SharingSettings): readonly SinkNode[] {
  if (!settings.subplans) return sinks
  const merged = settings.sources ? mergeScans(sinks) : sinks
  const known = new Map<string, PhysicalNode>()
  const ids = new Map<PhysicalNode, number>()
  const idOf = (node: PhysicalNode) => {
    const id = ids.get(node) ?? ids.size
    ids.set(node, id)
    return id
  }
  const share = (node: PhysicalNode): PhysicalNode => {
    const inputs = physicalInputs(node).map(share)
    const rebuilt = withPhysicalInputs(node, inputs)
    if (rebuilt.kind === 'scan' && !settings.sources) return rebuilt
    // By the inputs' identities: what stands above a node that runs twice runs twice.
    // Where an expression stands in the script does not matter.
    const key = JSON.stringify({ ...rebuilt, input: null, inputs: inputs.map(idOf) }, (name, value: unknown) =>
      name === 'position' ? undefined : value,
    )
    const found = known.get(key)
    if (found === undefined) known.set(key, rebuilt)
    return found ?? rebuilt
  }
  return merged.map(sink => ({ ...sink, input: share(sink.input) }))
}

export function physicalInputs(node: PhysicalNode): readonly PhysicalNode[] {
  return node.kind === 'scan' ? [] : node.kind === 'union' ? node.inputs : [node.input]
}

function withPhysicalInputs(node: PhysicalNode, inputs: readonly PhysicalNode[]): PhysicalNode {
  if (physicalInputs(node).every((input, i) => input === inputs[i])) return node
  return node.kind === 'union' ? { ...node, inputs } : { ...node, input: inputs[0]! }
}

function mergeScans(sinks: readonly SinkNode[]): readonly SinkNode[] {
  const projections = new Map<string, Set<number>>()
  const visit = (node: PhysicalNode): void => {
    if (node.kind === 'scan') {
      const wanted = projections.get(tableKey(node)) ?? new Set()
      for (const column of node.projected) wanted.add(column)
      projections.set(tableKey(node), wanted)
    }
    for (const input of physicalInputs(node)) visit(input)
  }
  for (const sink of sinks) visit(sink)
  const widen = (node: PhysicalNode): PhysicalNode => {
    if (node.kind === 'scan') {
      const scan = widened(node, projections)
      return scan === node ? node : projection(scan, node)
    }
    if (node.kind === 'calc' && node.input.kind === 'scan') {
      const scan = widened(node.input, projections)
      return scan === node.input ? node : reindexed(node, node.input, scan)
    }
    return withPhysicalInputs(node, physicalInputs(node).map(widen))
  }
  return sinks.map(sink => ({ ...sink, input: widen(sink.input) }))
}

/** Equal for scans that read the same rows. */
function tableKey({ projected: _projected, schema: _schema, ...table }: ScanNode): string {
  return canonicalJson(table)
}

function widened(scan: ScanNode, projections: ReadonlyMap<string, ReadonlySet<number>>): ScanNode {
  const projected = [...(projections.get(tableKey(scan)) ?? [])].sort((a, b) => a - b)
  if (projected.length === scan.projected.length && projected.every((column, i) => column === scan.projected[i])) return scan
  return { ...scan, projected, schema: projected.map(column => scan.physical[column]!) }
}

function projection(scan: ScanNode, wanted: ScanNode): CalcNode {
  const projections = wanted.projected.map((column, i) => columnReference(scan.projected.indexOf(column), wanted.schema[i]!.type))
  return { kind: 'calc', input: scan, condition: null, projections, schema: wanted.schema }
}

function reindexed(calc: CalcNode, from: ScanNode, to: ScanNode): CalcNode {
  const move = (expression: Expression) => moveColumns(expression, index => to.projected.indexOf(from.projected[index]!))
  return { ...calc, input: to, condition: calc.condition === null ? null : move(calc.condition), projections: calc.projections.map(move) }
}
