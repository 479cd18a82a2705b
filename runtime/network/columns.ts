/**
 * Columnar frames: the second kind of the unit of work, for rows whose types are declared (SQL, formats with a schema). One typed array a
 * column; what a row is, only its index says. Docs: DESIGN 4, docs/decisions/0007-columns.md.
 *
 * Invariants:
 * - all columns of a frame have `length` rows; `length` <= ROWS_PER_FRAME_MAX on the wire;
 * - a value at a row whose validity bit is 0 is unspecified and never read; `validity` undefined = no nulls;
 * - a frame that was handed over is never written again by anybody: several chained operators, several channels and several frames may read the
 *   same arrays (columns that a projection passes on, a page of input, a dictionary);
 * - row kinds only on changelog edges (undefined = all +I); event times only where a watermark is declared.
 */
export interface ColumnarFrame<C extends LocalColumn = Column> {
  readonly kind: 'columnar'
  readonly length: number
  readonly columns: readonly C[]
  /** Event time in ms per row. */
  readonly timestamps: Float64Array | undefined
  /** 0 +I, 1 -U, 2 +U, 3 -D. */
  readonly rowKinds: Uint8Array | undefined
}

/** What a ring carries. */
export type WireFrame = ColumnarFrame<WireColumn>
/** Inside a slot: a ring makes a `WireFrame` of it. */
export type LocalFrame = ColumnarFrame<LocalColumn>

export type Column = BoolColumn | Int32Column | Float64Column | Int64Column | BytesColumn
/** What a column may be on the wire of an edge of the DataStream API. */
export type WireColumn = Column | AbsentColumn
/** What a column may be inside a slot, on edges of the DataStream API. */
export type LocalColumn = WireColumn | TextColumn

/** BOOLEAN: 0 or 1 a row. */
export interface BoolColumn {
  readonly kind: 'bool'
  readonly values: Uint8Array
  readonly validity: Validity
}

/** TINYINT, SMALLINT, INT, DATE (days since epoch), TIME (ms of day), INTERVAL YEAR TO MONTH (months). */
export interface Int32Column {
  readonly kind: 'i32'
  readonly values: Int32Array
  readonly validity: Validity
}

/** FLOAT, DOUBLE; TIMESTAMP(3) and TIMESTAMP_LTZ(3) as epoch ms; INTERVAL DAY TO SECOND (ms); SAFE_LONG. */
export interface Float64Column {
  readonly kind: 'f64'
  readonly values: Float64Array
  readonly validity: Validity
}

/** BIGINT; DECIMAL(p <= 18, s) as unscaled value. */
export interface Int64Column {
  readonly kind: 'i64'
  readonly values: BigInt64Array
  readonly validity: Validity
}

/**
 * STRING, CHAR, VARCHAR (UTF-8), BYTES; DECIMAL(p > 18, s) as decimal text of the unscaled value. Row i is `data[starts[i] .. starts[i] + lengths[i])`.
 * With `ids`, rows with equal ids have equal bytes (ids are small and from 0: tables are indexed by them); without, nothing is known.
 */
export interface BytesColumn {
  readonly kind: 'bytes'
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
  readonly ids: Int32Array | undefined
  readonly validity: Validity
  /**
   * Rows lie one behind the other in `data`, nulls being empty: any range of rows is one of bytes. Absent = not known. Only of columns on their way
   * out: whoever gives a column another validity must not keep it.
   */
  readonly packed?: true
}

/**
 * STRING on edges of the DataStream API inside a slot, where users' functions make and take strings: encoding them to decode them again would cost
 * more than everything else. A ring turns them into bytes. Never on an edge of COLUMNS: SQL's operators work bytes.
 */
export interface TextColumn {
  readonly kind: 'text'
  readonly values: readonly string[]
  readonly validity: Validity
}

/**
 * A column that no reader of its edge reads (runtime/graph/projection.ts): its rows have no values. Never on an edge of COLUMNS, and never a key's
 * where a channel is still to be chosen.
 */
export interface AbsentColumn {
  readonly kind: 'absent'
  readonly values: undefined
  readonly validity: undefined
}

export const absentColumn: AbsentColumn = { kind: 'absent', values: undefined, validity: undefined }

/** One bit a row, LSB first, 1 = not null; undefined = no row is null. */
export type Validity = Uint8Array | undefined

export type ColumnKind = Column['kind']
export type LocalColumnKind = LocalColumn['kind']

export function isValid(validity: Validity, row: number): boolean {
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0
}
