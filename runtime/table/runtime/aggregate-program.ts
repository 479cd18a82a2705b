import { type Code, code, FunctionEmitter, type FunctionOrigin, SOURCE_SIZE_MAX } from '../../codegen/emit.ts'
import type { Column, ColumnarFrame, Validity } from '../../network/columns.ts'
import { isValid } from '../../network/columns.ts'
import { type AggregateFunction, aggregateFunction, type Given, type Place, type Slot } from '../functions/aggregates.ts'
import { allValid, buildColumn, decodeDecimal, readValue, valuesColumn } from '../functions/frame-values.ts'
import { columnKindOfValue, isDecimal, parseValueType, type Value, type ValueType, withNullable } from '../functions/value-type.ts'
import type { AggregateCall } from '../plan/physical.ts'
import type { SlotColumn } from './accumulator-slots.ts'

/**
 * The loops of some aggregate calls (none DISTINCT) over the slots of a table's groups. `compileAggregates` makes one generated loop of all calls
 * (several where one would be too long), `interpretAggregates` walks the functions' closures; both leave the same slots.
 */
export interface AggregateProgram {
  readonly slots: readonly Slot[]
  /** Row `rows[i]` of the frame goes to group `groups[i]`, for i below `count`. */
  add(frame: ColumnarFrame, slots: readonly SlotColumn[], rows: Int32Array, groups: Int32Array, count: number): void
  /** The same with rows of other accumulators: one column a slot. */
  merge(columns: readonly Column[], slots: readonly SlotColumn[], rows: Int32Array, groups: Int32Array, count: number): void
  /** The same with groups 0..count of the slots of another table. */
  mergeSlots(others: readonly SlotColumn[], slots: readonly SlotColumn[], groups: Int32Array, count: number): void
  /** One column a call: of groups `from..to`. */
  results(slots: readonly SlotColumn[], from: number, to: number): Column[]
  /** The generated functions one after the other; empty when interpreted. */
  readonly source: string
}

interface BoundCall {
  readonly call: AggregateCall
  readonly function: AggregateFunction
  readonly argument: ValueType
  readonly firstSlot: number
}

/** `origin` undefined: interpreted. */
export function aggregateProgram(calls: readonly AggregateCall[], origin: FunctionOrigin | undefined): AggregateProgram {
  return origin === undefined ? interpretAggregates(calls) : compileAggregates(calls, origin)
}

export function functionOf(call: AggregateCall): AggregateFunction {
  return aggregateFunction(call.name, call.argument < 0 ? undefined : parseValueType(call.inputType))
}

function bind(calls: readonly AggregateCall[]): BoundCall[] {
  let firstSlot = 0
  return calls.map(call => {
    const bound = { call, function: functionOf(call), argument: parseValueType(call.inputType), firstSlot }
    firstSlot += bound.function.slots.length
    return bound
  })
}

