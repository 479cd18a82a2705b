import { assert } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Schema } from '../plan/expression.ts'
import type { CalcNode, PhysicalNode, SinkNode } from '../plan/physical.ts'
import { accumulatorTypes, isDistinct } from '../runtime/accumulators.ts'
import { columnReference } from './expressions.ts'
import { type LogicalAggregate, type LogicalNode, schemaOf } from './logical.ts'
import { notSupportedYet } from './plan-error.ts'

/** Logical nodes after the rules to physical ones: filter and projection are one calc, an aggregate is two where it may be. */
export interface PhysicalSettings {
  readonly twoPhase: boolean
  readonly timeZone: string
}

export function toPhysical(node: Extract<LogicalNode, { kind: 'sink' }>, settings: PhysicalSettings): SinkNode {
  const { table, connector, options, schema } = node
  return { kind: 'sink', input: convert(node.input, settings), table, connector, options: { ...options }, schema }
}

function convert(node: LogicalNode, settings: PhysicalSettings): PhysicalNode {
  const schema = schemaOf(node)
  switch (node.kind) {
    case 'scan': {
      const { table, connector, options, physical, paths, projected, rows } = node
      return { kind: 'scan', table, connector, options: { ...options }, physical, paths, projected, schema, ...(rows === undefined ? {} : { rows }) }
    }
    case 'filter':
      return {
        kind: 'calc',
        input: convert(node.input, settings),
        condition: node.condition,
        projections: schema.map(({ type }, i) => columnReference(i, type)),
        schema,
      }
    case 'project': {
      const filter = node.input.kind === 'filter' ? node.input : undefined
      const calc: CalcNode = {
        kind: 'calc',
        input: convert(filter?.input ?? node.input, settings),
        condition: filter?.condition ?? null,
        projections: node.projections,
        schema,
      }
      return isIdentity(calc) ? calc.input : calc
    }
    case 'watermark':
      return { kind: 'watermark', input: convert(node.input, settings), rowtime: node.rowtime, expression: node.expression, schema }
    case 'aggregate':
      return windowAggregate(node, schema, settings)
    case 'union':
      return { kind: 'union', inputs: node.inputs.map(input => convert(input, settings)), schema }
    case 'window-table':
    case 'sink':
      throw new FlinkError('INTERNAL', `a ${node.kind} is gone when the plan becomes physical`)
  }
}

function windowAggregate(node: LogicalAggregate, schema: Schema, settings: PhysicalSettings): PhysicalNode {
  const { window, keys, aggregates } = node
  assert(window !== undefined, 'an aggregate without a window was refused')
  const input = convert(node.input, settings)
  if (input.schema[window.rowtime]!.type.startsWith('TIMESTAMP_LTZ') && settings.timeZone !== 'UTC')
    throw notSupportedYet(node.position, `a window over TIMESTAMP_LTZ in the time zone ${settings.timeZone} (table.local-time-zone)`)
  const common = { window: { ...window.spec }, keys, aggregates }
  // Partial sets of values would travel whole: rows of DISTINCT calls go to their groups as they are.
  if (!settings.twoPhase || aggregates.some(isDistinct))
    return { kind: 'window-aggregate', input, ...common, rowtime: window.rowtime, merges: false, windowColumns: window.columns, schema }
  const accumulators = aggregates.flatMap((call, i) => accumulatorTypes(call).map((type, k) => ({ name: `$acc${i}_${k}`, type })))
  const local: PhysicalNode = {
    kind: 'local-window-aggregate',
    input,
    ...common,
    rowtime: window.rowtime,
    schema: [
      ...keys.map((key, i) => ({ name: schema[i]!.name, type: input.schema[key]!.type })),
      ...accumulators,
      { name: '$slice_end', type: 'TIMESTAMP(3) NOT NULL' },
    ],
  }
  return {
    kind: 'window-aggregate',
    input: local,
    window: { ...window.spec },
    keys: keys.map((_, i) => i),
    aggregates,
    rowtime: local.schema.length - 1,
    merges: true,
    windowColumns: window.columns,
    schema,
  }
}

function isIdentity({ condition, projections, input, schema }: CalcNode): boolean {
  return (
    condition === null &&
    projections.length === input.schema.length &&
    projections.every((projection, i) => projection.kind === 'column' && projection.index === i && schema[i]!.type === input.schema[i]!.type)
  )
}
