import { assert, unreachable } from '../common/assert.ts'
import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeInformation, TypeJson, TypeSerializer } from '../serde/type-information.ts'
import { within } from '../serde/unsupported-value.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import type { CurrentKey, KeyEntry } from './key-entry.ts'
import { isOwnIndex, type KeyIndex, keyIndexOf } from './key-index.ts'
import type { StateSchema } from './snapshot.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from './state.ts'
import { readerOf } from './typed-later.ts'

/** One registered state on the heap: reads and writes its slot of the table's current entry, below the current namespace if it has any. */
export abstract class HeapState<S = unknown> {
  readonly schema: StateSchema
  readonly slot: number
  /** Among the bits of an entry. States beyond the 31st share one: what changes in one of them is written for all. */
  readonly bit: number
  private readonly table: CurrentKey
  private readonly namespaceType: TypeInformation | undefined
  private namespace: unknown = undefined

  constructor(table: CurrentKey, namespaceType: TypeInformation | undefined, schema: StateSchema, slot: number) {
    this.table = table
    this.namespaceType = namespaceType
    this.schema = schema
    this.slot = slot
    this.bit = 1 << Math.min(slot, 31)
  }

  /** A primitive value (a window's start), compared as by a JS Map. */
  setNamespace(namespace: unknown): void {
    this.namespace = namespace
  }

  clear(): void {
    const entry = this.table.entry
    if (entry === undefined) {
      this.table.assertKeySet()
      return
    }
    const held = entry.slots[this.slot]
    if (held === undefined) return
    if (this.namespaceType !== undefined) {
      const byNamespace = held as Map<unknown, S>
      if (!byNamespace.delete(this.namespace)) return
      if (byNamespace.size > 0) {
        this.table.mark(entry, this.bit)
        return
      }
    }
    entry.slots[this.slot] = undefined
    this.table.mark(entry, this.bit)
    this.table.emptied(entry)
  }

  /** Runs once for each namespace that the current key has, each the current one meanwhile; without namespaces once. */
  forEachNamespace(run: () => void): void {
    if (this.namespaceType === undefined) {
      run()
      return
    }
    const held = this.table.entry?.slots[this.slot] as Map<unknown, S> | undefined
    if (held === undefined) return
    const { namespace } = this
    for (const each of held.keys()) {
      this.namespace = each
      run()
    }
    this.namespace = namespace
  }

  /** What the current key (and namespace) holds; undefined = nothing. */
  read(): S | undefined {
    const entry = this.table.entry
    if (entry === undefined) {
      this.table.assertKeySet()
      return undefined
    }
    const held = entry.slots[this.slot]
    if (this.namespaceType === undefined || held === undefined) return held as S | undefined
    return (held as Map<unknown, S>).get(this.namespace)
  }

  write(stored: S): void {
    // It would count as filled and read as empty. Usually a reduce or add without `return`.
    if (stored === undefined)
      throw new FlinkError(
        'USER_FUNCTION',
        `operator ${this.table.owner}: state ${this.schema.name}: undefined cannot be stored; did a function not return its result?`,
      )
    const entry = this.table.entryForWrite()
    const held = entry.slots[this.slot]
    if (held === undefined) this.table.filled(entry)
    if (this.namespaceType === undefined) entry.slots[this.slot] = stored
    else if (held === undefined) entry.slots[this.slot] = new Map<unknown, S>([[this.namespace, stored]])
    else (held as Map<unknown, S>).set(this.namespace, stored)
    if ((entry.changed & this.bit) === 0) this.table.mark(entry, this.bit)
  }

  /** What `read` has answered was changed in place. */
  changedInPlace(): void {
    const entry = this.table.entry
    if (entry !== undefined && (entry.changed & this.bit) === 0) this.table.mark(entry, this.bit)
  }

  /** What `entry` holds of this state, whatever the current key; only for states without namespace. */
  readFrom(entry: KeyEntry): S | undefined {
    return entry.slots[this.slot] as S | undefined
  }

  /** A slot that is not empty: with all of its namespaces. */
  writeRow(held: unknown, out: ByteWriter): void {
    const namespaceType = this.namespaceType
    if (namespaceType === undefined) {
      this.writeStored(held as S, out)
      return
    }
    const byNamespace = held as Map<unknown, S>
    out.varint(byNamespace.size)
    for (const [namespace, stored] of byNamespace) {
      namespaceType.serializer.write(namespace, out)
      this.writeStored(stored, out)
    }
  }

  readRow(input: ByteReader): unknown {
    const namespaceType = this.namespaceType
    if (namespaceType === undefined) return this.readStored(input)
    const byNamespace = new Map<unknown, S>()
    for (let rest = input.varint(); rest > 0; rest--) {
      const namespace = namespaceType.serializer.read(input)
      byNamespace.set(namespace, this.readStored(input))
    }
    return byNamespace
  }

