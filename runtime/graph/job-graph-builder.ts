import { assert } from '../common/assert.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { type ChainNode, chainingObstacle, chainName, flattenChain, type Link, type ResolvedNode } from './chaining.ts'
import { operatorHash } from './graph-hash.ts'
import type { JobEdge, JobGraph, JobVertex, OperatorSpec } from './job-graph.ts'
import { operatorIds } from './operator-ids.ts'
import { autoGenerateUids, batchShuffleMode, operatorChainingEnabled, parallelismDefault } from './options.ts'
import { type ResolvedParallelism, resolveParallelism } from './parallelism.ts'
import type { PartitionerKind, StreamEdge, StreamGraph, StreamNode } from './stream-graph.ts'
import { edgeType, operatorName, orderedNodes } from './stream-graph-order.ts'
import { requireUids } from './uids.ts'

/**
 * StreamGraph -> JobGraph, in Flink's steps:
 * 1. order the nodes and refuse impossible graphs; 2. give each its id, parallelism and slot sharing group; 3. settle each edge's
 * partitioner; 4. chain along the edges that allow it; 5. every chain becomes a vertex, every other edge a job edge.
 *
 * Invariants: the same StreamGraph and options give an equal JobGraph; a job edge always ends at the head of a vertex; vertices are in
 * topological order, sources first; edge ids are positions.
 */
export interface JobGraphOptions {
  /** `config.yaml`, flat, Flink's keys. */
  readonly configuration?: Readonly<Record<string, string>>
  /** `-D` entries and `-p` as `parallelism.default`. */
  readonly client?: Readonly<Record<string, string>>
  /** When no layer says one: CPU cores under `-t local`, else 1. */
  readonly defaultParallelism?: number
}

export function buildJobGraph(graph: StreamGraph, options: JobGraphOptions = {}): JobGraph {
  const configuration = Configuration.fromObject(options.configuration ?? {}, 'file')
    .with(options.client ?? {}, 'client')
    .with(graph.configuration, 'environment')
  // Blocking exchanges are what lets one vertex wait for another.
  const isBlocking = graph.runtimeMode === 'BATCH' && configuration.get(batchShuffleMode) === 'ALL_EXCHANGES_BLOCKING'
  const scheduling = isBlocking ? 'lazy-from-sources' : 'eager'
  const nodes = orderedNodes(graph)
  if (graph.runtimeMode === 'BATCH') {
    refuseUnboundedSources(nodes)
    refuseBroadcastState(nodes)
  }
  const parallelism = new Map(
    nodes.map(node => [node.id, resolveParallelism(node, graph, configuration, options.defaultParallelism ?? parallelismDefault.defaultValue)]),
  )
  const resolved = resolveNodes(nodes, parallelism)
  const links = nodes.flatMap(node => linksOf(node, resolved))
  const heads = buildChains(nodes, resolved, links, graph.chainingEnabled && configuration.get(operatorChainingEnabled))
  const byId = new Map(graph.nodes.map(node => [node.id, node]))
  const vertices = heads.map(head => vertexOf(head, byId, parallelism))
  if (!configuration.get(autoGenerateUids)) requireUids({ vertices })
  return {
    jobName: graph.jobName,
    runtimeMode: graph.runtimeMode,
    vertices,
    edges: edgesBetween(heads, links, scheduling),
    configuration: configuration.toObject(),
    parallelism: Math.max(...nodes.map(node => lookUp(parallelism, node.id).parallelism)),
    scheduling,
  }
}

function refuseUnboundedSources(nodes: readonly StreamNode[]): void {
  const unbounded = nodes.find(node => node.kind === 'source' && node.definition.source?.['bounded'] === false)
  if (unbounded === undefined) return
  throw new FlinkError(
    'INVALID_PROGRAM',
    `source '${operatorName(unbounded)}' is unbounded, and execution.runtime-mode is BATCH: give the source an end or use STREAMING`,
  )
}

/** Flink reads the broadcast side to its end before the other, in batch mode; both at once would give results that depend on their order. */
function refuseBroadcastState(nodes: readonly StreamNode[]): void {
  const node = nodes.find(({ definition }) => definition.states.some(({ kind }) => kind === 'broadcast'))
  if (node === undefined) return
  throw new FlinkError('UNSUPPORTED', `operator '${operatorName(node)}': broadcast state is not supported in batch mode yet: use STREAMING`)
}

function resolveNodes(nodes: readonly StreamNode[], parallelism: ReadonlyMap<number, ResolvedParallelism>): ReadonlyMap<number, ResolvedNode> {
  const ids = operatorIds(nodes)
  const resolved = new Map<number, ResolvedNode>()
  for (const node of nodes) {
    const inputGroups = new Set(node.inputs.map(edge => lookUp(resolved, edge.source).slotSharingGroup))
    const [inherited] = inputGroups
    resolved.set(node.id, {
      node,
      operatorId: lookUp(ids, node.id),
      parallelism: lookUp(parallelism, node.id).parallelism,
      maxParallelism: lookUp(parallelism, node.id).maxParallelism,
      // Inherited when all inputs agree; a source has none and starts in `default`.
      slotSharingGroup: node.slotSharingGroup ?? (inherited !== undefined && inputGroups.size === 1 ? inherited : 'default'),
    })
  }
  return resolved
}

