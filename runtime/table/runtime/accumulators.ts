import { FlinkError } from '../../common/errors.ts'
import type { BytesColumn, Column, Float64Column, Int32Column, Int64Column } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { columnLayout, type HeldKind } from '../../serde/columns-type.ts'
import type { AggregateCall } from '../plan/physical.ts'

/**
 * Accumulators of one aggregate call for all keys of a table, in typed arrays under the keys' indices. `add` runs over rows of a frame,
 * `merge` over accumulators of another table (slices into windows, local into global); both are the only hot loops of an aggregation.
 *
 * An accumulator is also a list of columns (`columns`, `mergeColumns`): what a local aggregation sends to the global one, and what a snapshot holds.
 */
export interface Accumulator {
  /** Makes room for keys up to `count`; new ones are empty. */
  grow(count: number): void
  /** `rows[from..to)` of the argument column go to keys `keys[from..to)`. The column is undefined for COUNT(*). */
  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void
  /** Accumulators 0..count of `other` go to `keys[0..count)`. */
  merge(other: this, keys: Int32Array, count: number): void
  /** Result of keys `from..to`. */
  result(from: number, to: number): Column
  /** State of keys `from..to`. */
  columns(from: number, to: number): Column[]
  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void
  clear(): void
}

/** Kinds of the columns of `columns()`, in order: part of the schema between a local and a global aggregation. */
export function accumulatorTypes(call: AggregateCall): readonly string[] {
  switch (call.name) {
    case 'COUNT':
      return ['BIGINT NOT NULL']
    case 'SUM':
    case 'MIN':
    case 'MAX':
      return [call.type]
    case 'SUM0':
      return [call.type]
    case 'AVG':
      return [isInteger(call.inputType) ? 'BIGINT' : 'DOUBLE', 'BIGINT NOT NULL']
    default:
      throw unsupported(call)
  }
}

export function createAccumulator(call: AggregateCall): Accumulator {
  if (call.distinct) throw new FlinkError('UNSUPPORTED', `${call.name}(DISTINCT …) is not supported yet`)
  const kind = kindOf(call.inputType)
  switch (call.name) {
    case 'COUNT':
      return new CountAccumulator()
    case 'SUM':
    case 'SUM0':
      if (kind === 'i32') return new IntSumAccumulator(call.name === 'SUM0', widthOf(call.type))
      if (precisionOf(call.inputType) !== undefined) throw unsupported(call)
      if (kind === 'i64') return new LongSumAccumulator(call.name === 'SUM0')
      if (kind === 'f64') return new DoubleSumAccumulator(call.name === 'SUM0', call.type.startsWith('FLOAT'))
      throw unsupported(call)
    case 'MIN':
    case 'MAX':
      if (kind === 'i32') return new IntExtremeAccumulator(call.name === 'MAX')
      if (kind === 'i64') return new LongExtremeAccumulator(call.name === 'MAX')
      if (kind === 'f64') return new DoubleExtremeAccumulator(call.name === 'MAX')
      if (kind === 'bytes' && precisionOf(call.inputType) === undefined) return new BytesExtremeAccumulator(call.name === 'MAX')
      throw unsupported(call)
    case 'AVG':
      if (kind === 'i32' || (kind === 'i64' && precisionOf(call.inputType) === undefined)) return new LongAverageAccumulator(widthOf(call.type), kind)
      if (kind === 'f64') return new DoubleAverageAccumulator(call.type.startsWith('FLOAT'))
      throw unsupported(call)
    default:
      throw unsupported(call)
  }
}

function unsupported(call: AggregateCall): FlinkError {
  return new FlinkError('UNSUPPORTED', `aggregate function ${call.name} over ${call.inputType} is not supported yet`)
}

type ColumnOf = HeldKind

function kindOf(type: string): ColumnOf {
  return columnLayout(type).kind
}

