import { type Code, code, type FunctionEmitter, join } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import { toInt, toSafeLong } from '../../serde/primitives.ts'
import type { FieldLayout, RowLayout } from '../../serde/row-layout.ts'
import { mismatch, propertyStep, within } from '../../serde/unsupported-value.ts'

/**
 * Source text that takes rows out of columns and puts them into columns: fresh rows for users' functions, checks of what they return. What a
 * serializer refuses is refused here too, with the same words.
 */

/** Names of a column's arrays inside the function that reads it. */
export interface ColumnNames {
  readonly values: Code
  readonly validity: Code
}

/** Local names for the arrays of `columns`, a piece that is an array of columns; none for those that are absent. */
export function defineColumns(
  emitter: FunctionEmitter,
  layout: RowLayout,
  absent: readonly number[],
  columns: Code,
): readonly (ColumnNames | undefined)[] {
  return layout.columns.map((_, i) => {
    if (absent.includes(i)) return undefined
    return { values: emitter.define(code`${columns}[${i}].values`), validity: emitter.define(code`${columns}[${i}].validity`) }
  })
}

/** The value of a field at `row`; null where its validity says so. */
export function loadField(layout: FieldLayout, names: ColumnNames, row: Code): Code {
  const value = layout.kind === 'bool' ? code`${names.values}[${row}] === 1` : code`${names.values}[${row}]`
  return code`(${names.validity} !== undefined && (${names.validity}[${row} >> 3] & (1 << (${row} & 7))) === 0 ? null : ${value})`
}

/** A fresh row; undefined where a column is absent. */
export function loadRow(emitter: FunctionEmitter, { columns, shape }: RowLayout, names: readonly (ColumnNames | undefined)[], row: Code): Code {
  const fields = columns.map((column, i) => {
    const arrays = names[i]
    return arrays === undefined ? code`undefined` : emitter.define(loadField(column, arrays, row))
  })
  return rowOf(emitter, shape, fields)
}

export function rowOf(emitter: FunctionEmitter, shape: RowLayout['shape'], fields: readonly Code[]): Code {
  if (shape.kind === 'object') return emitter.objectLiteral(shape.names, fields)
  if (shape.kind === 'value') return fields[0] as Code
  return code`[${join(fields, ', ')}]`
}

/** Columns that rows are put into: variables of the factory, so that collectors see them. */
export interface StoreNames {
  /** None where nobody reads the column. */
  readonly values: readonly (Code | undefined)[]
  /** Bits of rows that are not null; undefined while none is. */
  readonly validity: readonly (Code | undefined)[]
}

/** For the columns of `fields`; undefined = all. */
export function defineStore(emitter: FunctionEmitter, layout: RowLayout, fields: readonly number[] | undefined, capacity: number): StoreNames {
  const isRead = (i: number) => fields === undefined || fields.includes(i)
  return {
    values: layout.columns.map((column, i) => (isRead(i) ? emitter.outerVariable(newArray(column, code`${capacity}`)) : undefined)),
    validity: layout.columns.map((_, i) => (isRead(i) ? emitter.outerVariable(code`undefined`) : undefined)),
  }
}

/** An empty array for the values of a column. */
export function newArray({ kind }: FieldLayout, capacity: Code): Code {
  switch (kind) {
    case 'bool':
      return code`new Uint8Array(${capacity})`
    case 'i32':
      return code`new Int32Array(${capacity})`
    case 'f64':
      return code`new Float64Array(${capacity})`
    case 'i64':
      return code`new BigInt64Array(${capacity})`
    case 'bytes':
      return code`new Array(${capacity})`
  }
}

/** Statements that put `value` at `at`. `refuse` says whose output it is. */
export function storeRow(emitter: FunctionEmitter, { columns, shape }: RowLayout, store: StoreNames, value: Code, at: Code, owner: string): void {
  if (shape.kind === 'array') {
    const bad = emitter.constant((row: unknown) => refuse(owner, () => mismatch(`TUPLE of ${columns.length}`, row)))
    emitter.line(code`if (!Array.isArray(${value}) || ${value}.length !== ${columns.length}) ${bad}(${value})`)
  } else if (shape.kind === 'object') {
    const bad = emitter.constant((row: unknown) => refuse(owner, () => mismatch('ROW', row)))
    emitter.line(code`if (typeof ${value} !== 'object' || ${value} === null || Array.isArray(${value})) ${bad}(${value})`)
  }
  for (const [i, column] of columns.entries()) {
    const [values, validity] = [store.values[i], store.validity[i]]
    if (values === undefined || validity === undefined) continue
    const step = shape.kind === 'array' ? `[${i}]` : shape.kind === 'object' ? propertyStep(shape.names[i] ?? '') : ''
    const field =
      shape.kind === 'value'
        ? value
        : emitter.define(shape.kind === 'array' ? code`${value}[${i}]` : code`${value}${emitter.property(shape.names[i] ?? '')}`)
    storeField(emitter, column, values, validity, field, at, { owner, step })
  }
}

