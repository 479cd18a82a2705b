import type { StreamExecutionEnvironment } from '../../api/environment.ts'
import { forward, type NewNode, type Upstream } from '../../api/graph-builder.ts'
import { unreachable } from '../../common/assert.ts'
import type { JsonObject } from '../../common/json.ts'
import type { OperatorDefinition, PartitionerSpec, StreamNode } from '../../graph/stream-graph.ts'
import { Types } from '../../serde/types.ts'
import type { StreamOperator } from '../../stream/operator.ts'
import type { Schema } from '../plan/expression.ts'
import type { PhysicalNode, ScanNode, SinkNode } from '../plan/physical.ts'
import { CalcOperator, type CalcSettings, TableWatermarkOperator } from '../runtime/calc-operator.ts'
import { LocalWindowAggregateOperator } from '../runtime/local-window-aggregate-operator.ts'
import { RowCalcOperator } from '../runtime/rows/row-calc-operator.ts'
import { RowWatermarkOperator } from '../runtime/rows/row-watermark-operator.ts'
import { RowLocalWindowAggregateOperator, RowWindowAggregateOperator } from '../runtime/rows/row-window-aggregate-operator.ts'
import { scanDefinition } from '../runtime/scan-definition.ts'
import { sinkDefinition } from '../runtime/sink-definition.ts'
import { WindowAggregateOperator } from '../runtime/window-aggregate-operator.ts'
import { windowAggregateStates } from '../runtime/window-aggregate-states.ts'

/** What tables are read and written with. */
export interface TableConnectors {
  scan(node: ScanNode, settings: CalcSettings): OperatorDefinition
  sink(node: SinkNode, settings: CalcSettings): OperatorDefinition
}

const builtInConnectors: TableConnectors = { scan: scanDefinition, sink: sinkDefinition }

/**
 * Physical nodes to nodes of the StreamGraph, edges of type COLUMNS. What an operator is made of travels as its options; a union is no operator
 * but several inputs. A node that several read (share-subplans.ts) is one object, and becomes one operator.
 */
export class Translation {
  private readonly env: StreamExecutionEnvironment
  private readonly settings: CalcSettings
  private readonly added = new Map<PhysicalNode, StreamNode>()
  private readonly connectors: TableConnectors
  private count = 0

  constructor(env: StreamExecutionEnvironment, settings: CalcSettings, connectors: TableConnectors = builtInConnectors) {
    this.env = env
    this.settings = settings
    this.connectors = connectors
  }

  addSink(sink: SinkNode): void {
    const inputs = this.upstreams(sink.input, forward)
    const parallelism = sink.options['sink.parallelism']
    const node = this.add({
      name: `Sink: ${sink.table}[${++this.count}]`,
      kind: 'sink',
      definition: this.connectors.sink(sink, this.settings),
      outputType: columnsType(sink.schema),
      inputs: [inputs],
      // Rows that are printed for somebody who looks at them come in one stream, as they do when Flink collects them.
      nonParallel: sink.connector === 'collect' || sink.connector === 'text',
    })
    if (parallelism !== undefined) node.parallelism = Number(parallelism)
  }

  /** The nodes that answer `node`'s rows, to be read by `partitioner`. */
  private upstreams(node: PhysicalNode, partitioner: PartitionerSpec): readonly Upstream[] {
    if (node.kind === 'union') return node.inputs.flatMap(input => this.upstreams(input, partitioner))
    const operator = this.added.get(node) ?? this.operator(node)
    this.added.set(node, operator)
    return [{ node: operator, tag: undefined, partitioner }]
  }

