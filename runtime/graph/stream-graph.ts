import type { JsonObject } from '../common/json.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'
import type { DeclaredState } from './declared-state.ts'

/**
 * StreamGraph: what the user's program built, one node per transformation. It lives in memory where the program ran (planner, every
 * worker): nodes hold factories and key selectors. Only the JobGraph travels.
 */
export interface StreamGraph {
  readonly nodes: readonly StreamNode[]
  jobName: string
  readonly runtimeMode: 'STREAMING' | 'BATCH'
  readonly chainingEnabled: boolean
  /** From `env.setParallelism`; undefined = client or configuration decide. */
  readonly parallelism: number | undefined
  readonly maxParallelism: number | undefined
  /** Options set in code (`env.configure`), Flink's keys; they win over client and configuration. */
  readonly configuration: Readonly<Record<string, string>>
  /** A state backend of the program's own (runtime/state/own-backend.ts); it does not travel, each slot has the one of its own execution of the program. */
  readonly stateBackend?: object | undefined
}

export interface StreamNode {
  /** 1, 2, … in order of creation: equal on every execution of the same program. */
  readonly id: number
  name: string
  uid: string | undefined
  readonly kind: 'source' | 'operator' | 'sink'
  parallelism: number | undefined
  /** windowAll and friends: always 1, setting another one is refused. */
  readonly nonParallel: boolean
  maxParallelism: number | undefined
  slotSharingGroup: string | undefined
  /** always: may be chained to its input; head: starts a chain; never: alone. */
  chaining: 'always' | 'head' | 'never'
  readonly inputs: readonly StreamEdge[]
  outputType: TypeInformation
  readonly sideOutputs: Map<string, TypeInformation>
  readonly definition: OperatorDefinition
}

export interface StreamEdge {
  readonly source: number
  /** Which output of the source: undefined = main, else the side output's tag. */
  readonly tag: string | undefined
  /** Logical input of the target: 0, or 1 for the second input of a two-input operator. */
  readonly input: number
  readonly partitioner: PartitionerSpec
}

export type PartitionerKind = 'FORWARD' | 'HASH' | 'REBALANCE' | 'RESCALE' | 'SHUFFLE' | 'BROADCAST' | 'GLOBAL' | 'CUSTOM'

export interface PartitionerSpec {
  readonly kind: PartitionerKind
  /** True where the user wrote `.forward()`: then unequal parallelism is an error instead of a silent REBALANCE. */
  readonly explicit: boolean
  /** HASH and CUSTOM: key of a row; runs in the producer. */
  readonly key?: KeySelectorSpec
  /** CUSTOM: (key, channelCount) -> channel. */
  readonly partition?: (key: unknown, channelCount: number) => number
}

export interface KeySelectorSpec {
  readonly type: TypeInformation
  readonly select: (value: never) => unknown
  /** Indices of the key's fields, where the key is made of fields: columnar frames are partitioned by these. On an edge of type COLUMNS rows are too. */
  readonly columns?: readonly number[]
  /** `select` is the engine's and reads `columns` only. False or absent = it is the user's function. */
  readonly byFields?: boolean
  /** For hash and plan: `field word`, `position 0`, or the function's source. */
  readonly description: string
}

/** A user's function whose first parameter is a row. */
export interface RowFunction {
  /** The function, or an object with the method. */
  readonly fn: unknown
  readonly method: string
  /** A filter: rows go on as they are, so whoever reads the operator's output reads of them too. */
  readonly passesRows: boolean
}

export interface OperatorDefinition {
  /** `map`, `flatMap`, `window`, `source:kafka`, `sink:print`: the kind of operator. */
  readonly type: string
  /** Everything that decides its behaviour and is data: travels in the JobGraph, and a worker uses the JobGraph's value, not its own. */
  readonly options: JsonObject
  /** Users' functions by role, their source text: part of the graph hash. */
  readonly functions: readonly { readonly role: string; readonly source: string }[]
  /** For hash, info and state plan. */
  readonly states: readonly DeclaredState[]
  /** Of keyed state. */
  readonly keyType?: TypeJson
  /** What cuts time into the windows that its state belongs to: state of others is none of these. */
  readonly windows?: string
  /**
   * Makes the operator of one subtask: `(options: JsonObject) => StreamOperator` of runtime/stream, for sources `SourceOperatorSpec`.
   * Opaque here because this room must not know operators; `runtime/stream/factory.ts` is the one place that casts.
   */
  readonly factory: unknown
  /** It works columns where its input's type has them: producers of such rows put them into frames. */
  readonly columnar?: boolean
  /** Set where the operator does nothing with a row but call this function with it: what the function does not read, the operator does not. */
  readonly rowFunction?: RowFunction
  /** Sources only: goes to the JobManager's enumerator. */
  readonly source?: JsonObject
}
