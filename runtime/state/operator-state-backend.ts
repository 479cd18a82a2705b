import { assert } from '../common/assert.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { canonicalJson } from '../common/json.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import { UnsupportedValueError } from '../serde/unsupported-value.ts'
import type { ListStateDescriptor, MapStateDescriptor, StateDescriptor } from './descriptors.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import type { OperatorListSnapshot } from './snapshot.ts'
import type { BroadcastState, OperatorListState } from './state.ts'
import { mayBeTyped, readerOf } from './typed-later.ts'

/**
 * State of a subtask that belongs to no key: lists whose elements move one by one when rescaled (split) or go whole to every subtask
 * (union), and maps that are equal on every subtask (broadcast).
 *
 * 1. `restore` what there is.
 * 2. A state is filled when it is asked for first. When the functions are open, `checkAllDeclared`: nothing restored may be left over.
 * 3. `snapshot` between two rows.
 */
export class OperatorStateBackend {
  private readonly owner: string
  private readonly states = new Map<string, ListTable | BroadcastTable>()
  /** What nobody has asked for yet. */
  private readonly restored = new Map<string, OperatorListSnapshot>()

  constructor(owner: string) {
    this.owner = owner
  }

  getListState<T>(descriptor: ListStateDescriptor<T>): OperatorListState<T> {
    return this.list(descriptor as ListStateDescriptor<unknown>, 'split') as OperatorListState<T>
  }

  getUnionListState<T>(descriptor: ListStateDescriptor<T>): OperatorListState<T> {
    return this.list(descriptor as ListStateDescriptor<unknown>, 'union') as OperatorListState<T>
  }

  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V> {
    const map = descriptor as MapStateDescriptor<unknown, unknown>
    const type: TypeJson = { kind: 'MAP', key: map.keyType.json, value: map.valueType.json }
    return this.registered(map, 'broadcast', type, () => new BroadcastTable(type, map)) as BroadcastState<K, V>
  }

  snapshot(): OperatorListSnapshot[] {
    return [...this.states].map(([name, state]) => ({ name, mode: state.mode, type: state.type, items: this.encode(name, state) }))
  }

  restore(lists: readonly OperatorListSnapshot[]): void {
    for (const list of lists) this.restored.set(list.name, list)
  }

  checkAllDeclared(): void {
    // Dropping it silently would lose state.
    for (const { name, mode, items } of this.restored.values())
      if (items.length > 0)
        throw new FlinkError(
          'INVALID_PROGRAM',
          `operator ${this.owner}: the snapshot has the operator state ${name} (${mode}), which is not declared any more`,
        )
    this.restored.clear()
  }

  /** Elements of lists, entries of maps. */
  get entryCount(): number {
    let count = 0
    for (const state of this.states.values()) count += state.size
    return count
  }

  private decode(name: string, state: ListTable | BroadcastTable, { type, items }: OperatorListSnapshot): void {
    const add = state.adderOf(type)
    for (const [i, item] of items.entries()) {
      try {
        add(new ByteReader(item))
      } catch (error) {
        throw error instanceof UnsupportedValueError
          ? new FlinkError(
              'INVALID_PROGRAM',
              `operator ${this.owner}: operator state ${name} has been given a type since the snapshot, and element ${i} of the snapshot is not of it: ${error.message}`,
              error.detail,
              error,
            )
          : error
      }
    }
  }

  private encode(name: string, state: ListTable | BroadcastTable): Uint8Array[] {
    try {
      return state.encode()
    } catch (error) {
      throw error instanceof FlinkError
        ? new FlinkError(error.code, `operator ${this.owner}: operator state ${name}: ${error.message}`, error.detail, error)
        : error
    }
  }

  private list(descriptor: ListStateDescriptor<unknown>, mode: 'split' | 'union'): ListTable | BroadcastTable {
    return this.registered(descriptor, mode, descriptor.type.json, () => new ListTable(mode, descriptor.type))
  }

  private registered(
    { name, ttl }: StateDescriptor,
    mode: OperatorListSnapshot['mode'],
    type: TypeJson,
    create: () => ListTable | BroadcastTable,
  ): ListTable | BroadcastTable {
    const present = this.states.get(name)
    if (present !== undefined) {
      this.checkSame(name, present, mode, type)
      return present
    }
    if (ttl !== undefined)
      throw new FlinkError('INVALID_PROGRAM', `operator ${this.owner}: operator state ${name}: only keyed state can have time-to-live`)
    if (name.startsWith('_'))
      throw new FlinkError('INVALID_PROGRAM', `operator ${this.owner}: operator state ${name}: names that begin with _ are the engine's own`)
    const state = create()
    const restored = this.restored.get(name)
    if (restored !== undefined) {
      if (restored.mode !== mode || !mayBeTyped(restored.type, type)) this.checkSame(name, state, restored.mode, restored.type)
      this.decode(name, state, restored)
      this.restored.delete(name)
    }
    this.states.set(name, state)
    return state
  }