  private operator(node: Exclude<PhysicalNode, { kind: 'union' }>): StreamNode {
    const outputType = columnsType(node.schema)
    const { settings } = this
    switch (node.kind) {
      case 'scan': {
        const added = this.add({
          name: `Source: ${node.table}[${++this.count}]`,
          kind: 'source',
          definition: this.connectors.scan(node, settings),
          outputType,
          nonParallel: node.connector === 'values',
        })
        if (node.options['scan.parallelism'] !== undefined) added.parallelism = Number(node.options['scan.parallelism'])
        return added
      }
      case 'calc': {
        const inputs = this.upstreams(node.input, forward)
        const options = { inputTypes: typesOf(node.input), condition: node.condition, projections: node.projections, settings: { ...settings } }
        return this.add({
          name: `Calc[${++this.count}]`,
          kind: 'operator',
          definition: definition(
            'table:calc',
            options,
            ({ inputTypes: types, condition, projections, settings: given }) =>
              new (given.columnar ? CalcOperator : RowCalcOperator)(types, condition, projections, given),
          ),
          outputType,
          inputs: [inputs],
        })
      }
      case 'watermark': {
        const inputs = this.upstreams(node.input, forward)
        const options = { rowtime: node.rowtime, inputTypes: typesOf(node.input), expression: node.expression, settings: { ...settings } }
        return this.add({
          name: `WatermarkAssigner[${++this.count}]`,
          kind: 'operator',
          definition: definition(
            'table:watermark',
            options,
            ({ rowtime, inputTypes: types, expression, settings: given }) =>
              new (given.columnar ? TableWatermarkOperator : RowWatermarkOperator)(rowtime, types, expression, given),
          ),
          outputType,
          inputs: [inputs],
        })
      }
      case 'local-window-aggregate': {
        const inputs = this.upstreams(node.input, forward)
        const { window, keys, aggregates, rowtime } = node
        return this.add({
          name: `LocalWindowAggregate[${++this.count}]`,
          kind: 'operator',
          definition: definition(
            'table:local-window-aggregate',
            { node: { window, keys, aggregates, rowtime }, inputTypes: typesOf(node.input), codegen: settings.codegen, columnar: settings.columnar },
            given =>
              given.columnar
                ? new LocalWindowAggregateOperator(given.node, given.inputTypes, given.codegen)
                : new RowLocalWindowAggregateOperator(given.node),
          ),
          outputType,
          inputs: [inputs],
        })
      }
      case 'window-aggregate': {
        const { window, keys, aggregates, rowtime, merges, windowColumns } = node
        const inputs = this.upstreams(node.input, exchangeBy(keys, node.input.schema))
        return this.add({
          name: `${merges ? 'GlobalWindowAggregate' : 'WindowAggregate'}[${++this.count}]`,
          kind: 'operator',
          definition: {
            ...definition(
              'table:window-aggregate',
              {
                node: { window, keys, aggregates, rowtime, merges, windowColumns },
                inputTypes: typesOf(node.input),
                codegen: settings.codegen,
                columnar: settings.columnar,
              },
              given =>
                given.columnar
                  ? new WindowAggregateOperator(given.node, given.inputTypes, given.codegen)
                  : new RowWindowAggregateOperator(given.node, given.inputTypes),
            ),
            ...windowAggregateStates(node, typesOf(node.input), settings.columnar),
          },
          outputType,
          inputs: [inputs],
          // One group: one place where it is added up.
          nonParallel: keys.length === 0,
        })
      }
      case 'sink':
        return unreachable(node as never)
      default:
        return unreachable(node)
    }
  }

  private add(node: NewNode): StreamNode {
    return this.env.addNode(node)
  }
}

/** `options` are JSON and come back as they were from the JobGraph: the factory gets their type. */
function definition<O>(type: string, options: O, make: (options: O) => StreamOperator): OperatorDefinition {
  return { type, options: options as unknown as JsonObject, functions: [], states: [], factory: (given: JsonObject) => make(given as unknown as O) }
}

function exchangeBy(keys: readonly number[], schema: Schema): PartitionerSpec {
  if (keys.length === 0) return { kind: 'GLOBAL', explicit: true }
  const fields = keys.map(key => schema[key]!)
  return {
    kind: 'HASH',
    explicit: true,
    key: {
      type: columnsType(fields),
      select: (row: never) => keys.map(key => (row as readonly unknown[])[key]),
      columns: keys,
      description: fields.map(({ name }) => name).join(', '),
    },
  }
}

function columnsType(schema: Schema): ReturnType<typeof Types.columns> {
  return Types.columns(schema)
}

function typesOf(node: PhysicalNode): readonly string[] {
  return node.schema.map(({ type }) => type)
}