/** Precision of a DECIMAL; undefined for other types. */
function precisionOf(type: string): number | undefined {
  const match = /^DECIMAL\((\d+)/.exec(type)
  return match === null ? undefined : Number(match[1])
}

function isInteger(type: string): boolean {
  return /^(TINYINT|SMALLINT|INT|BIGINT)\b/.test(type)
}

/** Bits of an integer type: sums wrap there, as Java's do. */
function widthOf(type: string): number {
  return type.startsWith('TINYINT') ? 8 : type.startsWith('SMALLINT') ? 16 : type.startsWith('BIGINT') ? 64 : 32
}

function wrapInt(value: number, width: number): number {
  return width === 32 ? value | 0 : (value << (32 - width)) >> (32 - width)
}

function grownTo(length: number, count: number): number {
  return count <= length ? length : Math.max(count, length * 2, 32)
}

function validityOf(set: Uint8Array, from: number, to: number): Uint8Array | undefined {
  let all = true
  for (let i = from; i < to && all; i++) all = set[i] === 1
  if (all) return undefined
  const bits = new Uint8Array((to - from + 7) >> 3)
  for (let i = from; i < to; i++) if (set[i] === 1) bits[(i - from) >> 3]! |= 1 << ((i - from) & 7)
  return bits
}

class CountAccumulator implements Accumulator {
  private counts = new Float64Array(0)

  grow(count: number): void {
    const length = grownTo(this.counts.length, count)
    if (length === this.counts.length) return
    const grown = new Float64Array(length)
    grown.set(this.counts)
    this.counts = grown
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { counts } = this
    const validity = column?.validity
    if (validity === undefined) for (let i = from; i < to; i++) counts[keys[i]!]!++
    else for (let i = from; i < to; i++) if (isValid(validity, rows[i]!)) counts[keys[i]!]!++
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.counts[keys[i]!]! += other.counts[i]!
  }

  result(from: number, to: number): Column {
    const values = new BigInt64Array(to - from)
    for (let i = from; i < to; i++) values[i - from] = BigInt(this.counts[i]!)
    return { kind: 'i64', values, validity: undefined }
  }

  columns(from: number, to: number): Column[] {
    return [this.result(from, to)]
  }

  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values } = columns[0] as Int64Column
    for (let i = from; i < to; i++) this.counts[keys[i]!]! += Number(values[rows[i]!]!)
  }

  clear(): void {
    this.counts.fill(0)
  }
}

/** What accumulators of one value with a "was there any" flag share. */
abstract class OneValue<A extends Int32Array | Float64Array | BigInt64Array> {
  protected values: A
  protected set = new Uint8Array(0)

  constructor() {
    this.values = this.allocate(0)
  }

  grow(count: number): void {
    const length = grownTo(this.set.length, count)
    if (length === this.set.length) return
    const values = this.allocate(length)
    values.set(this.values as never) // the same kind of array
    this.values = values
    const set = new Uint8Array(length)
    set.set(this.set)
    this.set = set
  }

  columns(from: number, to: number): Column[] {
    return [this.result(from, to)]
  }

  /** Merging a column of partial results is adding them: sums of sums, extremes of extremes. */
  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    this.add(columns[0], rows, keys, from, to)
  }

  clear(): void {
    this.values.fill(0 as never)
    this.set.fill(0)
  }

  abstract add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void
  abstract result(from: number, to: number): Column
  protected abstract allocate(length: number): A
}

class IntSumAccumulator extends OneValue<Int32Array> implements Accumulator {
  private readonly emptyIsZero: boolean
  private readonly width: number

  constructor(emptyIsZero: boolean, width: number) {
    super()
    this.emptyIsZero = emptyIsZero
    this.width = width
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Int32Column
    const { values, set, width } = this
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) continue
      const key = keys[i]!
      values[key] = wrapInt(values[key]! + input[row]!, width)
      set[key] = 1
    }
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      if (other.set[i] === 0) continue
      const key = keys[i]!
      this.values[key] = wrapInt(this.values[key]! + other.values[i]!, this.width)
      this.set[key] = 1
    }
  }

  result(from: number, to: number): Column {
    return { kind: 'i32', values: this.values.slice(from, to), validity: this.emptyIsZero ? undefined : validityOf(this.set, from, to) }
  }

  protected allocate(length: number): Int32Array {
    return new Int32Array(length)
  }
}

class LongSumAccumulator extends OneValue<BigInt64Array> implements Accumulator {
  private readonly emptyIsZero: boolean

  constructor(emptyIsZero: boolean) {
    super()
    this.emptyIsZero = emptyIsZero
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Int64Column
    const { values, set } = this
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) continue
      const key = keys[i]!
      values[key] = BigInt.asIntN(64, values[key]! + input[row]!)
      set[key] = 1
    }
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      if (other.set[i] === 0) continue
      const key = keys[i]!
      this.values[key] = BigInt.asIntN(64, this.values[key]! + other.values[i]!)
      this.set[key] = 1
    }
  }

  result(from: number, to: number): Column {
    return { kind: 'i64', values: this.values.slice(from, to), validity: this.emptyIsZero ? undefined : validityOf(this.set, from, to) }
  }

  protected allocate(length: number): BigInt64Array {
    return new BigInt64Array(length)
  }
}

class DoubleSumAccumulator extends OneValue<Float64Array> implements Accumulator {
  private readonly emptyIsZero: boolean
  private readonly single: boolean

