import type { JsonObject } from '../common/json.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { DeclaredState } from './declared-state.ts'
import type { PartitionerKind } from './stream-graph.ts'

/** JobGraph: chained vertices, pure JSON. Made by the planner from a StreamGraph, kept by the JobManager, sent to workers with each task. */
export interface JobGraph {
  readonly jobName: string
  readonly runtimeMode: 'STREAMING' | 'BATCH'
  /** Topological order, sources first. */
  readonly vertices: readonly JobVertex[]
  readonly edges: readonly JobEdge[]
  /** Options in effect for the job, Flink's keys, after precedence. */
  readonly configuration: Readonly<Record<string, string>>
  /** The largest parallelism of all operators. */
  readonly parallelism: number
  readonly scheduling: 'eager' | 'lazy-from-sources'
}

export interface JobVertex {
  /** 32 hex; the id of its head operator. */
  readonly id: string
  /** `Source: words -> Flat Map`, Flink's way of naming chains. */
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly slotSharingGroup: string
  /** The chain as a tree in pre-order: the head first; `parent` indexes this array. */
  readonly operators: readonly OperatorSpec[]
  /** Logical inputs of the head: 0 for sources. */
  readonly inputCount: 0 | 1 | 2
}

export interface OperatorSpec {
  readonly operatorId: string
  /** StreamNode id: how a worker finds the factory in its own StreamGraph. */
  readonly nodeId: number
  readonly name: string
  readonly uid: string | undefined
  readonly type: string
  readonly options: JsonObject
  readonly states: readonly DeclaredState[]
  /** Of its keyed state; null = it has none. */
  readonly keyType: TypeJson | null
  /** The windows that its state belongs to, `TUMBLE(60000)`; absent = none. */
  readonly windows?: string
  /** Hash over type, options, uid, types, functions' source, states: compared with the worker's own, first difference is named. */
  readonly hash: string
  readonly kind: 'source' | 'operator' | 'sink'
  readonly source: JsonObject | undefined
  /** Index of the parent in the chain, -1 for the head. */
  readonly parent: number
  /** Which output of the parent feeds it: undefined = main. */
  readonly parentTag: string | undefined
  readonly outputType: TypeJson
  /** Indices of the fields that the readers of its main output read, keys of edges included; absent = all (projection.ts). */
  readonly outputFields?: readonly number[]
  readonly parallelismOrigin: 'operator' | 'environment' | 'client' | 'configuration' | 'default' | 'non-parallel'
}

export interface JobEdge {
  /** Index in `edges`, as text; names channels. */
  readonly id: number
  readonly source: { readonly vertexId: string; readonly operatorIndex: number; readonly tag: string | undefined }
  readonly target: { readonly vertexId: string; readonly input: number }
  readonly partitioner: PartitionerKind
  /** Type of the rows on it: decides the serializer of its frames. */
  readonly type: TypeJson
  /** Indices of the fields that its consumer reads: columns of others are not sent. Absent = all (projection.ts). */
  readonly fields?: readonly number[]
  /** HASH: type of the key. */
  readonly keyType: TypeJson | undefined
  readonly exchange: 'pipelined_bounded' | 'blocking'
  /** Position of the edge in its StreamGraph target node's inputs: with source node id it finds key selector and partition function on a worker. */
  readonly nodeInput: { readonly nodeId: number; readonly index: number }
}