export function interpretAggregates(calls: readonly AggregateCall[]): AggregateProgram {
  const bound = bind(calls)
  const slotsOf = ({ function: { slots }, firstSlot }: BoundCall, all: readonly SlotColumn[]) => all.slice(firstSlot, firstSlot + slots.length)
  const update = (slots: readonly SlotColumn[], group: number, change: (values: Value[]) => void) => {
    const values = slots.map(slot => slot.get(group))
    change(values)
    for (const [i, slot] of slots.entries()) slot.put(group, values[i] as Value)
  }
  return {
    slots: bound.flatMap(one => one.function.slots),
    add: (frame, all, rows, groups, count) => {
      for (const one of bound) {
        const { call, argument } = one
        const slots = slotsOf(one, all)
        for (let i = 0; i < count; i++) {
          const row = rows[i]!
          if (call.filter >= 0 && readValue(frame.columns[call.filter]!, booleanType, row) !== true) continue
          const value = call.argument < 0 ? null : readValue(frame.columns[call.argument]!, argument, row)
          if (value === null && call.argument >= 0) continue
          update(slots, groups[i]!, values => one.function.add(values, value))
        }
      }
    },
    merge: (columns, all, rows, groups, count) => {
      for (const one of bound) {
        const own = one.function.slots
        const others = columns.slice(one.firstSlot, one.firstSlot + own.length)
        const slots = slotsOf(one, all)
        for (let i = 0; i < count; i++) {
          const other = others.map((column, k) => readValue(column, own[k]!.type, rows[i]!))
          update(slots, groups[i]!, values => one.function.merge(values, other))
        }
      }
    },
    mergeSlots: (others, all, groups, count) => {
      for (const one of bound) {
        const slots = slotsOf(one, all)
        for (let i = 0; i < count; i++) {
          const other = slotsOf(one, others).map(slot => slot.get(i))
          update(slots, groups[i]!, values => one.function.merge(values, other))
        }
      }
    },
    results: (all, from, to) =>
      bound.map(one => {
        const slots = slotsOf(one, all)
        const values = Array.from({ length: to - from }, (_, i) => one.function.value(slots.map(slot => slot.get(from + i))))
        return buildColumn(one.function.type, values)
      }),
    source: '',
  }
}

const booleanType = parseValueType('BOOLEAN')

type AddLoop = AggregateProgram['add']
type MergeLoop = AggregateProgram['merge']
type MergeSlotsLoop = AggregateProgram['mergeSlots']
type ResultLoop = (slots: readonly SlotColumn[], from: number, to: number) => Column

export function compileAggregates(calls: readonly AggregateCall[], origin: FunctionOrigin): AggregateProgram {
  const bound = bind(calls)
  const sources: string[] = []
  const adds = split(bound, some => emitAdd(some, origin, sources))
  const merges = split(bound, some => emitMerge(some, origin, sources))
  const slotMerges = split(bound, some => emitMergeSlots(some, origin, sources))
  const results = bound.map((one): ResultLoop => emitResult(one, origin, sources) ?? ((slots, from, to) => slots[one.firstSlot]!.column(from, to)))
  return {
    slots: bound.flatMap(one => one.function.slots),
    add: (frame, slots, rows, groups, count) => {
      for (const loop of adds) loop(frame, slots, rows, groups, count)
    },
    merge: (columns, slots, rows, groups, count) => {
      for (const loop of merges) loop(columns, slots, rows, groups, count)
    },
    mergeSlots: (others, slots, groups, count) => {
      for (const loop of slotMerges) loop(others, slots, groups, count)
    },
    results: (slots, from, to) => results.map(result => result(slots, from, to)),
    source: sources.join('\n'),
  }
}

/** One loop for all, or loops for fewer calls each where that would be too long. */
function split<L>(calls: readonly BoundCall[], emit: (some: readonly BoundCall[]) => L | undefined): L[] {
  if (calls.length === 0) return []
  const loop = emit(calls)
  if (loop !== undefined) return [loop]
  const half = calls.length >> 1
  return [...split(calls.slice(0, half), emit), ...split(calls.slice(half), emit)]
}

/** What both loops begin with: the arrays of the calls' slots as locals, then a walk over `rows` and `groups`. */
class LoopEmitter {
  readonly emitter = new FunctionEmitter()
  readonly input: Code
  readonly row: Code
  private readonly parameters: readonly Code[]
  private readonly places = new Map<number, Place>()
  private readonly columns: Map<number, ColumnLocals>