  constructor(emptyIsZero: boolean, single: boolean) {
    super()
    this.emptyIsZero = emptyIsZero
    this.single = single
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Float64Column
    const { values, set, single } = this
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) continue
      const key = keys[i]!
      const sum = values[key]! + input[row]!
      values[key] = single ? Math.fround(sum) : sum
      set[key] = 1
    }
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      if (other.set[i] === 0) continue
      const key = keys[i]!
      const sum = this.values[key]! + other.values[i]!
      this.values[key] = this.single ? Math.fround(sum) : sum
      this.set[key] = 1
    }
  }

  result(from: number, to: number): Column {
    return { kind: 'f64', values: this.values.slice(from, to), validity: this.emptyIsZero ? undefined : validityOf(this.set, from, to) }
  }

  protected allocate(length: number): Float64Array {
    return new Float64Array(length)
  }
}

class IntExtremeAccumulator extends OneValue<Int32Array> implements Accumulator {
  private readonly greatest: boolean

  constructor(greatest: boolean) {
    super()
    this.greatest = greatest
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Int32Column
    for (let i = from; i < to; i++) if (isValid(validity, rows[i]!)) this.put(keys[i]!, input[rows[i]!]!)
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) if (other.set[i] === 1) this.put(keys[i]!, other.values[i]!)
  }

  result(from: number, to: number): Column {
    return { kind: 'i32', values: this.values.slice(from, to), validity: validityOf(this.set, from, to) }
  }

  protected allocate(length: number): Int32Array {
    return new Int32Array(length)
  }

  private put(key: number, value: number): void {
    const present = this.values[key]!
    if (this.set[key] === 1 && (this.greatest ? value <= present : value >= present)) return
    this.values[key] = value
    this.set[key] = 1
  }
}

class LongExtremeAccumulator extends OneValue<BigInt64Array> implements Accumulator {
  private readonly greatest: boolean

  constructor(greatest: boolean) {
    super()
    this.greatest = greatest
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Int64Column
    for (let i = from; i < to; i++) if (isValid(validity, rows[i]!)) this.put(keys[i]!, input[rows[i]!]!)
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) if (other.set[i] === 1) this.put(keys[i]!, other.values[i]!)
  }

  result(from: number, to: number): Column {
    return { kind: 'i64', values: this.values.slice(from, to), validity: validityOf(this.set, from, to) }
  }

  protected allocate(length: number): BigInt64Array {
    return new BigInt64Array(length)
  }

  private put(key: number, value: bigint): void {
    const present = this.values[key]!
    if (this.set[key] === 1 && (this.greatest ? value <= present : value >= present)) return
    this.values[key] = value
    this.set[key] = 1
  }
}

class DoubleExtremeAccumulator extends OneValue<Float64Array> implements Accumulator {
  private readonly greatest: boolean

  constructor(greatest: boolean) {
    super()
    this.greatest = greatest
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values: input, validity } = column as Float64Column
    for (let i = from; i < to; i++) if (isValid(validity, rows[i]!)) this.put(keys[i]!, input[rows[i]!]!)
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) if (other.set[i] === 1) this.put(keys[i]!, other.values[i]!)
  }

  result(from: number, to: number): Column {
    return { kind: 'f64', values: this.values.slice(from, to), validity: validityOf(this.set, from, to) }
  }

  protected allocate(length: number): Float64Array {
    return new Float64Array(length)
  }

  private put(key: number, value: number): void {
    // As Flink's generated comparison: a later value replaces only when it is strictly beyond; NaN never is.
    if (this.set[key] === 1 && !(this.greatest ? value > this.values[key]! : value < this.values[key]!)) return
    this.values[key] = value
    this.set[key] = 1
  }
}

/** STRING by UTF-8 bytes, which is code point order, as Flink compares its binary strings. */
class BytesExtremeAccumulator implements Accumulator {
  private values: (Uint8Array | undefined)[] = []
  private readonly greatest: boolean

  constructor(greatest: boolean) {
    this.greatest = greatest
  }

