import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { recordsAreLines } from '../../formats/decoders.ts'
import type { OperatorDefinition } from '../../graph/stream-graph.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../../stream/operator.ts'
import { SourceOperator, sourceStates } from '../../stream/operators/source-operator.ts'
import type { SourceDescription, SourceReader, SourceReaderContext } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'
import type { CalcSettings } from './calc-operator.ts'
import { DatagenReader, datagenCount } from './datagen-reader.ts'
import { FileTableReader, textOptions } from './file-reader.ts'
import { KafkaTableReader, kafkaTableSource } from './kafka-table-reader.ts'
import { ValuesReader } from './values-reader.ts'

/** A scan as a source: enumerators and fetchers are those of the DataStream connectors, readers make columns. */
export function scanDefinition(node: ScanNode, settings: CalcSettings): OperatorDefinition {
  return {
    type: `source:table-${node.connector}`,
    options: { node, settings: { ...settings } },
    functions: [],
    states: sourceStates,
    factory: (given: JsonObject): StreamOperator => {
      // What was put into `options` above, as it travelled.
      const { node: scan, settings: scanSettings } = given as unknown as { readonly node: ScanNode; readonly settings: CalcSettings }
      return new TableSourceOperator((context, names) => readerOf(scan, scanSettings, context, names))
    },
    source: descriptionOf(node),
  }
}

interface Names {
  readonly job: string
  readonly vertex: string
}

function readerOf(node: ScanNode, settings: CalcSettings, context: SourceReaderContext, names: Names): SourceReader {
  switch (node.connector) {
    case 'values':
      return new ValuesReader(node)
    case 'filesystem':
      return new FileTableReader(node, { ...names, generated: settings.codegen }, context)
    case 'kafka':
      return new KafkaTableReader(node, { ...names, generated: settings.codegen }, context)
    case 'datagen':
      return new DatagenReader(node, context)
    default:
      throw new FlinkError('INTERNAL', `table connector ${node.connector} has no reader`)
  }
}

function descriptionOf(node: ScanNode): SourceDescription {
  switch (node.connector) {
    case 'values':
      return { enumerator: 'static', options: { splits: [{ splitId: 'values', next: 0 }] }, bounded: true }
    case 'filesystem':
      return { enumerator: 'file', options: fileOptions(node), bounded: true }
    case 'kafka':
      return kafkaTableSource(node.options).source
    case 'datagen': {
      const count = datagenCount(node)
      return { enumerator: 'strided', options: count === undefined ? {} : { count }, bounded: count !== undefined }
    }
    default:
      throw new FlinkError('INTERNAL', `table connector ${node.connector} has no splits`)
  }
}

function fileOptions({ options }: ScanNode): JsonObject {
  const wholeFiles = !recordsAreLines(String(options['format']), textOptions(options))
  return { path: options['path'] ?? '', ...(wholeFiles ? { wholeFiles } : {}) }
}

/** Generated decoders are named after the job and the vertex, which only the operator knows. */
class TableSourceOperator extends SourceOperator {
  private readonly names: { job: string; vertex: string }

  constructor(createReader: (context: SourceReaderContext, names: Names) => SourceReader) {
    const names = { job: '', vertex: '' }
    super({ createReader: context => createReader(context, names) })
    this.names = names
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
    this.names.job = context.jobName
    this.names.vertex = context.operatorName
  }
}