  /** `columns`: indices into the columns that `columnsOf(input)` is, and the types they have; `counts`: those that are read as numbers. */
  constructor(calls: readonly BoundCall[], columnsOf: (input: Code) => Code, columns: ReadonlyMap<number, ValueType>, counts: ReadonlySet<number>) {
    const { emitter } = this
    const [input, slots, rows, groups, count] = Array.from({ length: 5 }, () => emitter.fresh()) as [Code, Code, Code, Code, Code]
    this.input = input
    this.parameters = [input, slots, rows, groups, count]
    this.columns = new Map(
      [...columns].map(([index, type]) => [index, columnLocals(emitter, code`${columnsOf(input)}[${index}]`, type, counts.has(index))]),
    )
    const arrays = slotArrays(emitter, slots, calls)
    const i = emitter.fresh()
    emitter.open(code`for (let ${i} = 0; ${i} < ${count}; ${i}++)`)
    this.row = emitter.define(code`${rows}[${i}]`)
    const group = emitter.define(code`${groups}[${i}]`)
    for (const [index, array] of arrays) this.places.set(index, placeAt(array, group))
  }

  placesOf(one: BoundCall): Place[] {
    return one.function.slots.map((_, i) => this.places.get(one.firstSlot + i) as Place) // the constructor made them
  }

  /** Opens a block where column `index` is not null, if that can be. */
  openWhereValid(index: number): boolean {
    const { validity, type } = this.columns.get(index) as ColumnLocals
    if (!type.nullable) return false
    this.emitter.open(code`if (${validity} === undefined || (${validity}[${this.row} >> 3] & (1 << (${this.row} & 7))) !== 0)`)
    return true
  }

  openWhereTrue(index: number): void {
    const { values, validity } = this.columns.get(index) as ColumnLocals
    const { row } = this
    this.emitter.open(code`if (${values}[${row}] === 1 && (${validity} === undefined || (${validity}[${row} >> 3] & (1 << (${row} & 7))) !== 0))`)
  }

  /** Column `index` at the row, where it is not null. */
  given(index: number): Given {
    const { emitter, row } = this
    const { type, isCount, values, starts, lengths } = this.columns.get(index) as ColumnLocals
    if (isCount) return { kind: 'value', value: code`(${values}[2 * ${row}] >>> 0) + ${values}[2 * ${row} + 1] * ${2 ** 32}` }
    if (columnKindOfValue(type) !== 'bytes') return { kind: 'value', value: code`${values}[${row}]` }
    if (isDecimal(type)) return { kind: 'value', value: code`${emitter.constant(decodeDecimal)}(${values}, ${starts}[${row}], ${lengths}[${row}])` }
    return { kind: 'bytes', data: values, start: code`${starts}[${row}]`, length: code`${lengths}[${row}]` }
  }

  finish<L>(origin: FunctionOrigin, sources: string[], mayFail: boolean): L | undefined {
    this.emitter.close()
    if (mayFail && this.emitter.size > SOURCE_SIZE_MAX) return undefined
    const built = this.emitter.build<L>(origin, this.parameters)
    sources.push(built.source)
    return built.run
  }
}

interface SlotArrays {
  readonly values: Code
  readonly valid: Code
}

/** The arrays of the calls' slots as locals, by the slots' indices. */
function slotArrays(emitter: FunctionEmitter, slots: Code, calls: readonly BoundCall[]): Map<number, SlotArrays> {
  const arrays = new Map<number, SlotArrays>()
  for (const one of calls)
    for (const [i, slot] of one.function.slots.entries()) {
      const column = emitter.define(code`${slots}[${one.firstSlot + i}]`)
      const values = emitter.define(code`${column}.values`)
      arrays.set(one.firstSlot + i, { values, valid: slot.initial === null ? emitter.define(code`${column}.valid`) : values })
    }
  return arrays
}

function placeAt({ values, valid }: SlotArrays, group: Code): Place {
  return { value: code`${values}[${group}]`, valid: code`${valid}[${group}]` }
}

interface ColumnLocals {
  readonly type: ValueType
  readonly isCount: boolean
  readonly values: Code
  readonly validity: Code
  readonly starts: Code
  readonly lengths: Code
}

