import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import type { StreamEdge, StreamGraph, StreamNode } from './stream-graph.ts'

/** Flink's names: `Source: words`, `Sink: print`; everything else as the program named it. */
export function operatorName(node: StreamNode): string {
  const prefix = node.kind === 'source' ? 'Source: ' : node.kind === 'sink' ? 'Sink: ' : ''
  return node.name.startsWith(prefix) ? node.name : prefix + node.name
}

/**
 * The nodes that run, each behind its inputs, sources first, otherwise in order of creation. A source that nobody reads does not run,
 * as in Flink. Refuses graphs that are empty, cyclic or refer to what is not there.
 */
export function orderedNodes(graph: StreamGraph): readonly StreamNode[] {
  const byId = new Map(graph.nodes.map(node => [node.id, node]))
  const consumers = new Map<number, StreamNode[]>()
  for (const node of graph.nodes) {
    checkInputs(node, byId)
    for (const source of new Set(node.inputs.map(edge => edge.source))) {
      const list = consumers.get(source)
      if (list === undefined) consumers.set(source, [node])
      else list.push(node)
    }
  }
  const running = graph.nodes.filter(node => node.kind !== 'source' || consumers.has(node.id))
  if (running.length === 0) throw new FlinkError('INVALID_PROGRAM', 'No operators defined in streaming topology. Cannot execute.')
  const waitsFor = new Map(running.map(node => [node.id, new Set(node.inputs.map(edge => edge.source)).size]))
  const ordered = running.filter(node => node.inputs.length === 0)
  const ready = new Set<StreamNode>()
  const release = (node: StreamNode) => {
    for (const consumer of consumers.get(node.id) ?? []) {
      const left = (waitsFor.get(consumer.id) ?? 0) - 1
      waitsFor.set(consumer.id, left)
      if (left === 0) ready.add(consumer)
    }
  }
  for (const source of ordered) release(source)
  while (ready.size > 0) {
    const node = [...ready].reduce((first, other) => (other.id < first.id ? other : first))
    ready.delete(node)
    ordered.push(node)
    release(node)
  }
  if (ordered.length < running.length) {
    const names = running.filter(node => (waitsFor.get(node.id) ?? 0) > 0).map(node => `'${operatorName(node)}'`)
    throw new FlinkError('INVALID_PROGRAM', `the graph has a cycle among the operators ${names.join(', ')}; iterations are not supported`)
  }
  return ordered
}

/** The node that `edge` comes from. */
export function sourceOf(edge: StreamEdge, nodes: ReadonlyMap<number, StreamNode>, target: StreamNode): StreamNode {
  const source = nodes.get(edge.source)
  if (source === undefined)
    throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(target)}' reads from node ${edge.source}, which is not in the graph`)
  return source
}

/** Type of the rows on `edge`: the source's main output or one of its side outputs. */
export function edgeType(edge: StreamEdge, source: StreamNode): TypeInformation {
  if (edge.tag === undefined) return source.outputType
  const type = source.sideOutputs.get(edge.tag)
  if (type === undefined) throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(source)}' has no side output '${edge.tag}'`)
  return type
}

function checkInputs(node: StreamNode, byId: ReadonlyMap<number, StreamNode>): void {
  const inputs = new Set(node.inputs.map(edge => edge.input))
  for (const edge of node.inputs) edgeType(edge, sourceOf(edge, byId, node))
  if (node.kind === 'source' && node.inputs.length > 0) throw new FlinkError('INVALID_PROGRAM', `source '${operatorName(node)}' has inputs`)
  if (node.kind !== 'source' && !inputs.has(0)) throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(node)}' has no input`)
  if ([...inputs].some(input => input !== 0 && input !== 1))
    throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(node)}' has more than two inputs`)
}
