import type { FunctionOrigin } from '../../codegen/emit.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Random } from '../../common/random.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { ChangedRows } from '../../state/changed-rows.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { type AccumulatorProgram, Accumulators, accumulatorProgram, accumulatorTypes, groupType } from './accumulators.ts'
import { KeyTable } from './key-table.ts'
import { type Slicing, sliceEndOf } from './slices.ts'
import type { WindowTable, WindowTables } from './window-snapshots.ts'

export function nullRowtime(): FlinkError {
  return new FlinkError('SQL_RUNTIME', 'the row time column is NULL in a row, expected a time; filter such rows before the watermark')
}

/** Accumulators of one slice (or of one window being fired) by key. */
export class SliceTable implements WindowTable {
  readonly changes = new ChangedRows()
  private readonly table: KeyTable
  private readonly accumulators: Accumulators
  private readonly tracks: boolean
  /** Of keys, then of the accumulators' columns. */
  private readonly layouts: readonly ColumnLayout[]
  private indices = noRows

  constructor(table: KeyTable, accumulators: Accumulators, layouts: readonly ColumnLayout[], tracks: boolean) {
    this.table = table
    this.accumulators = accumulators
    this.layouts = layouts
    this.tracks = tracks
  }

  get count(): number {
    return this.table.count
  }

  /** `rows[0..count)` of the frame. */
  add(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    this.lookup(frame, keys, rows, count)
    this.accumulators.add(frame, rows, this.indices, count)
    this.mark(count)
  }

  /** Rows hold keys first, then the columns of the accumulators in order. */
  merge(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    this.lookup(frame, keys, rows, count)
    this.accumulators.merge(frame.columns.slice(keys.length), rows, this.indices, count)
    this.mark(count)
  }

  rows(from: number, to: number): Iterable<readonly unknown[]> {
    const columns = [...this.keys(from, to), ...this.accumulatorColumns(from, to)]
    return rowsOf({ kind: 'columnar', length: to - from, columns, timestamps: undefined, rowKinds: undefined }, this.layouts)
  }

  /** What `rows` has given, of keys that are not there. */
  load(rows: readonly (readonly unknown[])[]): void {
    const frame = frameOf(rows, this.layouts)
    const keyCount = this.layouts.length - this.accumulators.width
    const all = identity(rows.length)
    this.lookup(
      frame,
      frame.columns.slice(0, keyCount).map((_, i) => i),
      all,
      rows.length,
    )
    this.accumulators.merge(frame.columns.slice(keyCount), all, this.indices, rows.length)
  }

  /** A table of the same operator. */
  mergeTable(other: SliceTable): void {
    const { count } = other
    this.room(count)
    this.table.lookupEntries(other.table, this.indices)
    this.accumulators.grow(this.table.count)
    this.accumulators.mergeFrom(other.accumulators, this.indices, count)
  }

  clear(): void {
    this.table.clear()
    this.accumulators.clear()
    this.changes.clear()
  }

  /** Takes over what a table of the same operator holds; what was here is gone. */
  copyFrom(other: SliceTable): void {
    this.table.copyFrom(other.table)
    this.accumulators.copyFrom(other.accumulators, other.count)
  }

  keys(from: number, to: number): Column[] {
    return this.table.keys(from, to)
  }

  results(from: number, to: number): Column[] {
    return this.accumulators.results(from, to)
  }

  accumulatorColumns(from: number, to: number): Column[] {
    return this.accumulators.columns(from, to)
  }

  private lookup(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    this.room(count)
    this.table.lookup(
      keys.map(key => frame.columns[key]!),
      rows,
      0,
      count,
      this.indices,
    )
    this.accumulators.grow(this.table.count)
  }

  private mark(count: number): void {
    if (!this.tracks) return
    const { changes, indices } = this
    changes.reserve(this.table.count)
    const { flags } = changes
    for (let i = 0; i < count; i++) flags[indices[i]!] = 1
    changes.isAny ||= count > 0
  }

  private room(count: number): void {
    if (this.indices.length < count) this.indices = new Int32Array(Math.max(ROWS_MIN, count))
  }
}

const ROWS_MIN = 2048
const noRows = new Int32Array(0)
let counting = noRows

/** 0, 1, 2, … for at least `count` places; nobody writes to it. */
function identity(count: number): Int32Array {
  if (counting.length < count) counting = Int32Array.from({ length: Math.max(ROWS_MIN, count * 2) }, (_, i) => i)
  return counting
}

/** The slices of an aggregation by their ends. */
export class SliceTables implements WindowTables {
  tracks = false
  readonly readsWhole: boolean
  private readonly tables = new Map<number, SliceTable>()
  /** Empty tables that keep their room: slices come and go, and arrays made anew for each keep the collector busy. */
  private readonly free: SliceTable[] = []
  private readonly keyLayouts: readonly ColumnLayout[]
  private readonly aggregates: readonly AggregateCall[]
  private readonly layouts: readonly ColumnLayout[]
  private readonly program: AccumulatorProgram
  /** One for all tables of the operator: the hashes of one are those of the others. */
  private readonly keySeed: number
  private sliceEnds = new Float64Array(0)
  private rows = noRows

