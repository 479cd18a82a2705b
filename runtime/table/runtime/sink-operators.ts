import type { ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { type ColumnarFrame, isValid } from '../../network/columns.ts'
import type { OperatorContext, OperatorOutput } from '../../stream/operator.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { TransportSinkOperator } from '../../stream/operators/transport-sink-operator.ts'
import type { SinkNode } from '../plan/physical.ts'

/** Writes one row of a frame. */
export type EncodeRow = (frame: ColumnarFrame, row: number, writer: ByteWriter, context: OperatorContext) => void

/** A sink of a table: rows of frames to an async half; columns declared NOT NULL are looked at. */
export class TableSinkOperator extends TransportSinkOperator {
  /** Rows are encoded at once. */
  readonly frameUse = 'done'
  private readonly current: { frame: ColumnarFrame | undefined }
  private readonly checkNulls: (frame: ColumnarFrame) => void

  constructor(type: string, options: JsonObject, node: Pick<SinkNode, 'table' | 'schema'>, encodeRow: EncodeRow) {
    const current: { frame: ColumnarFrame | undefined } = { frame: undefined }
    super({
      type,
      options,
      encode: (row, context, writer) => {
        // `processFrame` is the only caller: rows are numbers.
        if (current.frame !== undefined) encodeRow(current.frame, row as number, writer, context)
      },
    })
    this.current = current
    this.checkNulls = nullChecker(node)
  }

  processFrame(frame: ColumnarFrame): void {
    this.checkNulls(frame)
    this.current.frame = frame
    for (let row = 0; row < frame.length; row++) this.processElement(row, Number.NaN)
    this.current.frame = undefined
  }
}

/** Takes everything and keeps nothing. */
export class BlackholeOperator extends BaseOperator {
  readonly frameUse = 'done'
  private readonly checkNulls: (frame: ColumnarFrame) => void

  constructor(node: Pick<SinkNode, 'table' | 'schema'>) {
    super()
    this.checkNulls = nullChecker(node)
  }

  processElement(): void {}

  processFrame(frame: ColumnarFrame): void {
    this.checkNulls(frame)
  }

  override setup(context: OperatorContext, output: OperatorOutput): void {
    super.setup(context, output)
  }
}

function nullChecker({ table, schema }: Pick<SinkNode, 'table' | 'schema'>): (frame: ColumnarFrame) => void {
  const strict = schema.flatMap(({ name, type }, column) => (type.endsWith(' NOT NULL') ? [{ name, column }] : []))
  return frame => {
    for (const { name, column } of strict) {
      const validity = frame.columns[column]?.validity
      if (validity === undefined) continue
      for (let row = 0; row < frame.length; row++)
        if (!isValid(validity, row))
          throw new FlinkError('SQL_RUNTIME', `column '${name}' of table '${table}' is NOT NULL, but a row holds NULL in it`, { table, column: name })
    }
  }
}