function columnLocals(emitter: FunctionEmitter, place: Code, type: ValueType, isCount: boolean): ColumnLocals {
  const column = emitter.define(place)
  const validity = emitter.define(code`${column}.validity`)
  if (columnKindOfValue(type) !== 'bytes') {
    const held = emitter.define(code`${column}.values`)
    // A count is added up as a number: read as pairs of words, no bigint is made.
    const values = isCount ? emitter.define(code`${emitter.constant(wordsOf)}(${held})`) : held
    return { type, isCount, values, validity, starts: values, lengths: values }
  }
  const values = emitter.define(code`${column}.data`)
  return { type, isCount, values, validity, starts: emitter.define(code`${column}.starts`), lengths: emitter.define(code`${column}.lengths`) }
}

function wordsOf(values: BigInt64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2)
}

function emitAdd(calls: readonly BoundCall[], origin: FunctionOrigin, sources: string[]): AddLoop | undefined {
  const columns = new Map<number, ValueType>()
  for (const { call, argument } of calls) {
    // NOT NULL is what a type declares: a decimal without room is NULL in Flink all the same, so that every argument is looked at.
    if (call.argument >= 0) columns.set(call.argument, withNullable(argument, true))
    if (call.filter >= 0) columns.set(call.filter, booleanType)
  }
  const loop = new LoopEmitter(calls, frame => code`${frame}.columns`, columns, new Set())
  const { emitter } = loop
  for (const one of calls) {
    const { argument, filter } = one.call
    if (filter >= 0) loop.openWhereTrue(filter)
    const checks = argument >= 0 && loop.openWhereValid(argument)
    one.function.emit.add(emitter, loop.placesOf(one), argument < 0 ? undefined : loop.given(argument))
    if (checks) emitter.close()
    if (filter >= 0) emitter.close()
  }
  return loop.finish<AddLoop>(origin, sources, calls.length > 1)
}

function emitMerge(calls: readonly BoundCall[], origin: FunctionOrigin, sources: string[]): MergeLoop | undefined {
  const columns = new Map(calls.flatMap(one => one.function.slots.map((slot, i) => [one.firstSlot + i, slot.type] as const)))
  const counts = calls.flatMap(one => one.function.slots.flatMap((slot, i) => (slot.kind === 'count' ? [one.firstSlot + i] : [])))
  const loop = new LoopEmitter(calls, given => given, columns, new Set(counts))
  const { emitter } = loop
  for (const one of calls) {
    const places = loop.placesOf(one)
    for (let i = 0; i < places.length; i++) {
      const checks = loop.openWhereValid(one.firstSlot + i)
      one.function.emit.merge(emitter, places[i] as Place, loop.given(one.firstSlot + i), i)
      if (!checks) continue
      if (one.function.emit.nullStays) {
        emitter.otherwise()
        emitter.line(code`${(places[i] as Place).value} = undefined`)
      }
      emitter.close()
    }
  }
  return loop.finish<MergeLoop>(origin, sources, calls.length > 1)
}

function emitMergeSlots(calls: readonly BoundCall[], origin: FunctionOrigin, sources: string[]): MergeSlotsLoop | undefined {
  const emitter = new FunctionEmitter()
  const [others, slots, groups, count] = Array.from({ length: 4 }, () => emitter.fresh()) as [Code, Code, Code, Code]
  const given = slotArrays(emitter, others, calls)
  const own = slotArrays(emitter, slots, calls)
  const i = emitter.fresh()
  emitter.open(code`for (let ${i} = 0; ${i} < ${count}; ${i}++)`)
  const group = emitter.define(code`${groups}[${i}]`)
  for (const one of calls)
    for (const [k, slot] of one.function.slots.entries()) {
      const index = one.firstSlot + k
      // Both maps have the slots of all calls.
      const other = placeAt(given.get(index) as SlotArrays, i)
      const place = placeAt(own.get(index) as SlotArrays, group)
      const isObject = slot.kind === 'decimal' || slot.kind === 'text'
      const checks = isObject || slot.initial === null
      if (checks) emitter.open(isObject ? code`if (${other.value} !== undefined)` : code`if (${other.valid} === 1)`)
      const value: Given =
        slot.kind === 'text'
          ? { kind: 'bytes', data: other.value, start: code`0`, length: code`${other.value}.length` }
          : { kind: 'value', value: other.value }
      one.function.emit.merge(emitter, place, value, k)
      if (!checks) continue
      if (one.function.emit.nullStays) {
        emitter.otherwise()
        emitter.line(code`${place.value} = undefined`)
      }
      emitter.close()
    }
  emitter.close()
  if (calls.length > 1 && emitter.size > SOURCE_SIZE_MAX) return undefined
  const built = emitter.build<MergeSlotsLoop>(origin, [others, slots, groups, count])
  sources.push(built.source)
  return built.run
}

