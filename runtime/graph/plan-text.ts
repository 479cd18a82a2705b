import { Configuration } from '../common/config.ts'
import { chainingObstacle, type ResolvedNode } from './chaining.ts'
import { distributionPattern } from './channels.ts'
import { stateText } from './declared-state.ts'
import { vertexById } from './execution-graph.ts'
import type { JobEdge, JobGraph, JobVertex, OperatorSpec } from './job-graph.ts'
import { operatorChainingEnabled } from './options.ts'
import { schedulingStages } from './scheduling.ts'
import { slotsRequired, slotsRequiredByGroup } from './slot-assignment.ts'
import { stateGrowth } from './state-growth.ts'
import type { StreamGraph, StreamNode } from './stream-graph.ts'
import { typeText } from './type-text.ts'
import { withoutUid } from './uids.ts'

/** Figures of a job before anything starts: the same for `millrace info` and REST. */
export interface PlanFigures {
  readonly parallelism: number
  readonly vertexCount: number
  readonly subtaskCount: number
  readonly slotsRequired: number
  readonly slotsRequiredByGroup: Readonly<Record<string, number>>
}

export function planFigures(jobGraph: JobGraph): PlanFigures {
  return {
    parallelism: jobGraph.parallelism,
    vertexCount: jobGraph.vertices.length,
    subtaskCount: jobGraph.vertices.reduce((sum, vertex) => sum + vertex.parallelism, 0),
    slotsRequired: slotsRequired(jobGraph),
    slotsRequiredByGroup: Object.fromEntries(slotsRequiredByGroup(jobGraph)),
  }
}

/** What `millrace info` prints. `streamGraph` adds what only the program knows: declared states, side outputs, chaining strategies, keys. */
export function planText(jobGraph: JobGraph, streamGraph?: StreamGraph): string {
  const figures = planFigures(jobGraph)
  const groups = Object.entries(figures.slotsRequiredByGroup).map(([group, count]) => `${group} ${count}`)
  const nodes = new Map((streamGraph?.nodes ?? []).map(node => [node.id, node]))
  const lines = [
    `Job '${jobGraph.jobName}' (${jobGraph.runtimeMode}, scheduling ${jobGraph.scheduling})`,
    `  job parallelism: ${figures.parallelism}`,
    `  vertices:        ${figures.vertexCount}`,
    `  subtasks:        ${figures.subtaskCount}`,
    `  slots needed:    ${figures.slotsRequired} (${groups.join(', ')})`,
  ]
  if (streamGraph !== undefined && !chainingEnabled(jobGraph, streamGraph)) lines.push('  chaining:        off')
  const unnamed = withoutUid(jobGraph)
  if (unnamed.length > 0) lines.push(`  state, no uid:   ${unnamed.map(name => `'${name}'`).join(', ')}`)
  if (jobGraph.scheduling === 'lazy-from-sources') lines.push(`  start order:     ${stagesText(jobGraph)}`)
  for (const vertex of jobGraph.vertices) lines.push('', ...vertexLines(jobGraph, vertex, nodes, streamGraph))
  return `${lines.join('\n')}\n`
}

function stagesText(jobGraph: JobGraph): string {
  const numbers = new Map(jobGraph.vertices.map((vertex, i) => [vertex.id, `#${i + 1}`]))
  return schedulingStages(jobGraph)
    .map(stage => stage.map(id => numbers.get(id)).join(' '))
    .join(', then ')
}

function vertexLines(jobGraph: JobGraph, vertex: JobVertex, nodes: ReadonlyMap<number, StreamNode>, streamGraph: StreamGraph | undefined): string[] {
  const subtasks = `${vertex.parallelism} ${vertex.parallelism === 1 ? 'subtask' : 'subtasks'}`
  return [
    `#${jobGraph.vertices.indexOf(vertex) + 1} ${vertex.name}`,
    `   id ${vertex.id}, ${subtasks}, max parallelism ${vertex.maxParallelism}, slot sharing group ${vertex.slotSharingGroup}`,
    ...jobGraph.edges
      .filter(edge => edge.target.vertexId === vertex.id)
      .map(edge => `   reads ${edgeText(jobGraph, edge, nodes)}${notChainedText(jobGraph, edge, nodes, streamGraph)}`),
    ...operatorTree(vertex.operators).flatMap(({ spec, prefix, below }) => [
      `   ${prefix}${operatorText(vertex, spec, nodes.get(spec.nodeId))}`,
      ...stateLines(nodes.get(spec.nodeId), jobGraph.runtimeMode).map(line => `   ${below}     ${line}`),
    ]),
  ]
}

