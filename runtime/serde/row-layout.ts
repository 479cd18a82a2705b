import { columnLayout, type HeldKind } from './columns-type.ts'
import type { PrimitiveKind, TypeJson } from './type-information.ts'

/**
 * How rows of a type stand in columns: one layout a field, and what a row is to users. Types of SQL (`COLUMNS`) have one; so have tuples, rows and
 * single values of the DataStream API whose fields are all primitive. Anything else (lists, maps, nested rows, GENERIC) has no columnar form.
 */
export interface RowLayout {
  readonly columns: readonly FieldLayout[]
  readonly shape: RowShape
  /** Columns of STRING hold JS strings inside a slot: of the DataStream API, whose functions make and take them. Those of SQL hold bytes. */
  readonly texts: boolean
}

/** As `ColumnLayout`, for all primitive types of the DataStream API. */
export interface FieldLayout {
  readonly kind: HeldKind
  readonly held: Exclude<PrimitiveKind, 'DATE' | 'VOID'>
  readonly scale: number
}

/** A tuple is an array, a row an object with these properties, a single value itself. */
export type RowShape = { readonly kind: 'array' } | { readonly kind: 'object'; readonly names: readonly string[] } | { readonly kind: 'value' }

const array: RowShape = { kind: 'array' }
const value: RowShape = { kind: 'value' }

const layoutOfPrimitive: Readonly<Partial<Record<PrimitiveKind, FieldLayout>>> = {
  BOOLEAN: { kind: 'bool', held: 'BOOLEAN', scale: -1 },
  BYTE: { kind: 'i32', held: 'BYTE', scale: -1 },
  SHORT: { kind: 'i32', held: 'SHORT', scale: -1 },
  INT: { kind: 'i32', held: 'INT', scale: -1 },
  LONG: { kind: 'i64', held: 'LONG', scale: -1 },
  SAFE_LONG: { kind: 'f64', held: 'SAFE_LONG', scale: -1 },
  FLOAT: { kind: 'f64', held: 'FLOAT', scale: -1 },
  DOUBLE: { kind: 'f64', held: 'DOUBLE', scale: -1 },
  STRING: { kind: 'bytes', held: 'STRING', scale: -1 },
}

/** Undefined when the type has no columnar form. */
export function rowLayout(type: TypeJson): RowLayout | undefined {
  switch (type.kind) {
    case 'COLUMNS':
      return { columns: type.fields.map(field => columnLayout(field.type)), shape: array, texts: false }
    case 'TUPLE':
      return layoutOf(type.fields, array)
    case 'ROW':
      return layoutOf(
        type.fields.map(field => field.type),
        { kind: 'object', names: type.fields.map(field => field.name) },
      )
    default:
      return layoutOf([type], value)
  }
}

function layoutOf(fields: readonly TypeJson[], shape: RowShape): RowLayout | undefined {
  const columns: FieldLayout[] = []
  for (const { kind } of fields) {
    const layout = Object.hasOwn(layoutOfPrimitive, kind) ? layoutOfPrimitive[kind as PrimitiveKind] : undefined
    if (layout === undefined) return undefined
    columns.push(layout)
  }
  return columns.length === 0 ? undefined : { columns, shape, texts: true }
}
