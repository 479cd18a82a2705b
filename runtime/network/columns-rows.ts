/**
 * Rows and columns into one another: for operators without a columnar form, for rows that reach a columnar operator, for tests and print. The
 * row form is that of runtime/serde/columns-type.ts. Callers count what they convert: it is the slow path.
 */
import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import { type ColumnLayout, heldValue, rowValue } from '../serde/columns-type.ts'
import { toInt, toSafeLong } from '../serde/primitives.ts'
import { type FieldLayout, type RowLayout, rowLayout } from '../serde/row-layout.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { Column, ColumnarFrame, LocalColumn, LocalFrame, TextColumn } from './columns.ts'
import {
  BoolColumnBuilder,
  BytesColumnBuilder,
  type ColumnBuilder,
  Float64ColumnBuilder,
  Int32ColumnBuilder,
  Int64ColumnBuilder,
} from './columns-builder.ts'
import { TextColumnBuilder, textOf, texts } from './columns-text.ts'
import type { ObjectFrame } from './frame.ts'

/** Of rows of SQL; undefined for other types. */
export function columnLayouts(type: TypeJson): readonly ColumnLayout[] | undefined {
  // A type of COLUMNS has the layouts of columns-type.ts.
  return type.kind === 'COLUMNS' ? (rowLayout(type)?.columns as readonly ColumnLayout[]) : undefined
}

export function rowsOf(frame: LocalFrame, layouts: readonly FieldLayout[]): unknown[][] {
  assert(frame.columns.length === layouts.length, 'a frame has the columns of its type')
  const rows: unknown[][] = Array.from({ length: frame.length }, () => [])
  for (const [i, column] of frame.columns.entries()) {
    const layout = layouts[i]!
    const read = column.kind === 'bytes' && layout.held === 'STRING' && layout.scale < 0 ? texts(column, frame.length) : column
    for (let row = 0; row < frame.length; row++) rows[row]!.push(valueAt(read, row, layout))
  }
  return rows
}

/** Rows as users know them: arrays, objects or values. */
export function objectRowsOf(frame: LocalFrame, { columns, shape }: RowLayout): unknown[] {
  const rows = rowsOf(frame, columns)
  if (shape.kind === 'array') return rows
  if (shape.kind === 'value') return rows.map(row => row[0])
  return rows.map(row => Object.fromEntries(shape.names.map((name, i) => [name, row[i]])))
}

/** Event times and row kinds are taken over. */
export function objectFrameOf(frame: LocalFrame, layout: RowLayout): ObjectFrame {
  return { kind: 'object', rows: objectRowsOf(frame, layout), timestamps: frame.timestamps, rowKinds: frame.rowKinds }
}

export function columnarFrameOf(frame: ObjectFrame, layout: RowLayout): LocalFrame {
  const rows =
    layout.shape.kind === 'array'
      ? frame.rows
      : layout.shape.kind === 'value'
        ? frame.rows.map(value => [value])
        : frame.rows.map(row => fieldsOf(row, layout.shape.kind === 'object' ? layout.shape.names : []))
  const arrays = checkedRows(rows, layout.columns)
  const columns = layout.columns.map((field, i) => (layout.texts && field.held === 'STRING' ? textsOf(arrays, i) : columnOf(arrays, i, field)))
  return { kind: 'columnar', length: rows.length, columns, timestamps: frame.timestamps, rowKinds: frame.rowKinds }
}

function fieldsOf(row: unknown, names: readonly string[]): unknown[] {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw wrongValue('ROW', row)
  return names.map(name => (row as Record<string, unknown>)[name])
}

export function frameOf(
  rows: readonly unknown[],
  layouts: readonly FieldLayout[],
  timestamps: Float64Array | undefined = undefined,
  rowKinds: Uint8Array | undefined = undefined,
): ColumnarFrame {
  const arrays = checkedRows(rows, layouts)
  return { kind: 'columnar', length: rows.length, columns: layouts.map((layout, i) => columnOf(arrays, i, layout)), timestamps, rowKinds }
}

function checkedRows(rows: readonly unknown[], layouts: readonly FieldLayout[]): readonly (readonly unknown[])[] {
  for (const row of rows) {
    if (!Array.isArray(row) || row.length !== layouts.length)
      throw new FlinkError('UNSUPPORTED_VALUE', `value is no row of ${layouts.length} columns: a row of a columnar edge is an array of its columns`)
  }
  // Checked in the loop above.
  return rows as readonly (readonly unknown[])[]
}

function textsOf(rows: readonly (readonly unknown[])[], index: number): TextColumn {
  const builder = new TextColumnBuilder()
  for (const row of rows) {
    const value = row[index]
    if (value === null || value === undefined) builder.appendNull()
    else builder.append(as<string>(value, 'string', 'STRING'))
  }
  return builder.finish()
}

/** A value in row form; null where the row is null, undefined where nobody reads the column. */
export function valueAt(column: LocalColumn, row: number, layout: FieldLayout): unknown {
  const { validity } = column
  if (validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0) return null
  switch (column.kind) {
    case 'absent':
      return undefined
    case 'bool':
      return column.values[row] === 1
    case 'i32':
    case 'f64':
      return column.values[row]
    case 'text':
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

function copyOf(data: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(data.subarray(start, end))
  return copy
}

function columnOf(rows: readonly (readonly unknown[])[], index: number, layout: FieldLayout): Column {
  const { held } = layout
  switch (held) {
    case 'BOOLEAN':
      return fill(new BoolColumnBuilder(), rows, index, layout, (builder, value) => builder.append(as<boolean>(value, 'boolean', 'BOOLEAN')))
    case 'BYTE':
      return fill(new Int32ColumnBuilder(), rows, index, layout, (builder, value) => builder.append((toInt(held, value) << 24) >> 24))
    case 'SHORT':
      return fill(new Int32ColumnBuilder(), rows, index, layout, (builder, value) => builder.append((toInt(held, value) << 16) >> 16))
    case 'INT':
      return fill(new Int32ColumnBuilder(), rows, index, layout, (builder, value) => builder.append(toInt(held, value)))
    case 'SAFE_LONG':
      return fill(new Float64ColumnBuilder(), rows, index, layout, (builder, value) => builder.append(toSafeLong(value)))
    case 'FLOAT':
      return fill(new Float64ColumnBuilder(), rows, index, layout, (builder, value) =>
        builder.append(Math.fround(as<number>(value, 'number', 'FLOAT'))),
      )
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
  layout: FieldLayout,
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
