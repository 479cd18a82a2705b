import type { FunctionOrigin } from '../../codegen/emit.ts'
import type { BytesColumn, Column, ColumnarFrame } from '../../network/columns.ts'
import type { TypeJson } from '../../serde/type-information.ts'
import { typeText } from '../functions/value-type.ts'
import type { AggregateCall } from '../plan/physical.ts'
import { type SlotColumn, slotColumn } from './accumulator-slots.ts'
import { type AggregateProgram, aggregateProgram, functionOf } from './aggregate-program.ts'
import { DistinctAccumulator, type DistinctProgram, distinctProgram } from './distinct-accumulator.ts'

/**
 * The accumulators of all aggregate calls of a table of keys, in typed columns under the keys' indices: `add` takes rows, `merge` accumulators of
 * another table. Accumulators are also columns, call by call: what a local aggregation sends to the global one and what a snapshot holds.
 *
 * Plain calls share one program of loops; a DISTINCT call has a table of its own.
 */
export interface AccumulatorProgram {
  readonly plain: AggregateProgram
  readonly distinct: readonly DistinctProgram[]
  /** Where each call is: among the plain ones, with its slots, or among the distinct ones. */
  readonly calls: readonly CallPlace[]
  /** Columns of an accumulator. */
  readonly width: number
}

type CallPlace =
  | { readonly kind: 'plain'; readonly index: number; readonly firstSlot: number; readonly slotCount: number }
  | { readonly kind: 'distinct'; readonly index: number }

/** `origin` undefined: the calls are interpreted. */
export function accumulatorProgram(calls: readonly AggregateCall[], origin: FunctionOrigin | undefined): AccumulatorProgram {
  const plain = calls.filter(call => !isDistinct(call))
  const distinct = calls.filter(isDistinct)
  let firstSlot = 0
  const places = calls.map((call): CallPlace => {
    if (isDistinct(call)) return { kind: 'distinct', index: distinct.indexOf(call) }
    const slotCount = functionOf(call).slots.length
    firstSlot += slotCount
    return { kind: 'plain', index: plain.indexOf(call), firstSlot: firstSlot - slotCount, slotCount }
  })
  return {
    plain: aggregateProgram(plain, origin),
    distinct: distinct.map(call => distinctProgram(call, origin)),
    calls: places,
    width: calls.flatMap(accumulatorTypes).length,
  }
}

/** Types of the columns of a call's accumulator: part of the schema between a local and a global aggregation. Calls that cannot be are refused. */
export function accumulatorTypes(call: AggregateCall): readonly string[] {
  const { slots } = functionOf(call)
  return isDistinct(call) ? ['BYTES NOT NULL'] : slots.map(slot => typeText(slot.type))
}

/**
 * Of a key and its accumulators in snapshots. What the columns are called says what they are: with another function in its place a query finds other state,
 * even where the types are the same.
 */
export function groupType(keyTypes: readonly string[], calls: readonly AggregateCall[]): TypeJson {
  const keys = keyTypes.map(type => ({ name: 'key', type }))
  const accumulators = calls.flatMap(call =>
    accumulatorTypes(call).map(type => ({ name: call.distinct ? `${call.name}_DISTINCT` : call.name, type })),
  )
  return { kind: 'COLUMNS', fields: [...keys, ...accumulators].map(({ name, type }, i) => ({ name: `${name}_${i}`, type })) }
}

/** The least and the greatest of values are those of distinct values. */
export function isDistinct({ name, distinct }: AggregateCall): boolean {
  return distinct && name !== 'MIN' && name !== 'MAX'
}

export class Accumulators {
  private readonly program: AccumulatorProgram
  private readonly slots: readonly SlotColumn[]
  private readonly distinct: readonly DistinctAccumulator[]

  constructor(program: AccumulatorProgram, seed: number) {
    this.program = program
    this.slots = program.plain.slots.map(slotColumn)
    this.distinct = program.distinct.map(one => new DistinctAccumulator(one, seed))
  }

  /** Columns of `columns()`. */
  get width(): number {
    return this.program.width
  }

  /** Makes room for keys up to `count`; new ones are fresh. */
  grow(count: number): void {
    for (const slot of this.slots) slot.grow(count)
    for (const one of this.distinct) one.grow(count)
  }

  /** Row `rows[i]` of the frame goes to key `keys[i]`, for i below `count`. */
  add(frame: ColumnarFrame, rows: Int32Array, keys: Int32Array, count: number): void {
    this.program.plain.add(frame, this.slots, rows, keys, count)
    for (const one of this.distinct) one.add(frame, rows, keys, count)
  }

  /** The same with rows of `columns()`. */
  merge(columns: readonly Column[], rows: Int32Array, keys: Int32Array, count: number): void {
    const plain: Column[] = []
    let at = 0
    for (const place of this.program.calls) {
      if (place.kind === 'plain') for (let i = 0; i < place.slotCount; i++) plain.push(columns[at++]!)
      else this.distinct[place.index]!.merge(columns[at++] as BytesColumn, rows, keys, count)
    }
    this.program.plain.merge(plain, this.slots, rows, keys, count)
  }

  /** Keys 0..count of `other` go to `keys[0..count)`. */
  mergeFrom(other: Accumulators, keys: Int32Array, count: number): void {
    this.program.plain.mergeSlots(other.slots, this.slots, keys, count)
    for (const [i, one] of this.distinct.entries()) one.mergeFrom(other.distinct[i]!, keys)
  }

  /** One column a call: of keys `from..to`. */
  results(from: number, to: number): Column[] {
    const plain = this.program.plain.results(this.slots, from, to)
    return this.program.calls.map(place => (place.kind === 'plain' ? plain[place.index]! : this.distinct[place.index]!.result(from, to)))
  }

  columns(from: number, to: number): Column[] {
    return this.program.calls.flatMap(place =>
      place.kind === 'plain'
        ? this.slots.slice(place.firstSlot, place.firstSlot + place.slotCount).map(slot => slot.column(from, to))
        : [this.distinct[place.index]!.column(from, to)],
    )
  }

  clear(): void {
    for (const slot of this.slots) slot.clear()
    for (const one of this.distinct) one.clear()
  }

  /** Takes over the first `count` keys of accumulators of the same program; what was here is gone. */
  copyFrom(other: Accumulators, count: number): void {
    for (const [i, slot] of this.slots.entries()) slot.copyFrom(other.slots[i]!, count)
    for (const [i, one] of this.distinct.entries()) one.copyFrom(other.distinct[i]!, count)
  }
}
