import fc from 'fast-check'
import type { BytesColumn, Column, ColumnarFrame, LocalFrame } from '../../runtime/network/columns.ts'
import { frameOf, rowsOf } from '../../runtime/network/columns-rows.ts'
import { type ColumnLayout, columnLayout } from '../../runtime/serde/columns-type.ts'
import type { ColumnField } from '../../runtime/serde/type-information.ts'

/** Arbitrary schemas, rows and frames of columnar edges, for property tests. */
const ascii = fc.string({ maxLength: 30 })
const text = fc.oneof(
  ascii,
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('', 'shop', 'straße', '日本語テキスト', '😀😀', 'x'.repeat(200)),
)
const millis = fc.integer({ min: -(2 ** 40), max: 2 ** 42 })

const valuesByType: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  BOOLEAN: fc.boolean(),
  TINYINT: fc.integer({ min: -128, max: 127 }),
  INT: fc.integer(),
  'BIGINT NOT NULL': fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  DOUBLE: fc.double(),
  'TIMESTAMP(3)': millis,
  DATE: fc.integer({ min: -100_000, max: 100_000 }),
  STRING: text,
  'VARCHAR(20)': text,
  BYTES: fc.uint8Array({ maxLength: 20 }),
  'DECIMAL(10, 2)': fc.integer({ min: -9_999_999, max: 9_999_999 }).map(n => (n / 100).toFixed(2)),
  'DECIMAL(38, 4)': fc.bigInt({ min: -(10n ** 33n), max: 10n ** 33n }).map(n => `${n}.0000`),
}

export interface Columnar {
  readonly fields: readonly ColumnField[]
  readonly layouts: readonly ColumnLayout[]
  readonly rows: readonly (readonly unknown[])[]
  readonly frame: ColumnarFrame
}

export interface ColumnarOptions {
  readonly rowsMin?: number
  readonly rowsMax?: number
  readonly types?: readonly string[]
}

export function columnar({ rowsMin = 0, rowsMax = 40, types = Object.keys(valuesByType) }: ColumnarOptions = {}): fc.Arbitrary<Columnar> {
  return fc
    .array(fc.constantFrom(...types), { minLength: 1, maxLength: 6 })
    .chain(kinds =>
      fc.record({
        kinds: fc.constant(kinds),
        rows: fc.array(fc.tuple(...kinds.map(kind => fc.option(valuesByType[kind]!, { freq: 4, nil: null }))), {
          minLength: rowsMin,
          maxLength: rowsMax,
        }),
        times: fc.boolean(),
        rowKinds: fc.option(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: rowsMax, maxLength: rowsMax }), { nil: undefined }),
        ids: fc.boolean(),
      }),
    )
    .map(({ kinds, rows, times, rowKinds, ids }) => {
      const fields = kinds.map((type, i) => ({ name: `c${i}`, type }))
      const layouts = kinds.map(columnLayout)
      const timestamps = times ? Float64Array.from(rows, (_, i) => (i % 7 === 3 ? Number.NaN : i * 1000)) : undefined
      const frame = frameOf(rows, layouts, timestamps, rowKinds === undefined ? undefined : Uint8Array.from(rowKinds.slice(0, rows.length)))
      return { fields, layouts, rows, frame: ids ? { ...frame, columns: frame.columns.map(withIds) } : frame }
    })
}

/** The column with the ids of a dictionary over its values. */
export function withIds(column: Column): Column {
  if (column.kind !== 'bytes') return column
  const known = new Map<string, number>()
  const ids = Int32Array.from(column.starts, (_, row) => {
    const key = bytesAt(column, row).join()
    const id = known.get(key) ?? known.size
    known.set(key, id)
    return id
  })
  return { ...column, ids }
}

function bytesAt(column: BytesColumn, row: number): Uint8Array {
  const start = column.starts[row]!
  return column.data.subarray(start, start + column.lengths[row]!)
}

/** A frame as plain values to compare: rows, times, kinds. */
export function shown(frame: LocalFrame, layouts: readonly ColumnLayout[]) {
  return {
    rows: rowsOf(frame, layouts),
    times: frame.timestamps === undefined ? undefined : [...frame.timestamps],
    kinds: frame.rowKinds === undefined ? undefined : [...frame.rowKinds],
  }
}

/** Several frames as one. */
export function joined(frames: readonly LocalFrame[], layouts: readonly ColumnLayout[]) {
  const parts = frames.map(frame => shown(frame, layouts))
  return {
    rows: parts.flatMap(part => part.rows),
    times: parts.every(part => part.times === undefined) ? undefined : parts.flatMap(part => part.times ?? part.rows.map(() => Number.NaN)),
    kinds: parts.every(part => part.kinds === undefined) ? undefined : parts.flatMap(part => part.kinds ?? part.rows.map(() => 0)),
  }
}
