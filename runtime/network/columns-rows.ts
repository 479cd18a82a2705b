/**
 * Rows and columns into one another: for operators without a columnar form, for rows that reach a columnar operator, for tests and print. The
 * row form is that of runtime/serde/columns-type.ts. Callers count what they convert: it is the slow path.
 */
import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import { type ColumnLayout, columnLayout, heldValue, rowValue } from '../serde/columns-type.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { Column, ColumnarFrame } from './columns.ts'
import {
  BoolColumnBuilder,
  BytesColumnBuilder,
  type ColumnBuilder,
  Float64ColumnBuilder,
  Int32ColumnBuilder,
  Int64ColumnBuilder,
} from './columns-builder.ts'
import type { ObjectFrame } from './frame.ts'

/** Undefined when the type has no columnar form. */
export function columnLayouts(type: TypeJson): readonly ColumnLayout[] | undefined {
  return type.kind === 'COLUMNS' ? type.fields.map(field => columnLayout(field.type)) : undefined
}

export function rowsOf(frame: ColumnarFrame, layouts: readonly ColumnLayout[]): unknown[][] {
  assert(frame.columns.length === layouts.length, 'a frame has the columns of its type')
  const rows: unknown[][] = Array.from({ length: frame.length }, () => [])
  for (const [i, column] of frame.columns.entries()) {
    const layout = layouts[i]!
    for (let row = 0; row < frame.length; row++) rows[row]!.push(valueAt(column, row, layout))
  }
  return rows
}

/** Event times and row kinds are taken over. */
export function objectFrameOf(frame: ColumnarFrame, layouts: readonly ColumnLayout[]): ObjectFrame {
  return { kind: 'object', rows: rowsOf(frame, layouts), timestamps: frame.timestamps, rowKinds: frame.rowKinds }
}

export function columnarFrameOf(frame: ObjectFrame, layouts: readonly ColumnLayout[]): ColumnarFrame {
  return frameOf(frame.rows, layouts, frame.timestamps, frame.rowKinds)
}

export function frameOf(
  rows: readonly unknown[],
  layouts: readonly ColumnLayout[],
  timestamps: Float64Array | undefined = undefined,
  rowKinds: Uint8Array | undefined = undefined,
): ColumnarFrame {
  for (const row of rows) {
    if (!Array.isArray(row) || row.length !== layouts.length)
      throw new FlinkError('UNSUPPORTED_VALUE', `value is no row of ${layouts.length} columns: a row of a columnar edge is an array of its columns`)
  }
  // Checked in the loop above.
  const arrays = rows as readonly (readonly unknown[])[]
  return { kind: 'columnar', length: rows.length, columns: layouts.map((layout, i) => columnOf(arrays, i, layout)), timestamps, rowKinds }
}

/** A value in row form; null where the row is null. */
export function valueAt(column: Column, row: number, layout: ColumnLayout): unknown {
  const { validity } = column
  if (validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0) return null
  switch (column.kind) {
    case 'bool':
      return column.values[row] === 1
    case 'i32':
    case 'f64':
      return column.values[row]
    case 'i64':
      return rowValue(layout, column.values[row])
    case 'bytes': {
      const start = column.starts[row]!
      const end = start + column.lengths[row]!
      return layout.held === 'BYTES' ? copyOf(column.data, start, end) : rowValue(layout, textOf(column.data, start, end))
    }
  }
}

/** UTF-8 as a string, as everywhere in the engine: malformed bytes become U+FFFD. */
export function textOf(data: Uint8Array, start: number, end: number): string {
  if (end - start < SHORT_TEXT) {
    let text = ''
    let i = start
    for (; i < end; i++) {
      const byte = data[i]!
      if (byte > 127) break
      text += String.fromCharCode(byte)
    }
    if (i === end) return text
  }
  // TextDecoder refuses views of shared memory.
  return decoder.decode(data.buffer instanceof SharedArrayBuffer ? copyOf(data, start, end) : data.subarray(start, end))
}

const SHORT_TEXT = 24
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })

function copyOf(data: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(data.subarray(start, end))
  return copy
}

function columnOf(rows: readonly (readonly unknown[])[], index: number, layout: ColumnLayout): Column {
  switch (layout.held) {
    case 'BOOLEAN':
      return fill(new BoolColumnBuilder(), rows, index, layout, (builder, value) => builder.append(as<boolean>(value, 'boolean', 'BOOLEAN')))
    case 'INT':
      return fill(new Int32ColumnBuilder(), rows, index, layout, (builder, value) => builder.append(as<number>(value, 'number', 'INT')))
    case 'DOUBLE':
      return fill(new Float64ColumnBuilder(), rows, index, layout, (builder, value) => builder.append(as<number>(value, 'number', 'DOUBLE')))
    case 'LONG':
      return fill(new Int64ColumnBuilder(), rows, index, layout, (builder, value) => builder.append(as<bigint>(value, 'bigint', 'BIGINT')))
    case 'STRING':
      return fill(new BytesColumnBuilder(), rows, index, layout, (builder, value) => builder.appendText(as<string>(value, 'string', 'STRING')))
    case 'BYTES':
      return fill(new BytesColumnBuilder(), rows, index, layout, (builder, value) => {
        if (!(value instanceof Uint8Array)) throw wrongValue('BYTES', value)
        builder.append(value)
      })
  }
}

function fill<C extends Column, B extends ColumnBuilder<C>>(
  builder: B,
  rows: readonly (readonly unknown[])[],
  index: number,
  layout: ColumnLayout,
  append: (builder: B, value: unknown) => void,
): C {
  for (const row of rows) {
    const value = row[index]
    if (value === null || value === undefined) builder.appendNull()
    else append(builder, heldValue(layout, value))
  }
  return builder.finish()
}

/** `typeof` decides what T is. */
function as<T>(value: unknown, expected: ColumnKindType, declared: string): T {
  if (typeof value !== expected) throw wrongValue(declared, value)
  return value as T
}

type ColumnKindType = 'boolean' | 'number' | 'bigint' | 'string'

function wrongValue(declared: string, value: unknown): FlinkError {
  return new FlinkError('UNSUPPORTED_VALUE', `value of a ${declared} column is a ${typeof value}`)
}
