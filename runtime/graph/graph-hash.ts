import { canonicalJson, type JsonObject, type JsonValue } from '../common/json.ts'
import type { TypeInformation, TypeJsonObject } from '../serde/type-information.ts'
import type { JobGraph, OperatorSpec } from './job-graph.ts'
import { murmur3Hex } from './murmur3-128.ts'
import type { StreamGraph, StreamNode } from './stream-graph.ts'
import { edgeType, operatorName, orderedNodes, sourceOf } from './stream-graph-order.ts'

/**
 * A worker runs the module again to get its functions, and must get the graph that the planner got. `OperatorSpec.hash` is one short
 * hash per aspect of an operator, joined by dots, so that a difference can be named. Data of sources, names and parallelism are not in
 * it: workers take those from the JobGraph.
 */
const aspects = ['type', 'uid', 'options', 'inputs', 'output types', 'functions', 'states'] as const
type Aspect = (typeof aspects)[number]

export interface GraphDifference {
  /** Name of the first operator that differs, in the JobGraph's order. */
  readonly operator: string
  readonly nodeId: number
  /** What differs, for people: `uid is 'b', expected 'a'`. */
  readonly what: string
}

export function operatorHash(node: StreamNode, nodes: ReadonlyMap<number, StreamNode>): string {
  const values = aspectValues(node, nodes)
  return aspects.map(aspect => shortHash(canonicalJson(values[aspect]))).join('.')
}

/** Most aspects of most operators are one of few texts (no uid, no states, one type of edge). */
const shortHashes = new Map<string, string>()
const SHORT_HASHES_MAX = 1_000

function shortHash(text: string): string {
  let hash = shortHashes.get(text)
  if (hash === undefined) {
    hash = murmur3Hex(text).slice(0, 16)
    if (shortHashes.size >= SHORT_HASHES_MAX) shortHashes.clear()
    shortHashes.set(text, hash)
  }
  return hash
}

/** The first operator, by node id, that `own` builds differently from `expected` or not at all, or has too many; undefined = same graph. */
export function compareGraphs(expected: JobGraph, own: StreamGraph): GraphDifference | undefined {
  const specs = expected.vertices.flatMap(vertex => vertex.operators)
  const difference = compareOperators(specs, own)
  if (difference !== undefined) return difference
  const known = new Set(specs.map(spec => spec.nodeId))
  const surplus = orderedNodes(own).find(node => !known.has(node.id))
  return surplus === undefined
    ? undefined
    : { operator: operatorName(surplus), nodeId: surplus.id, what: 'the operator is not in the submitted graph' }
}

/** The same for some operators of a job, as a slot knows them: others in `own` are no difference. */
export function compareOperators(expected: readonly OperatorSpec[], own: StreamGraph): GraphDifference | undefined {
  const ownNodes = new Map(own.nodes.map(node => [node.id, node]))
  for (const spec of expected.toSorted((a, b) => a.nodeId - b.nodeId)) {
    const node = ownNodes.get(spec.nodeId)
    const what = node === undefined ? 'the operator is missing' : compareOperator(spec, node, ownNodes)
    if (what !== undefined) return { operator: spec.name, nodeId: spec.nodeId, what }
  }
  return undefined
}

function compareOperator(spec: OperatorSpec, node: StreamNode, nodes: ReadonlyMap<number, StreamNode>): string | undefined {
  const own = operatorHash(node, nodes)
  if (own === spec.hash) return undefined
  const ownParts = own.split('.')
  const expectedParts = spec.hash.split('.')
  const aspect = aspects.find((_, i) => ownParts[i] !== expectedParts[i]) ?? 'type'
  switch (aspect) {
    case 'type':
      return `type is ${node.definition.type}, expected ${spec.type}`
    case 'uid':
      return `uid is ${node.uid === undefined ? 'not set' : `'${node.uid}'`}, expected ${spec.uid === undefined ? 'none' : `'${spec.uid}'`}`
    case 'options':
      return `options differ: ${firstDifference(node.definition.options, spec.options)}`
    case 'inputs':
      return 'inputs differ (their sources, types, partitioners or keys)'
    case 'output types':
      return `output types differ: main output is ${node.outputType}`
    case 'functions':
      return `source text of its functions differs (${node.definition.functions.map(fn => fn.role).join(', ') || 'none'})`
    case 'states':
      return `declared states differ: ${node.definition.states.map(state => `${state.kind} '${state.name}'`).join(', ') || 'none'}`
  }
}

function aspectValues(node: StreamNode, nodes: ReadonlyMap<number, StreamNode>): Record<Aspect, JsonValue> {
  const { definition } = node
  return {
    type: [node.kind, definition.type],
    uid: node.uid ?? null,
    options: definition.options,
    inputs: node.inputs.map(edge => {
      const key = edge.partitioner.key
      return [
        edge.source,
        edge.tag ?? null,
        edge.input,
        edge.partitioner.kind,
        jsonOf(edgeType(edge, sourceOf(edge, nodes, node))),
        key === undefined ? null : [jsonOf(key.type), key.description],
        edge.partitioner.partition === undefined ? null : String(edge.partitioner.partition),
      ]
    }),
    'output types': [jsonOf(node.outputType), [...node.sideOutputs].map(([tag, type]) => [tag, jsonOf(type)])],
    functions: definition.functions.map(fn => [fn.role, fn.source]),
    states: definition.states.map(state => [
      state.name,
      state.kind,
      state.type as TypeJsonObject,
      (state.namespace ?? null) as TypeJsonObject | null,
    ]),
  }
}

function jsonOf(type: TypeInformation): JsonObject {
  // TypeJson is JSON by construction; its union has no index signature, which is all that JsonObject adds.
  return type.json as TypeJsonObject
}

function firstDifference(own: JsonObject, expected: JsonObject): string {
  for (const key of [...new Set([...Object.keys(expected), ...Object.keys(own)])].sort()) {
    const ownText = textOf(own[key])
    const expectedText = textOf(expected[key])
    if (ownText !== expectedText) return `${key} is ${ownText}, expected ${expectedText}`
  }
  return 'none by key'
}

function textOf(value: JsonValue | undefined): string {
  const text = value === undefined ? 'not set' : canonicalJson(value)
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}
