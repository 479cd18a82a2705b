import type { Column } from '../../network/columns.ts'
import type { Slot, SlotKind } from '../functions/aggregates.ts'
import { allValid, buildColumn, decodeText } from '../functions/frame-values.ts'
import type { Value } from '../functions/value-type.ts'

/**
 * One slot of an accumulator for all groups of a table, under their indices. Generated loops work on `values` and `valid`; the interpreter, snapshots
 * and what leaves for another operator go through `get`, `put` and `column`.
 */
export interface SlotColumn {
  readonly values: SlotValues
  /** 1 = not null; only of typed slots that may be null. */
  readonly valid: Uint8Array | undefined
  /** Makes room for groups up to `count`; new ones are fresh. */
  grow(count: number): void
  get(group: number): Value
  put(group: number, value: Value): void
  /** Groups `from..to`. */
  column(from: number, to: number): Column
  /** All groups are fresh again; the room stays. */
  clear(): void
  /** Takes over the first `count` groups of a column of the same slot; what was here is gone. */
  copyFrom(other: SlotColumn, count: number): void
}

type TypedValues = Float64Array | Int32Array | BigInt64Array | Uint8Array
type SlotValues = TypedValues | (bigint | Uint8Array | undefined)[]

export function slotColumn(slot: Slot): SlotColumn {
  return slot.kind === 'decimal' || slot.kind === 'text' ? new ObjectSlot(slot) : new TypedSlot(slot)
}

const arrays = { count: Float64Array, bool: Uint8Array, i32: Int32Array, i64: BigInt64Array, f64: Float64Array } as const

class TypedSlot implements SlotColumn {
  values: TypedValues
  valid: Uint8Array | undefined
  private readonly kind: Exclude<SlotKind, 'decimal' | 'text'>

  constructor(slot: Slot) {
    // The other kinds have a class of their own.
    this.kind = slot.kind as Exclude<SlotKind, 'decimal' | 'text'>
    this.values = new arrays[this.kind](0)
    this.valid = slot.initial === null ? new Uint8Array(0) : undefined
  }

  grow(count: number): void {
    if (count <= this.values.length) return
    const length = Math.max(count, this.values.length * 2, GROUPS_MIN)
    const values = new arrays[this.kind](length)
    if (this.kind !== 'i64' && Object.is(this.zero(), -0)) values.fill(-0 as never)
    values.set(this.values as never) // of the same kind
    this.values = values
    if (this.valid === undefined) return
    const valid = new Uint8Array(length)
    valid.set(this.valid)
    this.valid = valid
  }

  get(group: number): Value {
    if (this.valid !== undefined && this.valid[group] !== 1) return null
    const value = this.values[group]!
    return this.kind === 'count' ? BigInt(value) : this.kind === 'bool' ? value === 1 : value
  }

  put(group: number, value: Value): void {
    if (this.valid !== undefined) this.valid[group] = value === null ? 0 : 1
    // Numbers and booleans of a declared kind: the array takes them.
    this.values[group] = (this.kind === 'i64' ? (value ?? 0n) : Number(value)) as never
  }

  column(from: number, to: number): Column {
    const validity = this.valid === undefined ? undefined : bitsOf(this.valid, from, to)
    if (this.kind === 'count') return { kind: 'i64', values: longsOf(this.values as Float64Array, from, to), validity }
    // The kind says which array `values` is.
    return { kind: this.kind, values: this.values.slice(from, to), validity } as Column
  }

  clear(): void {
    this.valid?.fill(0)
    this.values.fill((this.kind === 'i64' ? 0n : this.zero()) as never)
  }

  copyFrom(other: SlotColumn, count: number): void {
    this.clear()
    this.grow(count)
    // Columns of one slot have one kind of array.
    this.values.set((other.values as TypedValues).subarray(0, count) as never)
    if (this.valid !== undefined && other.valid !== undefined) this.valid.set(other.valid.subarray(0, count))
  }

  /** A sum begins at what leaves every first value as it is, -0 too. */
  private zero(): number {
    return this.kind === 'f64' && this.valid !== undefined ? -0 : 0
  }
}

class ObjectSlot implements SlotColumn {
  values: (bigint | Uint8Array | undefined)[] = []
  readonly valid = undefined
  private readonly slot: Slot
  private readonly initial: bigint | undefined

  constructor(slot: Slot) {
    this.slot = slot
    this.initial = slot.initial === null ? undefined : (slot.initial as bigint) // only decimals begin with a value
  }

  grow(count: number): void {
    while (this.values.length < count) this.values.push(this.initial)
  }

  get(group: number): Value {
    const value = this.values[group]
    if (value === undefined) return null
    return typeof value === 'bigint' ? value : decodeText(value, 0, value.length)
  }

  put(group: number, value: Value): void {
    this.values[group] = value === null ? undefined : typeof value === 'bigint' ? value : encoder.encode(value as string) // a text
  }

  column(from: number, to: number): Column {
    const part = this.values.slice(from, to)
    if (this.slot.kind === 'decimal')
      return buildColumn(
        this.slot.type,
        part.map(value => value ?? null),
      )
    return bytesOf(part as readonly (Uint8Array | undefined)[])
  }

  clear(): void {
    this.values = []
  }

  copyFrom(other: SlotColumn, count: number): void {
    this.values = (other.values as ObjectSlot['values']).slice(0, count) // of the same slot
  }
}

const GROUPS_MIN = 32
const encoder = new TextEncoder()

/** Counts as longs, written as pairs of words: no bigint is made a row. */
function longsOf(counts: Float64Array, from: number, to: number): BigInt64Array {
  const longs = new BigInt64Array(to - from)
  const words = new Int32Array(longs.buffer)
  for (let i = from, at = 0; i < to; i++, at += 2) {
    const value = counts[i]!
    words[at] = value
    if (value >= 2 ** 32) words[at + 1] = Math.floor(value / 2 ** 32)
  }
  return longs
}

function bytesOf(values: readonly (Uint8Array | undefined)[]): Column {
  const count = values.length
  const starts = new Int32Array(count)
  const lengths = new Int32Array(count)
  let validity: Uint8Array | undefined
  let size = 0
  for (const value of values) size += value?.length ?? 0
  const data = new Uint8Array(size)
  let at = 0
  for (let i = 0; i < count; i++) {
    const value = values[i]
    starts[i] = at
    if (value === undefined) {
      validity ??= allValid(count)
      validity[i >> 3]! &= ~(1 << (i & 7))
      continue
    }
    data.set(value, at)
    lengths[i] = value.length
    at += value.length
  }
  return { kind: 'bytes', data, starts, lengths, ids: undefined, validity }
}

function bitsOf(flags: Uint8Array, from: number, to: number): Uint8Array | undefined {
  let bits: Uint8Array | undefined
  for (let i = from; i < to; i++) {
    if (flags[i] === 1) continue
    bits ??= allValid(to - from)
    bits[(i - from) >> 3]! &= ~(1 << ((i - from) & 7))
  }
  return bits
}
