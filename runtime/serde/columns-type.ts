import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { tupleSerializer } from './composites.ts'
import { primitiveSerializers } from './primitives.ts'
import type { ColumnField, PrimitiveKind, TypeSerializer } from './type-information.ts'
import { mismatch, within } from './unsupported-value.ts'

/**
 * The type of a columnar edge, `COLUMNS`: fields with Flink's SQL type text. One rule says how a logical type is held, and everything else
 * follows from it: the column's kind (runtime/network/columns.ts), the row form's serializer, key bytes, hash and so the key group.
 *
 * Row form: an array of JS values, one a field: BOOLEAN boolean; TINYINT, SMALLINT, INT, DATE, TIME number; BIGINT bigint; FLOAT, DOUBLE,
 * TIMESTAMP number; STRING string; BYTES Uint8Array; DECIMAL its text with all digits of the scale (`12.30`); null.
 * Held form: what a column has: as the row form, but DECIMAL(p <= 18) is its unscaled value as a long, a longer one the text of it.
 * Keys hash in the held form, as a tuple of the key columns hashes (one column: as itself), null as 0. Unlike a key of the DataStream API a
 * key column may be null: SQL's GROUP BY makes one group of them.
 */
export type HeldKind = 'bool' | 'i32' | 'f64' | 'i64' | 'bytes'

export interface ColumnLayout {
  readonly kind: HeldKind
  /** The type whose serializer and hash the held value has. */
  readonly held: Extract<PrimitiveKind, 'BOOLEAN' | 'INT' | 'DOUBLE' | 'LONG' | 'STRING' | 'BYTES'>
  /** Digits behind the point of a DECIMAL; -1 for any other type. */
  readonly scale: number
}

const layouts = {
  bool: { kind: 'bool', held: 'BOOLEAN', scale: -1 },
  i32: { kind: 'i32', held: 'INT', scale: -1 },
  f64: { kind: 'f64', held: 'DOUBLE', scale: -1 },
  i64: { kind: 'i64', held: 'LONG', scale: -1 },
  text: { kind: 'bytes', held: 'STRING', scale: -1 },
  binary: { kind: 'bytes', held: 'BYTES', scale: -1 },
} as const satisfies Record<string, ColumnLayout>

const layoutByWord: Readonly<Partial<Record<string, ColumnLayout>>> = {
  BOOLEAN: layouts.bool,
  TINYINT: layouts.i32,
  SMALLINT: layouts.i32,
  INT: layouts.i32,
  INTEGER: layouts.i32,
  DATE: layouts.i32,
  TIME: layouts.i32,
  BIGINT: layouts.i64,
  FLOAT: layouts.f64,
  DOUBLE: layouts.f64,
  TIMESTAMP: layouts.f64,
  TIMESTAMP_LTZ: layouts.f64,
  CHAR: layouts.text,
  VARCHAR: layouts.text,
  STRING: layouts.text,
  BINARY: layouts.binary,
  VARBINARY: layouts.binary,
  BYTES: layouts.binary,
}

/** The largest precision whose unscaled values fit a long. */
const LONG_DIGITS_MAX = 18

/** By the text of a logical type, with or without NOT NULL. */
export function columnLayout(type: string): ColumnLayout {
  const text = type.trim().toUpperCase()
  const word = /^[A-Z_]+/.exec(text)?.[0] ?? ''
  const known = Object.hasOwn(layoutByWord, word) ? layoutByWord[word] : undefined
  if (known !== undefined && !/^[A-Z_]+(?:\s*\([^)]*\))?\s*(?:ARRAY|MULTISET)\b/.test(text)) return known
  if (word === 'INTERVAL') return /^INTERVAL\s+(?:YEAR|MONTH)\b/.test(text) ? layouts.i32 : layouts.f64
  const decimal = /^(?:DECIMAL|DEC|NUMERIC)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?(?:\s+NOT\s+NULL)?$/.exec(text)
  if (decimal !== null) {
    const scale = Number(decimal[2] ?? 0)
    return Number(decimal[1] ?? 10) <= LONG_DIGITS_MAX ? { kind: 'i64', held: 'LONG', scale } : { kind: 'bytes', held: 'STRING', scale }
  }
  throw new FlinkError('UNSUPPORTED', `columns of type ${type} are not supported`, { type })
}

/** What a column holds of a value of the row form that is not null. */
export function heldValue(layout: Pick<ColumnLayout, 'kind' | 'scale'>, value: unknown): unknown {
  if (layout.scale < 0) return value
  if (typeof value !== 'string') throw mismatch('DECIMAL', value)
  const unscaled = unscaledOf(value, layout.scale)
  return layout.kind === 'i64' ? unscaled : unscaled.toString()
}

/** The row form of what a column holds. */
export function rowValue(layout: Pick<ColumnLayout, 'kind' | 'scale'>, held: unknown): unknown {
  // A DECIMAL is held as a bigint or as the text of one.
  return layout.scale < 0 ? held : decimalText(held as bigint | string, layout.scale)
}

/** `12.3` at scale 2 is 1230. */
export function unscaledOf(text: string, scale: number): bigint {
  const match = /^([+-]?)(\d+)(?:\.(\d*))?$/.exec(text)
  const fraction = match?.[3] ?? ''
  if (match === null || fraction.length > scale) throw mismatch(`DECIMAL with ${scale} digits behind the point`, text)
  const digits = BigInt(`${match[2]}${fraction.padEnd(scale, '0')}`)
  return match[1] === '-' ? -digits : digits
}

/** 1230 at scale 2 is `12.30`. */
export function decimalText(unscaled: bigint | string, scale: number): string {
  const text = String(unscaled)
  if (scale === 0) return text
  const sign = text.startsWith('-') ? '-' : ''
  const digits = text.slice(sign.length).padStart(scale + 1, '0')
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** Rows as tuples of held values; its `columnKinds` are what a columnar frame on the same edge must have. */
export class ColumnsSerializer implements TypeSerializer<readonly unknown[]> {
  readonly columnKinds: readonly HeldKind[]
  private readonly rows: TypeSerializer<readonly unknown[]>
  private readonly fieldCount: number

  constructor(fields: readonly ColumnField[]) {
    const columns = fields.map(({ type }) => columnLayout(type))
    this.columnKinds = columns.map(({ kind }) => kind)
    this.fieldCount = fields.length
    this.rows = tupleSerializer(columns.map(fieldSerializer))
  }

  write(value: readonly unknown[], out: ByteWriter): void {
    if (!Array.isArray(value) || value.length !== this.fieldCount) throw mismatch(`ROW of ${this.fieldCount} columns`, value)
    this.rows.write(value, out)
  }

  read(input: ByteReader): readonly unknown[] {
    return this.rows.read(input)
  }
}

function fieldSerializer(layout: ColumnLayout): TypeSerializer<unknown> {
  const held: TypeSerializer<unknown> = primitiveSerializers[layout.held]
  if (layout.scale < 0) return held
  return { write: (value, out) => held.write(heldValue(layout, value), out), read: input => rowValue(layout, held.read(input)) }
}

/** The held form of a whole row, for hashes and key bytes: a tuple of primitives. */
export function heldRow(columns: readonly ColumnLayout[], value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== columns.length) throw mismatch(`ROW of ${columns.length} columns`, value)
  return columns.map((layout, i) => {
    const field: unknown = value[i]
    try {
      return field === null || field === undefined ? null : heldValue(layout, field)
    } catch (error) {
      throw within(error, `[${i}]`)
    }
  })
}
