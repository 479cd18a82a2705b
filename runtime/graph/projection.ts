import { assert } from '../common/assert.ts'
import { canonicalJson } from '../common/json.ts'
import { rowLayout } from '../serde/row-layout.ts'
import type { TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import type { JobEdge, JobGraph, JobVertex } from './job-graph.ts'
import type { KeySelectorSpec, RowFunction, StreamGraph, StreamNode } from './stream-graph.ts'

/**
 * Which fields of an edge's rows nobody behind it reads (docs/decisions/0014-generated-functions.md): the JobGraph with `fields` on its edges
 * and `outputFields` on its operators. Made once, where the functions' sources are proved; workers only follow it.
 *
 * 1. A consumer that is nothing but a user's function reads what is proved of the function. Everything else reads all.
 * 2. A filter passes rows on: it also reads what the readers of its output read, as long as its declared output is its input.
 * 3. Keys are of the sender: it looks at them before columns are dropped. So the columns of a HASH edge's key are among the fields that its
 *    sender's output has, and are not sent when the consumer does not read them. A CUSTOM edge asks a function about whole rows.
 *
 * Only of tuples and rows that have columns. Rows that travel as objects are whole whatever stands here.
 */
export type FieldsRead = (fn: unknown, method: string, fields: readonly string[]) => readonly number[] | undefined

/** Whether there is anything to prove; loading a parser of functions' sources is worth it then only. */
export function mayProject(jobGraph: JobGraph, streamGraph: StreamGraph): boolean {
  const nodes = nodesById(streamGraph)
  return jobGraph.edges.some(
    ({ source, type, nodeInput }) =>
      source.tag === undefined && fieldNames(type) !== undefined && nodes.get(nodeInput.nodeId)?.definition.rowFunction !== undefined,
  )
}

export function withProjections(jobGraph: JobGraph, streamGraph: StreamGraph, fieldsRead: FieldsRead): JobGraph {
  const projection = new Projection(jobGraph, nodesById(streamGraph), fieldsRead)
  const vertices: JobVertex[] = []
  // Consumers first: what a filter passes on depends on the edges behind it.
  for (const vertex of jobGraph.vertices.toReversed()) vertices.unshift(projection.ofVertex(vertex))
  return { ...jobGraph, vertices, edges: projection.edges }
}

class Projection {
  readonly edges: JobEdge[]
  private readonly nodes: ReadonlyMap<number, StreamNode>
  private readonly fieldsRead: FieldsRead
  private readonly known = new Map<string, readonly number[] | undefined>()

  constructor(jobGraph: JobGraph, nodes: ReadonlyMap<number, StreamNode>, fieldsRead: FieldsRead) {
    this.edges = [...jobGraph.edges]
    this.nodes = nodes
    this.fieldsRead = fieldsRead
  }

  /** The vertex, and its input edges, after those of all vertices behind it. */
  ofVertex(vertex: JobVertex): JobVertex {
    const operators = vertex.operators.map((operator, index) => {
      const fields = this.readOfOutput(vertex, index)
      return fields === undefined ? operator : { ...operator, outputFields: fields }
    })
    for (const [i, edge] of this.edges.entries()) {
      if (edge.target.vertexId !== vertex.id || edge.source.tag !== undefined) continue
      const fields = this.readBy(vertex, 0, edge.type)
      if (fields !== undefined) this.edges[i] = { ...edge, fields }
    }
    return { ...vertex, operators }
  }

  /** Fields that an operator, and those it passes rows to, read of its input; undefined = all. */
  private readBy(vertex: JobVertex, index: number, type: TypeJson): readonly number[] | undefined {
    const names = fieldNames(type)
    const { nodeId, outputType } = operatorAt(vertex, index)
    const rowFunction = this.nodes.get(nodeId)?.definition.rowFunction
    if (names === undefined || rowFunction === undefined) return undefined
    const own = this.proved(nodeId, rowFunction, names)
    if (own === undefined || !rowFunction.passesRows) return asProjection(own, names)
    if (!isSame(type, outputType)) return undefined
    const passed = this.readOfOutput(vertex, index)
    return passed === undefined ? undefined : asProjection(union([own, passed]), names)
  }

  /** Each function is parsed once for a type, however many chains of filters lead to it. */
  private proved(nodeId: number, { fn, method }: RowFunction, names: readonly string[]): readonly number[] | undefined {
    const key = `${nodeId} ${JSON.stringify(names)}`
    if (!this.known.has(key)) this.known.set(key, this.fieldsRead(fn, method, names))
    return this.known.get(key)
  }

  /** Fields that the readers of an operator's main output read of it; undefined = all, or it has no fields. */
  private readOfOutput(vertex: JobVertex, index: number): readonly number[] | undefined {
    const { outputType } = operatorAt(vertex, index)
    const names = fieldNames(outputType)
    if (names === undefined) return undefined
    const read: (readonly number[] | undefined)[] = []
    for (const [i, operator] of vertex.operators.entries()) {
      if (operator.parent === index && operator.parentTag === undefined) read.push(this.readBy(vertex, i, outputType))
    }
    for (const edge of this.edges) {
      const { source } = edge
      if (source.vertexId === vertex.id && source.operatorIndex === index && source.tag === undefined) read.push(this.readOnEdge(edge, names))
    }
    return read.length === 0 || !read.every(fields => fields !== undefined) ? undefined : asProjection(union(read), names)
  }

  /** Of an edge's rows, by its consumer and by whoever chooses the channel. */
  private readOnEdge(edge: JobEdge, names: readonly string[]): readonly number[] | undefined {
    if (edge.fields === undefined || edge.partitioner === 'CUSTOM') return undefined
    if (edge.partitioner !== 'HASH') return edge.fields
    const key = this.nodes.get(edge.nodeInput.nodeId)?.inputs[edge.nodeInput.index]?.partitioner.key
    const keyFields = key === undefined ? undefined : this.readByKey(key, names)
    return keyFields === undefined ? undefined : union([edge.fields, keyFields])
  }

  /** A function that seems to read one field may read others of some rows. */
  private readByKey({ columns, byFields, select }: KeySelectorSpec, names: readonly string[]): readonly number[] | undefined {
    if (columns === undefined || byFields === true) return columns
    const read = this.fieldsRead(select, '', names)
    return read === undefined ? undefined : union([columns, read])
  }
}

/** Undefined when that is all there is. */
function asProjection(fields: readonly number[] | undefined, names: readonly string[]): readonly number[] | undefined {
  return fields === undefined || fields.length === names.length ? undefined : fields
}

function union(lists: readonly (readonly number[] | undefined)[]): readonly number[] {
  return [...new Set(lists.flatMap(list => list ?? []))].sort((a, b) => a - b)
}

/** As properties of a row are called. Single values have none; rows of SQL are read by operators that say themselves what they read. */
function fieldNames(type: TypeJson): readonly string[] | undefined {
  if ((type.kind !== 'TUPLE' && type.kind !== 'ROW') || rowLayout(type) === undefined) return undefined
  return type.kind === 'TUPLE' ? type.fields.map((_, i) => String(i)) : type.fields.map(({ name }) => name)
}

function isSame(a: TypeJson, b: TypeJson): boolean {
  // TypeJson is JSON by construction; its union has no index signature, which is all that TypeJsonObject adds.
  return canonicalJson(a as TypeJsonObject) === canonicalJson(b as TypeJsonObject)
}

function operatorAt(vertex: JobVertex, index: number): JobVertex['operators'][number] {
  const operator = vertex.operators[index]
  assert(operator !== undefined, 'a vertex has the operators that its edges and chains name')
  return operator
}

function nodesById(streamGraph: StreamGraph): ReadonlyMap<number, StreamNode> {
  return new Map(streamGraph.nodes.map(node => [node.id, node]))
}