  private checkSame(name: string, present: ListTable | BroadcastTable, mode: OperatorListSnapshot['mode'], type: TypeJson): void {
    const own = `${present.mode} ${canonicalJson(present.type as TypeJsonObject)}`
    const other = `${mode} ${canonicalJson(type as TypeJsonObject)}`
    if (own !== other)
      throw new FlinkError('INVALID_PROGRAM', `operator ${this.owner}: operator state ${name} is declared as ${own} and also as ${other}`)
  }
}

class ListTable implements OperatorListState<unknown> {
  readonly mode: 'split' | 'union'
  readonly type: TypeJson
  private readonly elementType: TypeInformation
  private values: unknown[] = []

  constructor(mode: 'split' | 'union', elementType: TypeInformation) {
    this.mode = mode
    this.type = elementType.json
    this.elementType = elementType
  }

  get size(): number {
    return this.values.length
  }

  get(): Iterable<unknown> {
    return this.values
  }

  add(value: unknown): void {
    this.values.push(value)
  }

  addAll(values: Iterable<unknown>): void {
    // Not spread into the call: that has a limit, and `values` may be this very list.
    this.values = [...this.values, ...values]
  }

  update(values: Iterable<unknown>): void {
    this.values = [...values]
  }

  clear(): void {
    this.values = []
  }

  encode(): Uint8Array[] {
    return this.values.map(value => {
      const out = new ByteWriter(64)
      this.elementType.serializer.write(value, out)
      return out.copy()
    })
  }

  /** Adds what is read of an item. */
  adderOf(saved: TypeJson): (input: ByteReader) => void {
    const read = readerOf(saved, this.elementType)
    return input => void this.values.push(read(input))
  }
}

class BroadcastTable implements BroadcastState<unknown, unknown> {
  readonly mode = 'broadcast'
  readonly type: TypeJson
  private readonly descriptor: MapStateDescriptor<unknown, unknown>
  private readonly indexOf: KeyIndex
  private readonly map = new Map<unknown, readonly [unknown, unknown]>()

  constructor(type: TypeJson, descriptor: MapStateDescriptor<unknown, unknown>) {
    this.type = type
    this.descriptor = descriptor
    this.indexOf = keyIndexOf(descriptor.keyType)
  }

  get size(): number {
    return this.map.size
  }

  get(key: unknown): unknown {
    return this.map.get(this.indexOf(key))?.[1] ?? null
  }

  put(key: unknown, value: unknown): void {
    // Frozen: those who may only read get this very entry.
    this.map.set(this.indexOf(key), Object.freeze([key, value] as const))
  }

  putAll(entries: Iterable<readonly [unknown, unknown]>): void {
    for (const [key, value] of [...entries]) this.put(key, value)
  }

  remove(key: unknown): void {
    this.map.delete(this.indexOf(key))
  }

  contains(key: unknown): boolean {
    return this.map.has(this.indexOf(key))
  }

  entries(): Iterable<readonly [unknown, unknown]> {
    return this.map.values()
  }

  immutableEntries(): Iterable<readonly [unknown, unknown]> {
    return this.entries()
  }

  keys(): Iterable<unknown> {
    return this.map.values().map(entry => entry[0])
  }

  values(): Iterable<unknown> {
    return this.map.values().map(entry => entry[1])
  }

  isEmpty(): boolean {
    return this.map.size === 0
  }

  clear(): void {
    this.map.clear()
  }

  encode(): Uint8Array[] {
    return [...this.map.values()].map(([key, value]) => {
      const out = new ByteWriter(64)
      this.descriptor.keyType.serializer.write(key, out)
      this.descriptor.valueType.serializer.write(value, out)
      return out.copy()
    })
  }

  /** Adds what is read of an item. */
  adderOf(saved: TypeJson): (input: ByteReader) => void {
    assert(saved.kind === 'MAP', 'broadcast state is a map')
    const [readKey, readValue] = [readerOf(saved.key, this.descriptor.keyType), readerOf(saved.value, this.descriptor.valueType)]
    return input => this.put(readKey(input), readValue(input))
  }
}