  grow(count: number): void {
    while (this.values.length < count) this.values.push(undefined)
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { data, starts, lengths, validity } = column as BytesColumn
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (isValid(validity, row)) this.put(keys[i]!, data.subarray(starts[row]!, starts[row]! + lengths[row]!))
    }
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const value = other.values[i]
      if (value !== undefined) this.put(keys[i]!, value)
    }
  }

  result(from: number, to: number): Column {
    const starts = new Int32Array(to - from)
    const lengths = new Int32Array(to - from)
    const set = new Uint8Array(to - from)
    let size = 0
    for (let i = from; i < to; i++) size += this.values[i]?.length ?? 0
    const data = new Uint8Array(size)
    let at = 0
    for (let i = from; i < to; i++) {
      const value = this.values[i]
      if (value === undefined) continue
      data.set(value, at)
      starts[i - from] = at
      lengths[i - from] = value.length
      set[i - from] = 1
      at += value.length
    }
    return { kind: 'bytes', data, starts, lengths, ids: undefined, validity: validityOf(set, 0, to - from) }
  }

  columns(from: number, to: number): Column[] {
    return [this.result(from, to)]
  }

  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    this.add(columns[0], rows, keys, from, to)
  }

  clear(): void {
    this.values = []
  }

  private put(key: number, value: Uint8Array): void {
    const present = this.values[key]
    if (present !== undefined) {
      const order = compareBytes(value, present)
      if (this.greatest ? order <= 0 : order >= 0) return
    }
    // A copy: the frame's page is not ours to keep.
    this.values[key] = value.slice()
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** AVG over integers: the sum is a BIGINT, the division truncates, the result has the argument's type, as in Flink (60, 75 -> 67). */
class LongAverageAccumulator implements Accumulator {
  private sums = new BigInt64Array(0)
  private readonly counts = new CountAccumulator()
  private size = 0
  private readonly width: number
  private readonly input: ColumnOf

  constructor(width: number, input: ColumnOf) {
    this.width = width
    this.input = input
  }

  grow(count: number): void {
    this.counts.grow(count)
    const length = grownTo(this.size, count)
    if (length === this.size) return
    const sums = new BigInt64Array(length)
    sums.set(this.sums)
    this.sums = sums
    this.size = length
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values, validity } = column as Int32Column | Int64Column
    const { sums } = this
    for (let i = from; i < to; i++) {
      const row = rows[i]!
      if (!isValid(validity, row)) continue
      const value = values[row]!
      sums[keys[i]!] = BigInt.asIntN(64, sums[keys[i]!]! + (typeof value === 'bigint' ? value : BigInt(value)))
    }
    this.counts.add(column, rows, keys, from, to)
  }

  merge(other: this, keys: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.sums[keys[i]!] = BigInt.asIntN(64, this.sums[keys[i]!]! + other.sums[i]!)
    this.counts.merge(other.counts, keys, count)
  }

  result(from: number, to: number): Column {
    const counts = (this.counts.result(from, to) as Int64Column).values
    const set = Uint8Array.from(counts, count => (count === 0n ? 0 : 1))
    const validity = validityOf(set, 0, to - from)
    if (this.input === 'i64') {
      const values = new BigInt64Array(to - from)
      for (let i = from; i < to; i++) if (set[i - from] === 1) values[i - from] = this.sums[i]! / counts[i - from]!
      return { kind: 'i64', values, validity }
    }
    const values = new Int32Array(to - from)
    for (let i = from; i < to; i++) if (set[i - from] === 1) values[i - from] = Number(BigInt.asIntN(this.width, this.sums[i]! / counts[i - from]!))
    return { kind: 'i32', values, validity }
  }

  columns(from: number, to: number): Column[] {
    return [{ kind: 'i64', values: this.sums.slice(from, to), validity: undefined }, ...this.counts.columns(from, to)]
  }

  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    const { values } = columns[0] as Int64Column
    for (let i = from; i < to; i++) this.sums[keys[i]!] = BigInt.asIntN(64, this.sums[keys[i]!]! + values[rows[i]!]!)
    this.counts.mergeColumns(columns.slice(1), rows, keys, from, to)
  }

  clear(): void {
    this.sums.fill(0n)
    this.counts.clear()
  }
}

class DoubleAverageAccumulator implements Accumulator {
  private readonly sums = new DoubleSumAccumulator(true, false)
  private readonly counts = new CountAccumulator()
  private readonly single: boolean

  constructor(single: boolean) {
    this.single = single
  }

  grow(count: number): void {
    this.sums.grow(count)
    this.counts.grow(count)
  }

  add(column: Column | undefined, rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    this.sums.add(column, rows, keys, from, to)
    this.counts.add(column, rows, keys, from, to)
  }

  merge(other: this, keys: Int32Array, count: number): void {
    this.sums.merge(other.sums, keys, count)
    this.counts.merge(other.counts, keys, count)
  }

  result(from: number, to: number): Column {
    const sums = (this.sums.result(from, to) as Float64Column).values
    const counts = (this.counts.result(from, to) as Int64Column).values
    const set = Uint8Array.from(counts, count => (count === 0n ? 0 : 1))
    const values = Float64Array.from(sums, (sum, i) => (this.single ? Math.fround(sum / Number(counts[i]!)) : sum / Number(counts[i]!)))
    return { kind: 'f64', values, validity: validityOf(set, 0, to - from) }
  }

  columns(from: number, to: number): Column[] {
    return [...this.sums.columns(from, to), ...this.counts.columns(from, to)]
  }

  mergeColumns(columns: readonly Column[], rows: Int32Array, keys: Int32Array, from: number, to: number): void {
    this.sums.mergeColumns(columns, rows, keys, from, to)
    this.counts.mergeColumns(columns.slice(1), rows, keys, from, to)
  }

  clear(): void {
    this.sums.clear()
    this.counts.clear()
  }
}
