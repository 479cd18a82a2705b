import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { printPrefix, writeLine } from '../../connectors/text-lines.ts'
import { createEncoder } from '../../formats/encoders.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../../stream/operator.ts'
import type { SinkNode } from '../plan/physical.ts'
import type { CalcSettings } from './calc-operator.ts'
import { textOptions } from './file-reader.ts'
import { rowPrinter } from './print-row.ts'
import { BlackholeOperator, type EncodeRow, TableSinkOperator } from './sink-operators.ts'

/** `collect` prints the rows of a bare SELECT, `text` the lines of what is one text (EXPLAIN). */
export function sinkDefinition(sink: SinkNode, settings: CalcSettings): OperatorDefinition {
  const { connector, table, schema, options } = sink
  return {
    type: `sink:table-${connector}`,
    options: { connector, table, schema, options, settings: { ...settings } },
    functions: [],
    states: [],
    factory: (given: JsonObject): StreamOperator => operatorOf(given as unknown as Pick<SinkNode, 'connector' | 'table' | 'schema' | 'options'>),
  }
}

function operatorOf(node: Pick<SinkNode, 'connector' | 'table' | 'schema' | 'options'>): StreamOperator {
  const { options, schema } = node
  switch (node.connector) {
    case 'blackhole':
      return new BlackholeOperator(node)
    case 'print': {
      const print = rowPrinter(schema.map(({ type }) => type))
      let prefix: string | undefined
      const encode: EncodeRow = (frame, row, writer, context) => {
        prefix ??= printPrefix(String(options['print-identifier'] ?? ''), context.subtaskIndex, context.parallelism)
        writeLine(prefix + print(frame, row), writer)
      }
      return new TableSinkOperator('print', { toStderr: options['standard-error'] === 'true' }, node, encode)
    }
    case 'collect': {
      const print = rowPrinter(schema.map(({ type }) => type))
      return new TableSinkOperator('print', { toStderr: false }, node, (frame, row, writer) => writeLine(print(frame, row), writer))
    }
    case 'text': {
      const print = rowPrinter(schema.map(({ type }) => type))
      return new TableSinkOperator('print', { toStderr: false }, node, (frame, row, writer) =>
        writeLine(print(frame, row).slice('+I['.length, -1), writer),
      )
    }
    case 'filesystem':
      return new PartFileSinkOperator(node)
    default:
      throw new FlinkError('INTERNAL', `table connector ${node.connector} has no sink`)
  }
}

/** The sink's id within its job is part of the files' names. */
class PartFileSinkOperator extends TableSinkOperator {
  private readonly fileOptions: { path: string; jobId: string }

  constructor(node: Pick<SinkNode, 'table' | 'schema' | 'options'>) {
    const fileOptions = { path: String(node.options['path']), jobId: '' }
    const encoder = createEncoder(
      String(node.options['format']),
      node.schema.map(({ name, type }) => ({ name, type })),
      textOptions(node.options),
      'lines',
    )
    super('part-file', fileOptions, node, (frame, row, writer) => encoder.encode(frame, row, row + 1, writer))
    this.fileOptions = fileOptions
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.fileOptions.jobId = sinkId(context)
  }
}

/** Several INSERTs of one job may write into one folder: the job's id alone would give them the same files. */
function sinkId({ jobId, operatorId }: OperatorContext): string {
  return (BigInt(`0x${jobId}`) ^ BigInt(`0x${operatorId}`)).toString(16).padStart(32, '0')
}
