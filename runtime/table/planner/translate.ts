import type { StreamExecutionEnvironment } from '../../api/environment.ts'
import { forward, type NewNode, type Upstream } from '../../api/graph-builder.ts'
import { unreachable } from '../../common/assert.ts'
import type { JsonObject } from '../../common/json.ts'
import type { OperatorDefinition, PartitionerSpec, StreamNode } from '../../graph/stream-graph.ts'
import { Types } from '../../serde/types.ts'
import type { StreamOperator } from '../../stream/operator.ts'
import type { Schema } from '../plan/expression.ts'
import type { PhysicalNode, SinkNode } from '../plan/physical.ts'
import { CalcOperator, type CalcSettings, TableWatermarkOperator } from '../runtime/calc-operator.ts'
import { LocalWindowAggregateOperator } from '../runtime/local-window-aggregate-operator.ts'
import { scanDefinition } from '../runtime/scan-definition.ts'
import { sinkDefinition } from '../runtime/sink-definition.ts'
import { WindowAggregateOperator } from '../runtime/window-aggregate-operator.ts'

/**
 * Physical nodes to nodes of the StreamGraph, edges of type COLUMNS. What an operator is made of travels as its options; a union is no operator
 * but several inputs. A node that several read (share-subplans.ts) is one object, and becomes one operator.
 */
export class Translation {
  private readonly env: StreamExecutionEnvironment
  private readonly settings: CalcSettings
  private readonly added = new Map<PhysicalNode, StreamNode>()
  private count = 0

  constructor(env: StreamExecutionEnvironment, settings: CalcSettings) {
    this.env = env
    this.settings = settings
  }

  addSink(sink: SinkNode): void {
    const inputs = this.upstreams(sink.input, forward)
    const parallelism = sink.options['sink.parallelism']
    const node = this.add({
      name: `Sink: ${sink.table}[${++this.count}]`,
      kind: 'sink',
      definition: sinkDefinition(sink, this.settings),
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
          definition: scanDefinition(node, settings),
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
            given => new CalcOperator(given.inputTypes, given.condition, given.projections, given.settings),
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
            given => new TableWatermarkOperator(given.rowtime, given.inputTypes, given.expression, given.settings),
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
            { node: { window, keys, aggregates, rowtime }, inputTypes: typesOf(node.input), codegen: settings.codegen },
            given => new LocalWindowAggregateOperator(given.node, given.inputTypes, given.codegen),
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
              { node: { window, keys, aggregates, rowtime, merges, windowColumns }, inputTypes: typesOf(node.input), codegen: settings.codegen },
              given => new WindowAggregateOperator(given.node, given.inputTypes, given.codegen),
            ),
            states: [{ name: 'window-aggs', kind: 'aggregating', type: keys.map(key => node.input.schema[key]!.type).join(', ') }],
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
