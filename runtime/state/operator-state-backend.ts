import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { canonicalJson } from '../common/json.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import type { ListStateDescriptor, MapStateDescriptor } from './descriptors.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import type { OperatorListSnapshot } from './snapshot.ts'
import type { BroadcastState, OperatorListState } from './state.ts'

/**
 * State of a subtask that belongs to no key: lists whose elements move one by one when rescaled (split) or go whole to every subtask
 * (union), and maps that are equal on every subtask (broadcast). Get every state before `restore`.
 */
export class OperatorStateBackend {
  private readonly owner: string
  private readonly states = new Map<string, ListTable | BroadcastTable>()

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
    return this.registered(descriptor.name, 'broadcast', type, () => new BroadcastTable(type, map)) as BroadcastState<K, V>
  }

  snapshot(): OperatorListSnapshot[] {
    return [...this.states].map(([name, state]) => ({ name, mode: state.mode, type: state.type, items: state.encode() }))
  }

  restore(lists: readonly OperatorListSnapshot[]): void {
    for (const list of lists) {
      const state = this.states.get(list.name)
      if (state === undefined)
        throw new FlinkError(
          'INVALID_PROGRAM',
          `operator ${this.owner}: the snapshot has the operator state ${list.name}, which is not declared any more`,
        )
      this.checkSame(list.name, state, list.mode, list.type)
      state.decode(list.items)
    }
  }

  private list(descriptor: ListStateDescriptor<unknown>, mode: 'split' | 'union'): ListTable | BroadcastTable {
    return this.registered(descriptor.name, mode, descriptor.type.json, () => new ListTable(mode, descriptor.type))
  }

  private registered(
    name: string,
    mode: OperatorListSnapshot['mode'],
    type: TypeJson,
    create: () => ListTable | BroadcastTable,
  ): ListTable | BroadcastTable {
    const present = this.states.get(name)
    if (present !== undefined) {
      this.checkSame(name, present, mode, type)
      return present
    }
    const state = create()
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

  get(): Iterable<unknown> {
    return this.values
  }

  add(value: unknown): void {
    this.values.push(value)
  }

  addAll(values: Iterable<unknown>): void {
    this.values.push(...values)
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

  decode(items: readonly Uint8Array[]): void {
    this.values = items.map(item => this.elementType.serializer.read(new ByteReader(item)))
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

  get(key: unknown): unknown {
    return this.map.get(this.indexOf(key))?.[1] ?? null
  }

  put(key: unknown, value: unknown): void {
    this.map.set(this.indexOf(key), [key, value])
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

  decode(items: readonly Uint8Array[]): void {
    for (const item of items) {
      const input = new ByteReader(item)
      this.put(this.descriptor.keyType.serializer.read(input), this.descriptor.valueType.serializer.read(input))
    }
  }
}
