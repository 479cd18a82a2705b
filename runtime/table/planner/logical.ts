import type { Expression, Schema } from '../plan/expression.ts'
import type { AggregateCall, WindowSpec } from '../plan/physical.ts'
import type { SqlPosition } from './plan-error.ts'

/**
 * The logical plan: what the binder makes of a query and the rules rewrite. Columns are flat: a ROW of a table is its leaves, named by their
 * paths; who reads a field of it reads a leaf.
 */
export type LogicalNode =
  | LogicalScan
  | LogicalFilter
  | LogicalProject
  | LogicalWatermark
  | LogicalWindowTable
  | LogicalAggregate
  | LogicalUnion
  | LogicalSink

export interface LogicalScan {
  readonly kind: 'scan'
  readonly table: string
  readonly connector: string
  readonly options: Readonly<Record<string, string>>
  /** Leaves of the declared physical columns; `paths` says where each stands in a record. */
  readonly physical: Schema
  readonly paths: readonly (readonly string[])[]
  readonly projected: readonly number[]
  /** Connector `values` only: rows in the form of literals. */
  readonly rows: readonly (readonly (string | number | boolean | null)[])[] | undefined
}

export interface LogicalFilter {
  readonly kind: 'filter'
  readonly input: LogicalNode
  readonly condition: Expression
}

export interface LogicalProject {
  readonly kind: 'project'
  readonly input: LogicalNode
  readonly projections: readonly Expression[]
  readonly names: readonly string[]
}

export interface LogicalWatermark {
  readonly kind: 'watermark'
  readonly input: LogicalNode
  readonly rowtime: number
  readonly expression: Expression
}

/** A window table function: its input's columns, then window_start, window_end, window_time. */
export interface LogicalWindowTable {
  readonly kind: 'window-table'
  readonly input: LogicalNode
  readonly window: WindowSpec
  readonly rowtime: number
  readonly position: SqlPosition
}

/**
 * GROUP BY: output is keys, then aggregates, then the window's columns. `window` is that of an older group window; where the keys hold the
 * columns of a window table function, a rule makes it one.
 */
export interface LogicalAggregate {
  readonly kind: 'aggregate'
  readonly input: LogicalNode
  readonly keys: readonly number[]
  readonly aggregates: readonly AggregateCall[]
  readonly names: readonly string[]
  readonly window: { readonly spec: WindowSpec; readonly rowtime: number; readonly columns: readonly WindowColumn[] } | undefined
  readonly position: SqlPosition
}

export type WindowColumn = 'window_start' | 'window_end' | 'window_time'

export interface LogicalUnion {
  readonly kind: 'union'
  readonly inputs: readonly LogicalNode[]
}

export interface LogicalSink {
  readonly kind: 'sink'
  readonly input: LogicalNode
  readonly table: string
  readonly connector: string
  readonly options: Readonly<Record<string, string>>
  readonly schema: Schema
}

export const windowColumns = ['window_start', 'window_end', 'window_time'] as const

/** Output columns of a node. */
export function schemaOf(node: LogicalNode): Schema {
  switch (node.kind) {
    case 'scan':
      return node.projected.map(index => node.physical[index]!)
    case 'filter':
    case 'watermark':
      return schemaOf(node.input)
    case 'project':
      return node.projections.map(({ type }, i) => ({ name: node.names[i]!, type }))
    case 'window-table': {
      const input = schemaOf(node.input)
      return [...input, ...windowColumns.map(name => ({ name, type: windowColumnType(name, input[node.rowtime]!.type) }))]
    }
    case 'aggregate': {
      const input = schemaOf(node.input)
      const types = [
        ...node.keys.map(key => input[key]!.type),
        ...node.aggregates.map(({ type }) => type),
        ...(node.window?.columns ?? []).map(column => windowColumnType(column, input[node.window!.rowtime]!.type)),
      ]
      return types.map((type, i) => ({ name: node.names[i]!, type }))
    }
    case 'union':
      return schemaOf(node.inputs[0]!)
    case 'sink':
      return node.schema
  }
}

/** Start and end are local times; the window's time is one as the row time is. */
export function windowColumnType(column: WindowColumn, rowtimeType: string): string {
  return column === 'window_time' && rowtimeType.startsWith('TIMESTAMP_LTZ') ? 'TIMESTAMP_LTZ(3) NOT NULL' : 'TIMESTAMP(3) NOT NULL'
}

export function inputsOf(node: LogicalNode): readonly LogicalNode[] {
  return node.kind === 'scan' ? [] : node.kind === 'union' ? node.inputs : [node.input]
}

/** The same node over other inputs. */
export function withInputs(node: LogicalNode, inputs: readonly LogicalNode[]): LogicalNode {
  if (node.kind === 'scan') return node
  return node.kind === 'union' ? { ...node, inputs } : { ...node, input: inputs[0]! }
}

/** Bottom up; a rule answers the node itself where it does not apply. */
export function rewrite(node: LogicalNode, rule: (node: LogicalNode) => LogicalNode): LogicalNode {
  const inputs = inputsOf(node)
  const rewritten = inputs.map(input => rewrite(input, rule))
  return rule(rewritten.some((input, i) => input !== inputs[i]) ? withInputs(node, rewritten) : node)
}