const typedArrays = { bool: Uint8Array, i32: Int32Array, f64: Float64Array, i64: BigInt64Array } as const

/** undefined: the result is the first slot. */
function emitResult(one: BoundCall, origin: FunctionOrigin, sources: string[]): ResultLoop | undefined {
  const { type, slots, emit } = one.function
  if (emit.value === undefined) return undefined
  const emitter = new FunctionEmitter()
  const [given, from, to] = [emitter.fresh(), emitter.fresh(), emitter.fresh()]
  const arrays = slots.map((_, i) => emitter.define(code`${given}[${one.firstSlot + i}].values`))
  const kind = columnKindOfValue(type)
  const length = emitter.define(code`${to} - ${from}`)
  const values = emitter.define(
    kind === 'bytes' ? code`new ${emitter.constant(Array)}(${length})` : code`new ${emitter.constant(typedArrays[kind])}(${length})`,
  )
  const validity = emitter.variable(code`undefined`)
  const i = emitter.fresh()
  emitter.open(code`for (let ${i} = 0; ${i} < ${length}; ${i}++)`)
  const group = emitter.define(code`${from} + ${i}`)
  const places = arrays.map((array): Place => ({ value: code`${array}[${group}]`, valid: array }))
  const { value, isNull } = emit.value(emitter, places)
  emitter.open(code`if (${isNull})`)
  if (kind === 'bytes') emitter.line(code`${values}[${i}] = null`)
  else {
    emitter.line(code`if (${validity} === undefined) ${validity} = ${emitter.constant(allValid)}(${length})`)
    emitter.line(code`${validity}[${i} >> 3] &= ~(1 << (${i} & 7))`)
  }
  emitter.otherwise()
  emitter.line(code`${values}[${i}] = ${value}`)
  emitter.close()
  emitter.close()
  const column =
    kind === 'bytes' ? (all: Value[]) => buildColumn(type, all) : (all: never, bits: Validity, count: number) => valuesColumn(kind, all, bits, count)
  emitter.line(code`return ${emitter.constant(column)}(${values}, ${validity}, ${length})`)
  const built = emitter.build<ResultLoop>(origin, [given, from, to])
  sources.push(built.source)
  return built.run
}

/** Rows whose filter is true and whose argument is not null, with their groups; for what is not a loop of its own. Answers how many. */
export function selectRows(
  call: AggregateCall,
  frame: ColumnarFrame,
  rows: Int32Array,
  groups: Int32Array,
  count: number,
  outRows: Int32Array,
  outGroups: Int32Array,
): number {
  const validity = frame.columns[call.argument]!.validity
  const filter = call.filter < 0 ? undefined : (frame.columns[call.filter] as { values: Uint8Array; validity: Validity })
  let kept = 0
  for (let i = 0; i < count; i++) {
    const row = rows[i]!
    if (!isValid(validity, row)) continue
    if (filter !== undefined && !(isValid(filter.validity, row) && filter.values[row] === 1)) continue
    outRows[kept] = row
    outGroups[kept++] = groups[i]!
  }
  return kept
}