  /** Of what type the values of the snapshot are: the declared one, or one that declared less. */
  abstract readAs(saved: TypeJson): void
  protected abstract writeStored(stored: S, out: ByteWriter): void
  protected abstract readStored(input: ByteReader): S
}

export function createHeapState(
  table: CurrentKey,
  descriptor: StateDescriptor,
  namespaceType: TypeInformation | undefined,
  schema: StateSchema,
  slot: number,
): HeapState {
  switch (descriptor.kind) {
    case 'value':
      return new HeapValueState(descriptor, table, namespaceType, schema, slot)
    case 'list':
      return new HeapListState(descriptor, table, namespaceType, schema, slot) as HeapState
    case 'map':
      return new HeapMapState(descriptor, table, namespaceType, schema, slot) as HeapState
    case 'reducing':
      return new HeapReducingState(descriptor, table, namespaceType, schema, slot)
    case 'aggregating':
      return new HeapAggregatingState(descriptor, table, namespaceType, schema, slot)
    default:
      return unreachable(descriptor)
  }
}

/** One value a key. */
abstract class HeapCell extends HeapState<unknown> {
  private readonly type: TypeInformation
  private reader: Read

  constructor(type: TypeInformation, ...rest: ConstructorParameters<typeof HeapState>) {
    super(...rest)
    this.type = type
    this.reader = readerOf(type.json, type)
  }

  readAs(saved: TypeJson): void {
    this.reader = readerOf(saved, this.type)
  }

  protected writeStored(stored: unknown, out: ByteWriter): void {
    this.type.serializer.write(stored, out)
  }

  protected readStored(input: ByteReader): unknown {
    return this.reader(input)
  }
}

export class HeapValueState extends HeapCell implements ValueState<unknown> {
  constructor(descriptor: ValueStateDescriptor<unknown>, ...rest: ConstructorParameters<typeof HeapState>) {
    super(descriptor.type, ...rest)
  }

  value(): unknown {
    return this.read() ?? null
  }

  update(value: unknown): void {
    if (value === null || value === undefined) this.clear()
    else this.write(value)
  }
}

const nothing: readonly unknown[] = Object.freeze([])

export class HeapListState extends HeapState<unknown[]> implements ListState<unknown> {
  private readonly elementType: TypeInformation
  private reader: Read

  constructor(descriptor: ListStateDescriptor<unknown>, ...rest: ConstructorParameters<typeof HeapState>) {
    super(...rest)
    this.elementType = descriptor.type
    this.reader = readerOf(this.elementType.json, this.elementType)
  }

  readAs(saved: TypeJson): void {
    assert(saved.kind === 'LIST', 'the schema of a list says so')
    this.reader = readerOf(saved.element, this.elementType)
  }

  get(): Iterable<unknown> {
    return this.read() ?? nothing
  }

  add(value: unknown): void {
    const list = this.read()
    if (list === undefined) {
      this.write([value])
      return
    }
    list.push(value)
    this.changedInPlace()
  }

  addAll(values: Iterable<unknown>): void {
    // A copy first: `values` may be this very list.
    for (const value of [...values]) this.add(value)
  }

  update(values: Iterable<unknown>): void {
    const list = [...values]
    if (list.length === 0) this.clear()
    else this.write(list)
  }

  protected writeStored(stored: unknown[], out: ByteWriter): void {
    out.varint(stored.length)
    for (const value of stored) this.elementType.serializer.write(value, out)
  }

  protected readStored(input: ByteReader): unknown[] {
    const list: unknown[] = []
    try {
      for (let rest = input.varint(); rest > 0; rest--) list.push(this.reader(input))
    } catch (error) {
      throw within(error, `[${list.length}]`)
    }
    return list
  }
}

/** Keys that are their own index are the Map's keys; for others the Map goes from index to [key, value]. */
export class HeapMapState extends HeapState<Map<unknown, unknown>> implements MapState<unknown, unknown> {
  private readonly keyType: TypeInformation
  private readonly valueType: TypeInformation
  private readonly indexOf: KeyIndex
  private readonly plain: boolean
  private keyReader: Read
  private valueReader: Read

  constructor(descriptor: MapStateDescriptor<unknown, unknown>, ...rest: ConstructorParameters<typeof HeapState>) {
    super(...rest)
    this.keyType = descriptor.keyType
    this.valueType = descriptor.valueType
    this.indexOf = keyIndexOf(descriptor.keyType)
    this.plain = isOwnIndex(descriptor.keyType)
    this.keyReader = readerOf(this.keyType.json, this.keyType)
    this.valueReader = readerOf(this.valueType.json, this.valueType)
  }

