import type { ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import { type ColumnarFrame, isValid } from '../../network/columns.ts'
import type { OperatorContext, OperatorOutput, StreamOperator } from '../../stream/operator.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import { TransportSinkOperator, type TransportSinkSpec } from '../../stream/operators/transport-sink-operator.ts'
import type { SinkNode } from '../plan/physical.ts'

/** Writes rows `[from, to)` of a frame. */
export type EncodeRows = (frame: ColumnarFrame, from: number, to: number, writer: ByteWriter, context: OperatorContext) => void

interface Rows {
  readonly frame: ColumnarFrame
  readonly from: number
  readonly to: number
}

/** Rows are encoded some at a time, so that an encoder looks its columns up once for all of them, and the pieces stay about this large. */
const PIECE_SIZE_BYTES = 16 * 1024
const PIECE_ROWS_MAX = 256
/** Texts of one piece, as they are in the frame: a record that is too large must be alone to be called that. */
const PIECE_TEXT_MAX = 1024 * 1024

/** Frames in pieces for sinks that take one record after the other: each piece is one record to them. Columns declared NOT NULL are looked at. */
export class FramePieces {
  private readonly checkNulls: (frame: ColumnarFrame) => void
  private readonly encodeRows: EncodeRows
  private rows = 1

  constructor(node: Pick<SinkNode, 'table' | 'schema'>, encodeRows: EncodeRows) {
    this.checkNulls = nullChecker(node)
    this.encodeRows = encodeRows
  }

  readonly encode = (value: unknown, context: OperatorContext, writer: ByteWriter): void => {
    // `cut` has made it.
    const { frame, from, to } = value as Rows
    const start = writer.length
    this.encodeRows(frame, from, to, writer, context)
    const rowSize = (writer.length - start) / (to - from)
    this.rows = Math.max(1, Math.min(PIECE_ROWS_MAX, Math.floor(PIECE_SIZE_BYTES / rowSize)))
  }

  /** Each piece goes to the sink before the next is cut: what it has taken says how many rows that is. */
  cut(frame: ColumnarFrame, sink: StreamOperator): void {
    this.checkNulls(frame)
    for (let from = 0; from < frame.length; ) {
      const to = pieceEnd(frame, from, Math.min(frame.length, from + this.rows))
      const piece: Rows = { frame, from, to }
      sink.processElement(piece, Number.NaN)
      from = to
    }
  }
}

/** A sink of a table: rows of frames to an async half. */
export class TableSinkOperator extends TransportSinkOperator {
  /** Rows are encoded at once. */
  readonly frameUse = 'done'
  private readonly pieces: FramePieces

  constructor(spec: Omit<TransportSinkSpec, 'encode'>, node: Pick<SinkNode, 'table' | 'schema'>, encodeRows: EncodeRows) {
    const pieces = new FramePieces(node, encodeRows)
    super({ ...spec, encode: pieces.encode })
    this.pieces = pieces
  }

  processFrame(frame: ColumnarFrame): void {
    this.pieces.cut(frame, this)
  }
}

/** At most `to`, and one row at least. */
function pieceEnd({ columns }: ColumnarFrame, from: number, to: number): number {
  let bytes = 0
  for (let row = from; row < to; row++) {
    for (const column of columns) if (column.kind === 'bytes') bytes += column.lengths[row]!
    if (bytes > PIECE_TEXT_MAX) return Math.max(row, from + 1)
  }
  return to
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