function edgeText(jobGraph: JobGraph, edge: JobEdge, nodes: ReadonlyMap<number, StreamNode>): string {
  const producer = vertexById(jobGraph, edge.source.vertexId)
  const spec = producer.operators[edge.source.operatorIndex]
  const side = edge.source.tag === undefined ? '' : ` side output '${edge.source.tag}'`
  const input = nodesInput(edge, jobGraph) ? ` as input ${edge.target.input + 1}` : ''
  const key = nodes.get(edge.nodeInput.nodeId)?.inputs[edge.nodeInput.index]?.partitioner.key
  const keyText = edge.keyType === undefined ? '' : ` by ${key === undefined ? '' : `${key.description}: `}${typeText(edge.keyType)}`
  return (
    `#${jobGraph.vertices.indexOf(producer) + 1} '${spec?.name}'${side}${input}: ` +
    `${edge.partitioner}${keyText} (${distributionPattern(edge.partitioner)}, ${edge.exchange}), ${typeText(edge.type)}${fieldsText(edge)}`
  )
}

/** Said only where some fields are not sent. */
function fieldsText({ type, fields }: JobEdge): string {
  if (fields === undefined) return ''
  const names = fields.map(field => (type.kind === 'ROW' ? (type.fields[field]?.name ?? '') : `f${field}`))
  return names.length === 0 ? ', of which no field is read' : `, of which only ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} read`
}

function chainingEnabled(jobGraph: JobGraph, streamGraph: StreamGraph): boolean {
  return streamGraph.chainingEnabled && Configuration.fromObject(jobGraph.configuration).get(operatorChainingEnabled)
}

/** Said only where the program wrote no partitioner (or `.forward()`): elsewhere nobody expects a chain. */
function notChainedText(jobGraph: JobGraph, edge: JobEdge, nodes: ReadonlyMap<number, StreamNode>, streamGraph: StreamGraph | undefined): string {
  const target = resolvedNode(vertexById(jobGraph, edge.target.vertexId), 0, nodes)
  const source = resolvedNode(vertexById(jobGraph, edge.source.vertexId), edge.source.operatorIndex, nodes)
  const streamEdge = target?.node.inputs[edge.nodeInput.index]
  if (streamGraph === undefined || source === undefined || target === undefined || streamEdge?.partitioner.kind !== 'FORWARD') return ''
  const link = { edge: streamEdge, index: edge.nodeInput.index, source, target, partitioner: 'FORWARD' as const, blocking: false }
  const obstacle = chainingObstacle(link, chainingEnabled(jobGraph, streamGraph))
  return obstacle === undefined ? '' : `; not chained: ${obstacle}`
}

function resolvedNode(vertex: JobVertex, operatorIndex: number, nodes: ReadonlyMap<number, StreamNode>): ResolvedNode | undefined {
  const spec = vertex.operators[operatorIndex]
  const node = spec === undefined ? undefined : nodes.get(spec.nodeId)
  if (spec === undefined || node === undefined) return undefined
  const { parallelism, maxParallelism, slotSharingGroup } = vertex
  return { node, operatorId: spec.operatorId, parallelism, maxParallelism, slotSharingGroup }
}

/** Which input is said only where there are two. */
function nodesInput(edge: JobEdge, jobGraph: JobGraph): boolean {
  return vertexById(jobGraph, edge.target.vertexId).inputCount === 2
}

function operatorText(vertex: JobVertex, spec: OperatorSpec, node: StreamNode | undefined): string {
  const parts = [`type ${spec.type}`, `parallelism ${vertex.parallelism} (${spec.parallelismOrigin})`]
  if (spec.uid !== undefined) parts.push(`uid '${spec.uid}'`)
  if (spec.parentTag !== undefined) parts.push(`from side output '${spec.parentTag}'`)
  if (node !== undefined && node.chaining !== 'always') parts.push(node.chaining === 'head' ? 'starts a new chain' : 'chaining disabled')
  parts.push(`output ${typeText(spec.outputType)}`)
  return `${spec.name}: ${parts.join(', ')}`
}

function stateLines(node: StreamNode | undefined, mode: JobGraph['runtimeMode']): string[] {
  if (node === undefined) return []
  const states = node.definition.states.filter(({ builtIn }) => builtIn !== true).map(state => `state '${state.name}': ${stateText(state)}`)
  return [...states, ...(mode === 'STREAMING' ? stateGrowth(node.definition).map(warning => `warning: ${warning}`) : [])]
}

/** Lines of a chain drawn as a tree, as Flink describes vertices: `+- ` before the last child, `:- ` before the others. */
export function operatorTree(operators: readonly OperatorSpec[]): { spec: OperatorSpec; prefix: string; below: string }[] {
  const lines: { spec: OperatorSpec; prefix: string; below: string }[] = []
  const visit = (index: number, prefix: string, below: string) => {
    const spec = operators[index]
    if (spec === undefined) return
    lines.push({ spec, prefix, below })
    const children = [...operators.keys()].filter(child => operators[child]?.parent === index)
    for (const child of children) {
      const last = child === children.at(-1)
      visit(child, `${below}${last ? '+- ' : ':- '}`, `${below}${last ? '   ' : ':  '}`)
    }
  }
  visit(0, '', '')
  return lines
}