  readAs(saved: TypeJson): void {
    assert(saved.kind === 'MAP', 'the schema of a map says so')
    this.keyReader = readerOf(saved.key, this.keyType)
    this.valueReader = readerOf(saved.value, this.valueType)
  }

  get(key: unknown): unknown {
    const held = this.read()?.get(this.indexOf(key))
    if (held === undefined) return null
    return this.plain ? held : (held as MapEntry)[1]
  }

  put(key: unknown, value: unknown): void {
    let map = this.read()
    if (map === undefined) this.write((map = new Map()))
    else this.changedInPlace()
    map.set(this.indexOf(key), this.plain ? (value ?? null) : [key, value ?? null])
  }

  putAll(entries: Iterable<readonly [unknown, unknown]>): void {
    for (const [key, value] of [...entries]) this.put(key, value)
  }

  remove(key: unknown): void {
    const map = this.read()
    if (map?.delete(this.indexOf(key)) !== true) return
    if (map.size === 0) this.clear()
    else this.changedInPlace()
  }

  contains(key: unknown): boolean {
    return this.read()?.has(this.indexOf(key)) ?? false
  }

  entries(): Iterable<readonly [unknown, unknown]> {
    const map = this.read()
    if (map === undefined) return []
    return this.plain ? map.entries() : (map.values() as Iterable<MapEntry>)
  }

  keys(): Iterable<unknown> {
    const map = this.read()
    if (map === undefined) return []
    return this.plain ? map.keys() : (map.values() as MapIterator<MapEntry>).map(entry => entry[0])
  }

  values(): Iterable<unknown> {
    const map = this.read()
    if (map === undefined) return []
    return this.plain ? map.values() : (map.values() as MapIterator<MapEntry>).map(entry => entry[1])
  }

  isEmpty(): boolean {
    return (this.read()?.size ?? 0) === 0
  }

  protected writeStored(stored: Map<unknown, unknown>, out: ByteWriter): void {
    out.varint(stored.size)
    for (const [index, held] of stored) {
      const value = this.plain ? held : (held as MapEntry)[1]
      this.keyType.serializer.write(this.plain ? index : (held as MapEntry)[0], out)
      // Flink's map state takes null values, whatever the value type's own encoding makes of them.
      out.u8(value === null ? 0 : 1)
      if (value !== null) this.valueType.serializer.write(value, out)
    }
  }

  protected readStored(input: ByteReader): Map<unknown, unknown> {
    const map = new Map<unknown, unknown>()
    for (let rest = input.varint(); rest > 0; rest--) {
      const key = this.readKey(input, map.size)
      let value: unknown = null
      try {
        if (input.u8() !== 0) value = this.valueReader(input)
      } catch (error) {
        throw within(error, `.get(${shownKey(key)})`)
      }
      map.set(this.indexOf(key), this.plain ? value : [key, value])
    }
    return map
  }

  private readKey(input: ByteReader, at: number): unknown {
    try {
      return this.keyReader(input)
    } catch (error) {
      throw within(error, `'s key ${at}`)
    }
  }
}

/** As a message shows it. */
export function shownKey(key: unknown): string {
  return JSON.stringify(key, (_name, part) => (typeof part === 'bigint' ? `${part}` : part)) ?? String(key)
}

type Read = TypeSerializer<unknown>['read']
type MapEntry = readonly [unknown, unknown]

export class HeapReducingState extends HeapCell implements ReducingState<unknown> {
  private readonly descriptor: ReducingStateDescriptor<unknown>

  constructor(descriptor: ReducingStateDescriptor<unknown>, ...rest: ConstructorParameters<typeof HeapState>) {
    super(descriptor.type, ...rest)
    this.descriptor = descriptor
  }

  get(): unknown {
    return this.read() ?? null
  }

  add(value: unknown): void {
    const present = this.read()
    this.write(present === undefined ? value : this.descriptor.reducer.reduce(present, value))
  }
}

export class HeapAggregatingState extends HeapCell implements AggregatingState<unknown, unknown> {
  private readonly descriptor: AggregatingStateDescriptor<unknown, unknown, unknown>

  constructor(descriptor: AggregatingStateDescriptor<unknown, unknown, unknown>, ...rest: ConstructorParameters<typeof HeapState>) {
    super(descriptor.type, ...rest)
    this.descriptor = descriptor
  }

  get(): unknown {
    const accumulator = this.read()
    return accumulator === undefined ? null : this.descriptor.aggregator.getResult(accumulator)
  }

  add(value: unknown): void {
    const aggregator = this.descriptor.aggregator
    this.write(aggregator.add(value, this.read() ?? aggregator.createAccumulator()))
  }
}