interface Place {
  readonly owner: string
  readonly step: string
}

function storeField(emitter: FunctionEmitter, layout: FieldLayout, values: Code, validity: Code, field: Code, at: Code, place: Place): void {
  const { held } = layout
  const text = layout.kind === 'bytes'
  const checked = emitter.constant(slowValue(held, place))
  emitter.open(code`if (${fits(held, field)})`)
  emitter.line(held === 'BOOLEAN' ? code`${values}[${at}] = ${field} ? 1 : 0` : code`${values}[${at}] = ${stored(held, field)}`)
  emitter.close()
  emitter.open(code`else if (${field} === null || ${field} === undefined)`)
  if (text) emitter.line(code`${values}[${at}] = ''`)
  emitter.line(code`${validity} = ${emitter.constant(withNull)}(${validity}, ${at})`)
  emitter.close()
  // Values that need a look: a double for an INT wraps, anything else is refused.
  emitter.line(text ? code`else ${checked}(${field})` : code`else ${values}[${at}] = ${checked}(${field})`)
}

/** True for the values that are stored as they are. */
function fits(held: FieldLayout['held'], field: Code): Code {
  switch (held) {
    case 'BOOLEAN':
      return code`typeof ${field} === 'boolean'`
    case 'BYTE':
      return code`typeof ${field} === 'number' && ((${field} << 24) >> 24) === ${field}`
    case 'SHORT':
      return code`typeof ${field} === 'number' && ((${field} << 16) >> 16) === ${field}`
    case 'INT':
      return code`typeof ${field} === 'number' && (${field} | 0) === ${field}`
    case 'SAFE_LONG':
      return code`typeof ${field} === 'number' && Math.abs(${field}) <= ${Number.MAX_SAFE_INTEGER} && Math.floor(${field}) === ${field}`
    case 'FLOAT':
    case 'DOUBLE':
      return code`typeof ${field} === 'number'`
    case 'LONG':
      return code`typeof ${field} === 'bigint'`
    default:
      return code`typeof ${field} === 'string'`
  }
}

function stored(held: FieldLayout['held'], field: Code): Code {
  if (held === 'FLOAT') return code`Math.fround(${field})`
  // -0 is 0 in Java's integers; Int32Array makes it so by itself.
  return held === 'SAFE_LONG' ? code`${field} + 0` : field
}

function slowValue(held: FieldLayout['held'], { owner, step }: Place): (value: unknown) => number {
  const convert = (value: unknown): number => {
    switch (held) {
      case 'BYTE':
        return (toInt(held, value) << 24) >> 24
      case 'SHORT':
        return (toInt(held, value) << 16) >> 16
      case 'INT':
        return toInt(held, value)
      case 'SAFE_LONG':
        return toSafeLong(value)
      default:
        throw mismatch(held, value)
    }
  }
  return value => {
    try {
      return convert(value)
    } catch (error) {
      return refuse(owner, () => (step === '' ? error : within(error, step)))
    }
  }
}

/** As the record writer says it of rows that cannot be encoded. */
function refuse(owner: string, makeError: () => unknown): never {
  const error = makeError()
  if (!(error instanceof FlinkError)) throw error
  throw new FlinkError(error.code, `output of operator ${owner}: ${error.message}`, error.detail, error)
}

const VALIDITY_BYTES = 256

/** Clears the bit of `row`, in bits for 2,048 rows that are made when the first null comes. */
export function withNull(validity: Uint8Array | undefined, row: number): Uint8Array {
  const bits = validity ?? new Uint8Array(VALIDITY_BYTES).fill(255)
  bits[row >> 3]! &= ~(1 << (row & 7))
  return bits
}
