import type { FunctionOrigin } from '../../codegen/emit.ts'
import { ByteReader, ByteWriter } from '../../common/bytes.ts'
import type { BytesColumn, Column, ColumnarFrame } from '../../network/columns.ts'
import { BytesColumnBuilder } from '../../network/columns-builder.ts'
import { frameOf, valueAt } from '../../network/columns-rows.ts'
import { type ColumnLayout, ColumnsSerializer, columnLayout } from '../../serde/columns-type.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { type SlotColumn, slotColumn } from './accumulator-slots.ts'
import { type AggregateProgram, aggregateProgram, selectRows } from './aggregate-program.ts'
import { KeyTable } from './key-table.ts'

/** What all accumulators of a DISTINCT call share: the loops of its function over the values that are new to their group. */
export interface DistinctProgram {
  readonly call: AggregateCall
  readonly layout: ColumnLayout
  /** Of rows of one value. */
  readonly serializer: ColumnsSerializer
  readonly inner: AggregateProgram
}

export function distinctProgram(call: AggregateCall, origin: FunctionOrigin | undefined): DistinctProgram {
  return {
    call,
    layout: columnLayout(call.inputType),
    serializer: new ColumnsSerializer([{ name: 'value', type: call.inputType }]),
    inner: aggregateProgram([{ ...call, argument: 0, distinct: false, filter: -1 }], origin),
  }
}

/**
 * AGG(DISTINCT x): a table of (group, value); a value that is new to its group goes to the function. What it is merged from and snapshotted as is
 * the values of each group, in one BYTES column: the accumulator of the function follows from them.
 */
export class DistinctAccumulator {
  private readonly program: DistinctProgram
  private readonly table: KeyTable
  private readonly slots: readonly SlotColumn[]
  private indices = noRows
  private rows = noRows
  private groups = noRows
  private groupsByRow = noRows

  constructor(program: DistinctProgram, seed: number) {
    this.program = program
    this.table = new KeyTable(['i32', program.layout.kind], seed)
    this.slots = program.inner.slots.map(slotColumn)
  }

  grow(count: number): void {
    for (const slot of this.slots) slot.grow(count)
  }

  add(frame: ColumnarFrame, rows: Int32Array, groups: Int32Array, count: number): void {
    this.room(count)
    const { call } = this.program
    const kept = selectRows(call, frame, rows, groups, count, this.rows, this.groups)
    this.addValues(frame.columns[call.argument]!, this.rows, this.groups, kept)
  }

  mergeFrom(other: DistinctAccumulator, groups: Int32Array): void {
    const { count } = other.table
    this.room(count)
    const [otherGroups, values] = other.table.keys(0, count) as [{ values: Int32Array }, Column]
    for (let i = 0; i < count; i++) {
      this.rows[i] = i
      this.groups[i] = groups[otherGroups.values[i]!]!
    }
    this.addValues(values, this.rows, this.groups, count)
  }

  /** Row `rows[i]` of `column()` of another accumulator goes to group `groups[i]`. */
  merge(column: BytesColumn, rows: Int32Array, groups: Int32Array, count: number): void {
    const { serializer, layout } = this.program
    const values: (readonly unknown[])[] = []
    const into: number[] = []
    for (let i = 0; i < count; i++) {
      const start = column.starts[rows[i]!]!
      const reader = new ByteReader(column.data.subarray(start, start + column.lengths[rows[i]!]!))
      while (reader.remaining > 0) {
        values.push(serializer.read(reader))
        into.push(groups[i]!)
      }
    }
    this.room(values.length)
    for (let i = 0; i < values.length; i++) this.rows[i] = i
    this.addValues(frameOf(values, [layout]).columns[0]!, this.rows, Int32Array.from(into), values.length)
  }

  result(from: number, to: number): Column {
    return this.program.inner.results(this.slots, from, to)[0]!
  }

  /** The values of groups `from..to`. */
  column(from: number, to: number): BytesColumn {
    const { serializer, layout } = this.program
    const writers: (ByteWriter | undefined)[] = new Array(to - from)
    const [groups, values] = this.table.keys(0, this.table.count) as [{ values: Int32Array }, Column]
    for (let i = 0; i < this.table.count; i++) {
      const at = groups.values[i]! - from
      if (at < 0 || at >= to - from) continue
      const writer = writers[at] ?? new ByteWriter(64)
      writers[at] = writer
      serializer.write([valueAt(values, i, layout)], writer)
    }
    const builder = new BytesColumnBuilder()
    for (let i = 0; i < to - from; i++) builder.append(writers[i]?.copy() ?? noBytes)
    return builder.finish()
  }

  clear(): void {
    this.table.clear()
    for (const slot of this.slots) slot.clear()
  }

  copyFrom(other: DistinctAccumulator, count: number): void {
    this.table.copyFrom(other.table)
    for (const [i, slot] of this.slots.entries()) slot.copyFrom(other.slots[i]!, count)
  }

  /** None of the values is null. */
  private addValues(values: Column, rows: Int32Array, groups: Int32Array, count: number): void {
    const { table } = this
    let fresh = table.count
    // The group as a column beside the value.
    for (let i = 0; i < count; i++) {
      const row = rows[i]!
      if (row >= this.groupsByRow.length) this.growGroupsByRow(row)
      this.groupsByRow[row] = groups[i]!
    }
    table.lookup([{ kind: 'i32', values: this.groupsByRow, validity: undefined }, values], rows, 0, count, this.indices)
    let kept = 0
    for (let i = 0; i < count; i++) {
      // Indices are given in order of first sight.
      if (this.indices[i] !== fresh) continue
      fresh++
      this.rows[kept] = rows[i]!
      this.groups[kept++] = groups[i]!
    }
    const frame: ColumnarFrame = { kind: 'columnar', length: count, columns: [values], timestamps: undefined, rowKinds: undefined }
    this.program.inner.add(frame, this.slots, this.rows, this.groups, kept)
  }

  private room(count: number): void {
    if (this.rows.length >= count) return
    const length = Math.max(ROWS_MIN, count)
    this.rows = new Int32Array(length)
    this.groups = new Int32Array(length)
    this.indices = new Int32Array(length)
  }

  private growGroupsByRow(row: number): void {
    const grown = new Int32Array(Math.max(ROWS_MIN, (row + 1) * 2))
    grown.set(this.groupsByRow)
    this.groupsByRow = grown
  }
}

const ROWS_MIN = 2048
const noRows = new Int32Array(0)
const noBytes = new Uint8Array(0)