function linksOf(node: StreamNode, resolved: ReadonlyMap<number, ResolvedNode>): Link[] {
  const target = lookUp(resolved, node.id)
  return node.inputs.map((edge, index) => {
    const source = lookUp(resolved, edge.source)
    return { edge, index, source, target, partitioner: partitionerOf(edge, source, target), blocking: false }
  })
}

function partitionerOf(edge: StreamEdge, source: ResolvedNode, target: ResolvedNode): PartitionerKind {
  const { kind, explicit } = edge.partitioner
  if (kind !== 'FORWARD' || source.parallelism === target.parallelism) return kind
  if (!explicit) return 'REBALANCE'
  throw new FlinkError(
    'INVALID_PROGRAM',
    `forward partitioning does not allow a change of parallelism: operator '${operatorName(source.node)}' has ${source.parallelism}, ` +
      `operator '${operatorName(target.node)}' has ${target.parallelism}; use rebalance, rescale, shuffle, broadcast or global`,
  )
}

/** Heads in node order, each with its chain. */
function buildChains(
  nodes: readonly StreamNode[],
  resolved: ReadonlyMap<number, ResolvedNode>,
  links: readonly Link[],
  chainingEnabled: boolean,
): ChainNode[] {
  const chained = new Set<number>()
  const chainedBehind = new Map<number, Link[]>()
  for (const link of links) {
    if (chainingObstacle(link, chainingEnabled) !== undefined) continue
    chained.add(link.target.node.id)
    const siblings = chainedBehind.get(link.source.node.id)
    if (siblings === undefined) chainedBehind.set(link.source.node.id, [link])
    else siblings.push(link)
  }
  const chainOf = (node: ResolvedNode, link: Link | undefined): ChainNode => ({
    resolved: node,
    link,
    children: (chainedBehind.get(node.node.id) ?? []).map(child => chainOf(child.target, child)),
  })
  return nodes.filter(node => !chained.has(node.id)).map(node => chainOf(lookUp(resolved, node.id), undefined))
}

function vertexOf(head: ChainNode, nodes: ReadonlyMap<number, StreamNode>, parallelism: ReadonlyMap<number, ResolvedParallelism>): JobVertex {
  const { node, operatorId, slotSharingGroup, maxParallelism } = head.resolved
  const inputCount = node.inputs.length === 0 ? 0 : node.inputs.some(edge => edge.input === 1) ? 2 : 1
  return {
    id: operatorId,
    name: chainName(head),
    parallelism: head.resolved.parallelism,
    maxParallelism,
    slotSharingGroup,
    operators: flattenChain(head).map(({ chainNode, parent }) => operatorSpecOf(chainNode, parent, nodes, parallelism)),
    inputCount,
  }
}

function operatorSpecOf(
  { resolved: { node, operatorId }, link }: ChainNode,
  parent: number,
  nodes: ReadonlyMap<number, StreamNode>,
  parallelism: ReadonlyMap<number, ResolvedParallelism>,
): OperatorSpec {
  return {
    operatorId,
    nodeId: node.id,
    name: operatorName(node),
    uid: node.uid,
    type: node.definition.type,
    options: node.definition.options,
    states: node.definition.states,
    keyType: node.definition.keyType ?? null,
    ...(node.definition.windows === undefined ? {} : { windows: node.definition.windows }),
    hash: operatorHash(node, nodes),
    kind: node.kind,
    source: node.definition.source,
    parent,
    parentTag: link?.edge.tag,
    outputType: node.outputType.json,
    parallelismOrigin: lookUp(parallelism, node.id).origin,
  }
}

function edgesBetween(heads: readonly ChainNode[], links: readonly Link[], scheduling: JobGraph['scheduling']): JobEdge[] {
  const places = new Map<number, { vertexId: string; operatorIndex: number }>()
  for (const head of heads) {
    for (const [operatorIndex, { chainNode }] of flattenChain(head).entries()) {
      places.set(chainNode.resolved.node.id, { vertexId: head.resolved.operatorId, operatorIndex })
    }
  }
  const headIds = new Set(heads.map(head => head.resolved.node.id))
  return links
    .filter(link => headIds.has(link.target.node.id))
    .map((link, id) => ({
      id,
      source: { ...lookUp(places, link.source.node.id), tag: link.edge.tag },
      target: { vertexId: lookUp(places, link.target.node.id).vertexId, input: link.edge.input },
      partitioner: link.partitioner,
      type: edgeType(link.edge, link.source.node).json,
      keyType: link.partitioner === 'HASH' ? keyTypeOf(link) : undefined,
      exchange: scheduling === 'lazy-from-sources' || link.blocking ? 'blocking' : 'pipelined_bounded',
      nodeInput: { nodeId: link.target.node.id, index: link.index },
    }))
}

function keyTypeOf(link: Link): JobEdge['keyType'] {
  const key = link.edge.partitioner.key
  assert(key !== undefined, `the HASH edge to '${operatorName(link.target.node)}' has a key`)
  return key.type.json
}

function lookUp<V>(map: ReadonlyMap<number, V>, nodeId: number): V {
  const value = map.get(nodeId)
  assert(value !== undefined, `node ${nodeId} is resolved before it is used`)
  return value
}
