import type { JsonObject } from '../../common/json.ts'
import type { Expression, Schema } from './expression.ts'

/**
 * Physical operators of a SQL job, pure JSON: each becomes one StreamNode with these options. Made by the planner (runtime/table/planner), run by
 * runtime/table/runtime. Every node names its output schema.
 */
export type PhysicalNode = ScanNode | CalcNode | WatermarkNode | LocalWindowAggregateNode | WindowAggregateNode | UnionNode | SinkNode

interface Node extends JsonObject {
  readonly schema: Schema
}

export interface ScanNode extends Node {
  readonly kind: 'scan'
  readonly table: string
  readonly connector: string
  /** The table's options as written. */
  readonly options: JsonObject
  /** Declared physical columns of the table; `projected` are the indices into it that `schema` holds, in its order. */
  readonly physical: Schema
  /** Where each of `physical` stands in a record: one name, or more inside a ROW. */
  readonly paths: readonly (readonly string[])[]
  readonly projected: readonly number[]
  /** Connector `values`: rows as literals have them. */
  readonly rows?: readonly (readonly (string | number | boolean | null)[])[]
}

/** Filter, then projection. Several in a row are one. */
export interface CalcNode extends Node {
  readonly kind: 'calc'
  readonly input: PhysicalNode
  readonly condition: Expression | null
  readonly projections: readonly Expression[]
}

export interface WatermarkNode extends Node {
  readonly kind: 'watermark'
  readonly input: PhysicalNode
  /** Column of the row time. */
  readonly rowtime: number
  /** The declared watermark expression over the input's row. */
  readonly expression: Expression
}

/** Times in ms. CUMULATE: `size` is the largest, `step` the step; HOP: `size` and `slide`. */
export type WindowSpec =
  | { readonly kind: 'TUMBLE'; readonly size: number; readonly offset: number }
  | { readonly kind: 'HOP'; readonly size: number; readonly slide: number; readonly offset: number }
  | { readonly kind: 'CUMULATE'; readonly size: number; readonly step: number; readonly offset: number }

export interface AggregateCall extends JsonObject {
  /** COUNT, SUM, SUM0, MIN, MAX, AVG, … of runtime/table/functions. */
  readonly name: string
  /** Column of the input; -1 for COUNT(*). */
  readonly argument: number
  readonly distinct: boolean
  /** Boolean column of a FILTER (WHERE …), -1 = none. */
  readonly filter: number
  readonly inputType: string
  readonly type: string
}

interface WindowAggregate extends Node {
  readonly input: PhysicalNode
  readonly window: WindowSpec & JsonObject
  /** Column of the row time in the input. */
  readonly rowtime: number
  readonly keys: readonly number[]
  readonly aggregates: readonly AggregateCall[]
}

/** Before the exchange, per slice, no output guarantee per input row: emits partial accumulators when its table is full, and before a watermark. */
export interface LocalWindowAggregateNode extends WindowAggregate {
  readonly kind: 'local-window-aggregate'
}

/** Behind a HASH exchange by `keys`. Output: keys, aggregates, then window_start, window_end, window_time where asked. */
export interface WindowAggregateNode extends WindowAggregate {
  readonly kind: 'window-aggregate'
  /** The input is partial accumulators of a LocalWindowAggregateNode. */
  readonly merges: boolean
  readonly windowColumns: readonly ('window_start' | 'window_end' | 'window_time')[]
}

export interface UnionNode extends Node {
  readonly kind: 'union'
  readonly inputs: readonly PhysicalNode[]
}

export interface SinkNode extends Node {
  readonly kind: 'sink'
  readonly input: PhysicalNode
  readonly table: string
  readonly connector: string
  readonly options: JsonObject
}