  /** `origin` undefined: aggregates are interpreted. */
  constructor(keyLayouts: readonly ColumnLayout[], aggregates: readonly AggregateCall[], origin: FunctionOrigin | undefined, random: Random) {
    this.keyLayouts = keyLayouts
    this.aggregates = aggregates
    this.layouts = [...keyLayouts, ...aggregates.flatMap(accumulatorTypes).map(columnLayout)]
    this.program = accumulatorProgram(aggregates, origin)
    this.keySeed = random.nextInt(2 ** 32)
    // The values of DISTINCT calls lie in one table, by no group.
    this.readsWhole = this.program.distinct.length > 0
  }

  /**
   * Calls `action` once per slice of the frame, in order of the slices' first rows. `times` are row times, or the ends of slices themselves
   * where `slicing` is undefined, as in rows of partial accumulators.
   */
  forEachSlice(
    frame: ColumnarFrame,
    { values, validity }: Float64Column,
    slicing: Slicing | undefined,
    action: (sliceEnd: number, rows: Int32Array, count: number) => void,
  ): void {
    const { length } = frame
    if (length === 0) return
    if (validity !== undefined) for (let row = 0; row < length; row++) if (!isValid(validity, row)) throw nullRowtime()
    if (this.sliceEnds.length < length) {
      this.rows = new Int32Array(length)
      this.sliceEnds = new Float64Array(length)
    }
    const ends = this.sliceEnds
    if (slicing === undefined) ends.set(values.subarray(0, length))
    else sliceEndsOf(slicing, values, length, ends)
    if (allEqual(ends, length)) {
      action(ends[0]!, identity(length), length)
      return
    }
    // Frames hold few slices: a pass for each costs less than sorting.
    let open = length
    let at = 0
    while (open > 0) {
      while (Number.isNaN(ends[at])) at++
      const end = ends[at]!
      let count = 0
      for (let row = at; row < length; row++) {
        if (ends[row] !== end) continue
        this.rows[count++] = row
        ends[row] = Number.NaN
      }
      open -= count
      action(end, this.rows, count)
    }
  }

  table(sliceEnd: number): SliceTable {
    let table = this.tables.get(sliceEnd)
    if (table === undefined) {
      table = this.newTable()
      this.tables.set(sliceEnd, table)
    }
    return table
  }

  find(sliceEnd: number): SliceTable | undefined {
    return this.tables.get(sliceEnd)
  }

  private newTable(): SliceTable {
    const free = this.free.pop()
    if (free !== undefined) return free
    const table = new KeyTable(
      this.keyLayouts.map(layout => layout.kind),
      this.keySeed,
    )
    return new SliceTable(table, new Accumulators(this.program, this.keySeed), this.layouts, this.tracks)
  }

  ends(): readonly number[] {
    return [...this.tables.keys()]
  }

  drop(sliceEnd: number): void {
    const table = this.take(sliceEnd)
    if (table !== undefined) this.recycle(table)
  }

  /** The slice's table, which is the caller's from now on. */
  take(sliceEnd: number): SliceTable | undefined {
    const table = this.tables.get(sliceEnd)
    this.tables.delete(sliceEnd)
    return table
  }

  /** Nobody reads the table any more. One that is a slice of this operator stays one. */
  recycle(table: SliceTable): void {
    if (this.free.length === FREE_MAX || this.isSlice(table)) return
    table.clear()
    this.free.push(table)
  }

  private isSlice(table: SliceTable): boolean {
    for (const slice of this.tables.values()) if (slice === table) return true
    return false
  }

  get rowCount(): number {
    let count = 0
    for (const table of this.tables.values()) count += table.count
    return count
  }

  /** The slices `first`, `first + step`, … `last` as one table, to be recycled, added up in this order; the slice itself when there is one only. */
  merged(first: number, last: number, step: number): SliceTable {
    const slices: SliceTable[] = []
    for (let i = 0, count = (last - first) / step; i <= count; i++) {
      const slice = this.find(first + i * step)
      if (slice !== undefined) slices.push(slice)
    }
    const [one, ...others] = slices
    if (one === undefined || others.length === 0) return one ?? this.newTable()
    const merged = this.newTable()
    merged.copyFrom(one)
    for (const slice of others) merged.mergeTable(slice)
    return merged
  }

  load(end: number, rows: readonly (readonly unknown[])[]): void {
    this.table(end).load(rows)
  }

  /** Of what a table's `rows` are. */
  rowType(): TypeJson {
    return groupType(this.keyTypes(), this.aggregates)
  }

  keyType(): TypeJson {
    return groupType(this.keyTypes(), [])
  }

  private keyTypes(): string[] {
    return this.keyLayouts.map(typeTextOf)
  }
}

const FREE_MAX = 4

function sliceEndsOf(slicing: Slicing, times: Float64Array, length: number, ends: Float64Array): void {
  for (let row = 0; row < length; row++) ends[row] = sliceEndOf(slicing, times[row]!)
}

function allEqual(values: Float64Array, length: number): boolean {
  const first = values[0]
  for (let i = 1; i < length; i++) if (values[i] !== first) return false
  return true
}

/** A type that is held as `layout` says. */
export function typeTextOf(layout: ColumnLayout): string {
  if (layout.scale >= 0) return layout.kind === 'i64' ? `DECIMAL(18, ${layout.scale})` : `DECIMAL(38, ${layout.scale})`
  return { BOOLEAN: 'BOOLEAN', INT: 'INT', DOUBLE: 'DOUBLE', LONG: 'BIGINT', STRING: 'STRING', BYTES: 'BYTES' }[layout.held]
}
