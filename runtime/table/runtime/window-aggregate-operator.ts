import { ByteReader, ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Column, ColumnarFrame, Float64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { ColumnsKeyHasher } from '../../network/columns-hash.ts'
import { frameOf, rowsOf } from '../../network/columns-rows.ts'
import { type ColumnLayout, columnLayout } from '../../serde/columns-type.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { typeFromJson } from '../../serde/types.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import { BaseOperator } from '../../stream/operators/base-operator.ts'
import type { AggregateCall, WindowAggregateNode, WindowSpec } from '../plan/physical.ts'
import { type Accumulator, accumulatorTypes, createAccumulator } from './accumulators.ts'
import { KeyTable } from './key-table.ts'
import { type Slicing, sliceEndOf, slicingOf } from './slices.ts'

/**
 * GROUP BY keys and a window of event time, on slices: a row is added to the accumulators of its key in one slice; a window's result is the
 * merge of its slices when the watermark passes its end.
 *
 * - A row is late when the last window that holds it has fired: dropped and counted (`numLateRecordsDropped`). A row whose earlier windows
 *   have fired still counts for the later ones; no window fires twice.
 * - Firing is a cursor: one frame of results per step, windows in order of their ends, and only then does the watermark go on.
 * - A slice lives until the last window that holds it has fired.
 *
 * With `merges` the rows are partial accumulators of a local aggregation: keys, accumulators' columns, slice end.
 */
export class WindowAggregateOperator extends BaseOperator {
  private readonly node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'>
  private readonly slicing: Slicing
  private readonly keyLayouts: readonly ColumnLayout[]
  private readonly state: SliceTables
  /** Ends of windows that have rows and have not fired, unordered. */
  private readonly pending = new Set<number>()
  private firing: { readonly end: number; readonly tables: SliceTable; next: number } | undefined
  private late: { inc(count?: number): void } = { inc: () => {} }

  constructor(
    node: Pick<WindowAggregateNode, 'keys' | 'aggregates' | 'rowtime' | 'merges' | 'windowColumns'> & { window: WindowSpec },
    inputTypes: readonly string[],
  ) {
    super()
    this.node = node
    this.slicing = slicingOf(node.window)
    this.keyLayouts = node.keys.map(key => columnLayout(inputTypes[key]!))
    this.state = new SliceTables(this.keyLayouts, node.aggregates)
  }

  override open(): void {
    this.late = this.context.metrics.counter('numLateRecordsDropped')
  }

  processElement(): void {
    throw new FlinkError('INTERNAL', 'a window aggregate takes columnar frames only')
  }

  processFrame(frame: ColumnarFrame): void {
    const { node, slicing } = this
    const times = frame.columns[node.rowtime] as Float64Column
    this.state.forEachSlice(
      frame,
      row => {
        if (!isValid(times.validity, row)) throw nullRowtime()
        // A partial accumulator carries the end of its slice.
        return node.merges ? times.values[row]! : sliceEndOf(slicing, times.values[row]!)
      },
      (sliceEnd, rows, count) => {
        if (slicing.lastWindowEnd(sliceEnd) - 1 <= this.currentWatermark) {
          this.late.inc(count)
          return
        }
        for (let end = slicing.firstWindowEnd(sliceEnd); end <= slicing.lastWindowEnd(sliceEnd); end += slicing.windowStep) {
          if (end - 1 > this.currentWatermark) this.pending.add(end)
        }
        const table = this.state.table(sliceEnd)
        if (node.merges) table.merge(frame, node.keys, rows, count)
        else table.add(frame, node.keys, rows, count)
      },
    )
  }

  override snapshot(): OperatorSnapshot {
    return this.state.snapshot(this.context.maxParallelism)
  }

  restore(snapshot: OperatorSnapshot): void {
    for (const sliceEnd of this.state.restore(snapshot)) {
      // Windows that had fired before are known again with the first watermark: until then all are pending, and none fires.
      for (let end = this.slicing.firstWindowEnd(sliceEnd); end <= this.slicing.lastWindowEnd(sliceEnd); end += this.slicing.windowStep)
        this.pending.add(end)
    }
  }

  protected override advanceEventTime(watermark: number): boolean {
    for (;;) {
      if (this.firing === undefined) {
        const end = this.nextDue(watermark)
        if (end === undefined) return true
        this.firing = { end, tables: this.windowTable(end), next: 0 }
      }
      const { firing } = this
      while (firing.next < firing.tables.count) {
        if (this.context.shouldYield()) return false
        const to = Math.min(firing.next + ROWS_PER_RESULT_FRAME, firing.tables.count)
        this.output.collectFrame(this.results(firing.tables, firing.end, firing.next, to))
        firing.next = to
      }
      this.pending.delete(firing.end)
      this.firing = undefined
      this.dropSlices(firing.end)
    }
  }

  private nextDue(watermark: number): number | undefined {
    let next: number | undefined
    for (const end of this.pending) if (end - 1 <= watermark && (next === undefined || end < next)) next = end
    return next
  }

  /** The window's slices as one table; the slice itself when there is one only. */
  private windowTable(end: number): SliceTable {
    const { first, last } = this.slicing.slicesOf(end)
    const slices: SliceTable[] = []
    for (let sliceEnd = first; sliceEnd <= last; sliceEnd += this.slicing.sliceSize) {
      const slice = this.state.find(sliceEnd)
      if (slice !== undefined) slices.push(slice)
    }
    const [only] = slices
    if (only !== undefined && slices.length === 1) return only
    const merged = this.state.newTable()
    for (const slice of slices) merged.mergeTable(slice)
    return merged
  }

  private results(table: SliceTable, windowEnd: number, from: number, to: number): ColumnarFrame {
    const length = to - from
    const constant = (value: number): Column => ({ kind: 'f64', values: new Float64Array(length).fill(value), validity: undefined })
    const columns = [...table.keys(from, to), ...table.results(from, to)]
    for (const column of this.node.windowColumns) {
      columns.push(constant(column === 'window_start' ? this.slicing.windowStart(windowEnd) : column === 'window_end' ? windowEnd : windowEnd - 1))
    }
    return { kind: 'columnar', length, columns, timestamps: new Float64Array(length).fill(windowEnd - 1), rowKinds: undefined }
  }

  private dropSlices(firedEnd: number): void {
    for (const sliceEnd of this.state.ends()) if (this.slicing.lastWindowEnd(sliceEnd) <= firedEnd) this.state.drop(sliceEnd)
  }
}

const ROWS_PER_RESULT_FRAME = 2048

export function nullRowtime(): FlinkError {
  return new FlinkError('SQL_RUNTIME', 'the row time column is NULL in a row, expected a time; filter such rows before the watermark')
}

/** Accumulators of one slice (or of one window being fired) by key. */
export class SliceTable {
  private readonly table: KeyTable
  private readonly accumulators: readonly Accumulator[]
  private readonly aggregates: readonly AggregateCall[]
  private indices = new Int32Array(0)
  private filtered = new Int32Array(0)
  private filteredKeys = new Int32Array(0)

  constructor(keys: readonly ColumnLayout[], aggregates: readonly AggregateCall[], seed: number) {
    this.table = new KeyTable(
      keys.map(layout => layout.kind),
      seed,
    )
    this.aggregates = aggregates
    this.accumulators = aggregates.map(createAccumulator)
  }

  get count(): number {
    return this.table.count
  }

  /** `rows[0..count)` of the frame. */
  add(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    this.lookup(frame, keys, rows, count)
    for (const [i, accumulator] of this.accumulators.entries()) {
      const call = this.aggregates[i]!
      const argument = call.argument < 0 ? undefined : frame.columns[call.argument]
      if (call.filter < 0) {
        accumulator.add(argument, rows, this.indices, 0, count)
      } else {
        // First: it may make the two arrays anew.
        const kept = this.filter(frame.columns[call.filter]!, rows, count)
        accumulator.add(argument, this.filtered, this.filteredKeys, 0, kept)
      }
    }
  }

  /** Rows hold keys first, then the columns of the accumulators in order. */
  merge(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    this.lookup(frame, keys, rows, count)
    let at = keys.length
    for (const [i, accumulator] of this.accumulators.entries()) {
      const width = accumulatorTypes(this.aggregates[i]!).length
      accumulator.mergeColumns(frame.columns.slice(at, at + width), rows, this.indices, 0, count)
      at += width
    }
  }

  mergeTable(other: SliceTable): void {
    const count = other.count
    const rows = Int32Array.from({ length: count }, (_, i) => i)
    this.lookup(
      { kind: 'columnar', length: count, columns: other.keys(0, count), timestamps: undefined, rowKinds: undefined },
      Array.from({ length: other.keyCount }, (_, i) => i),
      rows,
      count,
    )
    for (const [i, accumulator] of this.accumulators.entries()) accumulator.merge(other.accumulators[i]!, this.indices, count)
  }

  get keyCount(): number {
    return this.table.keys(0, 0).length
  }

  keys(from: number, to: number): Column[] {
    return this.table.keys(from, to)
  }

  results(from: number, to: number): Column[] {
    return this.accumulators.map(accumulator => accumulator.result(from, to))
  }

  accumulatorColumns(from: number, to: number): Column[] {
    return this.accumulators.flatMap(accumulator => accumulator.columns(from, to))
  }

  private lookup(frame: ColumnarFrame, keys: readonly number[], rows: Int32Array, count: number): void {
    if (this.indices.length < count) this.indices = new Int32Array(Math.max(2048, count))
    this.table.lookup(
      keys.map(key => frame.columns[key]!),
      rows,
      0,
      count,
      this.indices,
    )
    for (const accumulator of this.accumulators) accumulator.grow(this.table.count)
  }

  private filter(column: Column, rows: Int32Array, count: number): number {
    if (this.filtered.length < count) {
      this.filtered = new Int32Array(Math.max(2048, count))
      this.filteredKeys = new Int32Array(this.filtered.length)
    }
    const { values, validity } = column as { values: Uint8Array; validity: Uint8Array | undefined }
    let kept = 0
    for (let i = 0; i < count; i++) {
      const row = rows[i]!
      if (!isValid(validity, row) || values[row] !== 1) continue
      this.filtered[kept] = row
      this.filteredKeys[kept] = this.indices[i]!
      kept++
    }
    return kept
  }
}

/** The slices of an aggregation by their ends, and their snapshot. */
export class SliceTables {
  private readonly tables = new Map<number, SliceTable>()
  private readonly keyLayouts: readonly ColumnLayout[]
  private readonly aggregates: readonly AggregateCall[]
  private sliceEnds = new Float64Array(0)
  private rows = new Int32Array(0)
  private nextSeed = 1

  constructor(keyLayouts: readonly ColumnLayout[], aggregates: readonly AggregateCall[]) {
    this.keyLayouts = keyLayouts
    this.aggregates = aggregates
  }

  /** Calls `action` once per slice of the frame, in order of the slices' first rows. */
  forEachSlice(frame: ColumnarFrame, sliceEnd: (row: number) => number, action: (sliceEnd: number, rows: Int32Array, count: number) => void): void {
    const { length } = frame
    if (this.rows.length < length) {
      this.rows = new Int32Array(length)
      this.sliceEnds = new Float64Array(length)
    }
    const ends = this.sliceEnds
    for (let row = 0; row < length; row++) ends[row] = sliceEnd(row)
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

  newTable(): SliceTable {
    return new SliceTable(this.keyLayouts, this.aggregates, this.nextSeed++)
  }

  ends(): readonly number[] {
    return [...this.tables.keys()]
  }

  drop(sliceEnd: number): void {
    this.tables.delete(sliceEnd)
  }

  get rowCount(): number {
    let count = 0
    for (const table of this.tables.values()) count += table.count
    return count
  }

  /** Per key group: slice end, key and accumulators of each entry, in the row form of their types. */
  snapshot(maxParallelism: number): OperatorSnapshot {
    const writers = new Map<number, ByteWriter>()
    const type = typeFromJson(this.rowType())
    const layouts = this.rowLayouts()
    const hasher = new ColumnsKeyHasher(
      layouts,
      this.keyLayouts.map((_, i) => i),
    )
    for (const [sliceEnd, table] of this.tables) {
      const columns = [...table.keys(0, table.count), ...table.accumulatorColumns(0, table.count)]
      const frame: ColumnarFrame = { kind: 'columnar', length: table.count, columns, timestamps: undefined, rowKinds: undefined }
      for (const row of rowsOf(frame, layouts)) {
        const keyGroup = hasher.keyGroupOfRow(row, maxParallelism)
        const writer = writers.get(keyGroup) ?? new ByteWriter(256)
        writers.set(keyGroup, writer)
        writer.f64(sliceEnd)
        type.serializer.write(row, writer)
      }
    }
    const keyGroups = new Map([...writers].map(([keyGroup, writer]) => [keyGroup, writer.copy()] as const))
    const schema = { name: 'window-aggs', kind: 'aggregating', type: this.rowType(), namespace: { kind: 'DOUBLE' } } as const
    return { keyed: { keyType: this.keyType(), schemas: [schema], keyGroups }, lists: [] }
  }

  /** Answers the ends of the slices that have rows now. */
  restore(snapshot: OperatorSnapshot): readonly number[] {
    const type = typeFromJson(this.rowType())
    const layouts = this.rowLayouts()
    const keys = this.keyLayouts.map((_, i) => i)
    for (const bytes of snapshot.keyed?.keyGroups.values() ?? []) {
      const reader = new ByteReader(bytes)
      const bySlice = new Map<number, unknown[]>()
      while (reader.remaining > 0) {
        const sliceEnd = reader.f64()
        const rows = bySlice.get(sliceEnd) ?? []
        bySlice.set(sliceEnd, rows)
        rows.push(type.serializer.read(reader))
      }
      for (const [sliceEnd, rows] of bySlice)
        this.table(sliceEnd).merge(
          frameOf(rows, layouts),
          keys,
          Int32Array.from({ length: rows.length }, (_, i) => i),
          rows.length,
        )
    }
    return this.ends()
  }

  private rowType(): TypeJson {
    return { kind: 'COLUMNS', fields: [...this.keyTypes(), ...this.aggregates.flatMap(accumulatorTypes)].map((type, i) => ({ name: `f${i}`, type })) }
  }

  private keyType(): TypeJson {
    return { kind: 'COLUMNS', fields: this.keyTypes().map((type, i) => ({ name: `f${i}`, type })) }
  }

  private rowLayouts(): ColumnLayout[] {
    return [...this.keyLayouts, ...this.aggregates.flatMap(accumulatorTypes).map(columnLayout)]
  }

  private keyTypes(): string[] {
    return this.keyLayouts.map(typeTextOf)
  }
}

/** A type that is held as `layout` says. */
function typeTextOf(layout: ColumnLayout): string {
  if (layout.scale >= 0) return layout.kind === 'i64' ? `DECIMAL(18, ${layout.scale})` : `DECIMAL(38, ${layout.scale})`
  return { BOOLEAN: 'BOOLEAN', INT: 'INT', DOUBLE: 'DOUBLE', LONG: 'BIGINT', STRING: 'STRING', BYTES: 'BYTES' }[layout.held]
}
