import { parseDuration, parseMemorySize } from '../../common/config.ts'
import type { JsonObject } from '../../common/json.ts'
import { createEncoder } from '../../formats/encoders.ts'
import type { RecordEncoder } from '../../formats/format.ts'
import type { ColumnarFrame } from '../../network/columns.ts'
import { FileSinkOperator } from '../../stream/operators/file-sink-operator.ts'
import type { RollingPolicySettings } from '../../stream/operators/part-buckets.ts'
import type { SinkNode } from '../plan/physical.ts'
import type { CalcSettings } from './calc-operator.ts'
import { textOptions } from './file-reader.ts'
import { FramePieces } from './sink-operators.ts'

/** The filesystem table as a sink: the transactional file sink over frames. There are no partitions, so the folder is the only bucket. */
export class FileTableSinkOperator extends FileSinkOperator {
  /** Rows are encoded at once. */
  readonly frameUse = 'done'
  private readonly pieces: FramePieces

  constructor(node: Pick<SinkNode, 'table' | 'schema' | 'options'>, settings: CalcSettings) {
    const columns = node.schema.map(({ name, type }) => ({ name, type }))
    let encoder: RecordEncoder | undefined
    const pieces = new FramePieces(node, (frame, from, to, writer, context) => {
      encoder ??= createEncoder(String(node.options['format']), columns, textOptions(node.options), {
        framing: 'lines',
        generated: settings.codegen,
        origin: { job: context.jobName, vertex: context.operatorName },
      })
      encoder.encode(frame, from, to, writer)
    })
    super({
      options: { path: String(node.options['path']), prefix: 'part', suffix: '' },
      rollingPolicy: rollingPolicyOf(node.options),
      bucketCheckIntervalMs: parseDuration(optionOf(node.options, 'sink.rolling-policy.check-interval', '1 min')),
      bucketOf: () => '',
      encode: pieces.encode,
    })
    this.pieces = pieces
  }

  processFrame(frame: ColumnarFrame): void {
    this.pieces.cut(frame, this)
  }
}

/** Flink's defaults. Csv is one of its bulk formats, whose parts end at every checkpoint. */
function rollingPolicyOf(options: JsonObject): RollingPolicySettings {
  return {
    rollOnCheckpoint: options['format'] === 'csv',
    partSizeBytes: parseMemorySize(optionOf(options, 'sink.rolling-policy.file-size', '128 mb')),
    rolloverIntervalMs: parseDuration(optionOf(options, 'sink.rolling-policy.rollover-interval', '30 min')),
    inactivityIntervalMs: parseDuration(optionOf(options, 'sink.rolling-policy.inactivity-interval', '30 min')),
  }
}

function optionOf(options: JsonObject, key: string, defaultText: string): string {
  return String(options[key] ?? defaultText)
}
