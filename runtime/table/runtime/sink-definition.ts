import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { printPrefix, writeLine } from '../../connectors/text-lines.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import type { OperatorContext, StreamOperator } from '../../stream/operator.ts'
import { fileSinkStates } from '../../stream/operators/file-sink-operator.ts'
import type { SinkNode } from '../plan/physical.ts'
import type { CalcSettings } from './calc-operator.ts'
import { FileTableSinkOperator } from './file-table-sink.ts'
import { KafkaTableSinkOperator } from './kafka-table-sink.ts'
import { rowPrinter } from './print-row.ts'
import { BlackholeOperator, TableSinkOperator } from './sink-operators.ts'

/** `collect` prints the rows of a bare SELECT, `text` the lines of what is one text (EXPLAIN). */
export function sinkDefinition(sink: SinkNode, settings: CalcSettings): OperatorDefinition {
  const { connector, table, schema, options } = sink
  return {
    type: `sink:table-${connector}`,
    options: { connector, table, schema, options, settings: { ...settings } },
    functions: [],
    states: connector === 'filesystem' ? fileSinkStates : [],
    // What was put into `options` above, as it travelled.
    factory: (given: JsonObject): StreamOperator => operatorOf(given as unknown as SinkOptions),
  }
}

type SinkOptions = Pick<SinkNode, 'connector' | 'table' | 'schema' | 'options'> & { readonly settings: CalcSettings }

function operatorOf(node: SinkOptions): StreamOperator {
  const { options, schema, settings } = node
  switch (node.connector) {
    case 'blackhole':
      return new BlackholeOperator(node)
    case 'print': {
      const print = rowPrinter(schema.map(({ type }) => type))
      let prefix: string | undefined
      return printing({ toStderr: options['standard-error'] === 'true' }, node, (frame, row, context) => {
        prefix ??= printPrefix(String(options['print-identifier'] ?? ''), context.subtaskIndex, context.parallelism)
        return prefix + print(frame, row)
      })
    }
    case 'collect':
      return printing({ toStderr: false }, node, rowPrinter(schema.map(({ type }) => type)))
    case 'text': {
      const print = rowPrinter(schema.map(({ type }) => type))
      return printing({ toStderr: false }, node, (frame, row) => print(frame, row).slice('+I['.length, -1))
    }
    case 'filesystem':
      return new FileTableSinkOperator(node, settings)
    case 'kafka':
      return new KafkaTableSinkOperator(node, settings)
    default:
      throw new FlinkError('INTERNAL', `table connector ${node.connector} has no sink`)
  }
}

function printing(
  options: { readonly toStderr: boolean },
  node: Pick<SinkNode, 'table' | 'schema'>,
  lineOf: (frame: ColumnarFrame, row: number, context: OperatorContext) => string,
): StreamOperator {
  return new TableSinkOperator({ type: 'print', options }, node, (frame, from, to, writer, context) => {
    for (let row = from; row < to; row++) writeLine(lineOf(frame, row, context), writer)
  })
}
