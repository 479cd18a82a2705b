import { AssertionError, assert } from '../common/assert.ts'
import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import { canonicalJson } from '../common/json.ts'
import { keyGroupOf } from '../serde/key-groups.ts'
import type { TypeInformation, TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import { UnsupportedValueError } from '../serde/unsupported-value.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import { describeState } from './descriptors.ts'
import { createHeapState, type HeapState, shownKey } from './heap-state.ts'
import { type CurrentKey, KeyEntry, type KeyedSnapshotPart } from './key-entry.ts'
import { type KeyIndex, keyIndexOf } from './key-index.ts'
import type { KeyedSnapshot, StateSchema } from './snapshot.ts'
import type { AggregatingState, ListState, MapState, ReducingState, State, ValueState } from './state.ts'
import { TtlCleanup } from './ttl-cleanup.ts'
import { createTtlState, Ttl, ttlDescriptor } from './ttl-state.ts'
import { isUntyped, mayBeTyped } from './typed-later.ts'

/**
 * Keyed state of one operator subtask on the JS heap.
 *
 * 1. `register` every declared state and `registerPart` every timer queue, always in the same order: positions are in the bytes.
 * 2. `restore` once, before the first key.
 * 3. `setCurrentKey` before every call of a user's function: one Map lookup finds the key's entry; after that each state is one
 *    array index. Nothing is allocated until a key's first write.
 * 4. `snapshot` between two rows.
 *
 * Layout: key -> entry -> one slot a state (-> namespace). An entry whose last slot is cleared is dropped, so that expired keys cost
 * nothing. Key groups are only computed for snapshots and kept with the entry. Values are held by reference.
 */
export class KeyedStateBackend implements CurrentKey {
  /** Name of the operator, for messages. */
  readonly owner: string
  readonly keyType: TypeInformation
  readonly maxParallelism: number
  private readonly firstKeyGroup: number
  private readonly lastKeyGroup: number
  private readonly entriesByIndex = new Map<unknown, KeyEntry>()
  private readonly indexOf: KeyIndex
  private readonly nowMs: () => number
  /** `seen` is what functions get: the state itself, or the one above it that lets values expire. */
  private readonly states = new Map<string, { readonly descriptor: StateDescriptor; readonly state: HeapState; readonly seen: State }>()
  private readonly ofKey = new Map<StateDescriptor, State>()
  private readonly ofNamespace = new Map<StateDescriptor, State>()
  /** Of states whose expired values are to be in no snapshot. */
  private readonly snapshotCleanups: TtlCleanup[] = []
  /** Steps of clean-ups that every record makes; undefined = none. */
  private onRecord: (() => void) | undefined = undefined
  private readonly parts: KeyedSnapshotPart[] = []
  private slotCount = 0
  private keySet = false
  private key: unknown = undefined
  private index: unknown = undefined
  /** Of the current key; undefined = it has no state yet. Read by `HeapState` on every access. */
  entry: KeyEntry | undefined = undefined

  constructor(options: KeyedStateBackendOptions) {
    this.owner = options.owner
    this.keyType = options.keyType
    this.maxParallelism = options.maxParallelism
    this.firstKeyGroup = options.firstKeyGroup ?? 0
    this.lastKeyGroup = options.lastKeyGroup ?? options.maxParallelism - 1
    this.indexOf = keyIndexOf(options.keyType)
    this.nowMs = options.nowMs ?? noClock
  }

  /** `namespaceType` undefined = the state belongs to the key alone; else `setNamespace` on the answer before each access. */
  register(descriptor: StateDescriptor, namespaceType?: TypeInformation): HeapState {
    const ttl = descriptor.ttl === undefined ? undefined : new Ttl(descriptor.ttl, this.nowMs)
    const stored = ttl === undefined ? descriptor : ttlDescriptor(descriptor, ttl)
    const schema = schemaOf(stored, namespaceType)
    const id = schemaId(schema)
    const present = this.states.get(id)
    if (present !== undefined) {
      if (present.descriptor !== descriptor && describeState(present.descriptor) !== describeState(descriptor))
        throw new FlinkError(
          'INVALID_PROGRAM',
          `operator ${this.owner}: state ${descriptor.name} is declared both as ${describeState(present.descriptor)} and as ${describeState(descriptor)}`,
        )
      return present.state
    }
    assert(this.entriesByIndex.size === 0, 'states are registered before the first key has state')
    const state = createHeapState(this, stored, namespaceType, schema, this.slotCount++)
    this.states.set(id, { descriptor, state, seen: ttl === undefined ? state : this.expiring(descriptor, state, ttl) })
    this.parts.push(state)
    return state
  }

  private expiring(descriptor: StateDescriptor, state: HeapState, ttl: Ttl): State {
    const seen = createTtlState(descriptor, state, ttl)
    const { incrementalCleanup: incremental, cleanupInFullSnapshot = false } = descriptor.ttl ?? {}
    const cleanup = new TtlCleanup(this, seen, run => state.forEachNamespace(run), incremental?.keysPerStep ?? 0)
    if (cleanupInFullSnapshot) this.snapshotCleanups.push(cleanup)
    if (incremental === undefined) return seen
    ttl.onAccess = () => cleanup.step()
    if (incremental.everyRecord) {
      const others = this.onRecord
      this.onRecord = () => {
        others?.()
        cleanup.step()
      }
    }
    return seen
  }

  registerPart(part: KeyedSnapshotPart): void {
    assert(!this.parts.some(other => schemaId(other.schema) === schemaId(part.schema)), `state ${part.schema.name} is registered once`)
    this.parts.push(part)
  }

  setCurrentKey(key: unknown): void {
    const index = this.indexOf(key)
    this.key = key
    this.index = index
    this.keySet = true
    this.entry = this.entriesByIndex.get(index)
    if (this.onRecord !== undefined) this.onRecord()
  }

  visit(entry: KeyEntry, run: () => void): void {
    const { key, index, keySet } = this
    this.key = entry.key
    this.index = entry.index
    this.keySet = true
    this.entry = entry
    run()
    this.key = key
    this.index = index
    this.keySet = keySet
    this.entry = this.entriesByIndex.get(index)
  }

  /** For a row that has no key: it must not meet the state of the row before it. */
  unsetCurrentKey(): void {
    this.key = undefined
    this.index = undefined
    this.keySet = false
    this.entry = undefined
  }

  get currentKey(): unknown {
    if (!this.keySet) throw this.noKey()
    return this.key
  }

  /** Entry of the current key, made when it is the key's first write. */
  entryForWrite(): KeyEntry {
    if (this.entry !== undefined) return this.entry
    if (!this.keySet) throw this.noKey()
    const entry = new KeyEntry(this.key, this.index, this.slotCount)
    this.entriesByIndex.set(this.index, entry)
    this.entry = entry
    return entry
  }

  /** A read before any key was set is the user's mistake (state used in `open`). */
  assertKeySet(): void {
    if (!this.keySet) throw this.noKey()
  }

  drop(entry: KeyEntry): void {
    this.entriesByIndex.delete(entry.index)
    if (this.entry === entry) this.entry = undefined
  }

  get keyCount(): number {
    return this.entriesByIndex.size
  }

  /** Every key that has state, in order of first write; stays valid while keys are dropped. */
  keys(): IterableIterator<KeyEntry> {
    return this.entriesByIndex.values()
  }

  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T> {
    return this.declared(descriptor as StateDescriptor) as unknown as ValueState<T>
  }

  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.declared(descriptor as StateDescriptor) as unknown as ListState<T>
  }

  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    return this.declared(descriptor as StateDescriptor) as unknown as MapState<K, V>
  }

  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): ReducingState<T> {
    return this.declared(descriptor as StateDescriptor) as unknown as ReducingState<T>
  }

  getAggregatingState<IN, ACC, OUT>(descriptor: AggregatingStateDescriptor<IN, ACC, OUT>): AggregatingState<IN, OUT> {
    return this.declared(descriptor as StateDescriptor) as unknown as AggregatingState<IN, OUT>
  }

  /** The registered state that a descriptor names; `namespaceType` as it was registered with. */
  declared(descriptor: StateDescriptor, namespaceType?: TypeInformation): State {
    // Functions may ask for a state on every record or window.
    const cache = namespaceType === undefined ? this.ofKey : this.ofNamespace
    const cached = cache.get(descriptor)
    if (cached !== undefined) return cached
    const present = this.states.get(schemaId(schemaOf(descriptor, namespaceType)))
    if (present === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.owner}: state ${descriptor.name} is not declared; make its descriptor a field of the function object, so that the graph knows the state without running`,
      )
    if (present.descriptor !== descriptor && describeState(present.descriptor) !== describeState(descriptor))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.owner}: state ${descriptor.name} is declared as ${describeState(present.descriptor)} and asked for as ${describeState(descriptor)}`,
      )
    cache.set(descriptor, present.seen)
    return present.seen
  }

  snapshot(): KeyedSnapshot | undefined {
    for (const cleanup of this.snapshotCleanups) cleanup.all()
    const writers = new Map<number, ByteWriter>()
    const serializer = this.keyType.serializer
    for (let i = 0; i < this.parts.length; i++) {
      const part = this.parts[i] as KeyedSnapshotPart
      try {
        part.snapshotTo((key, keyGroup) => {
          const group = keyGroup ?? this.keyGroupOfEntry(key)
          let writer = writers.get(group)
          if (writer === undefined) writers.set(group, (writer = new ByteWriter(256)))
          writer.varint(i)
          serializer.write(key, writer)
          return writer
        })
      } catch (error) {
        // A value that its type cannot encode: the codec knows the path inside the value, not whose it is.
        throw error instanceof FlinkError
          ? new FlinkError(error.code, `operator ${this.owner}: state ${part.schema.name}: ${error.message}`, error.detail, error)
          : error
      }
    }
    if (this.parts.length === 0) return undefined
    const keyGroups = new Map<number, Uint8Array>()
    for (const group of [...writers.keys()].sort((a, b) => a - b)) keyGroups.set(group, (writers.get(group) as ByteWriter).copy())
    return { keyType: this.keyType.json, schemas: this.parts.map(part => part.schema), keyGroups }
  }

  /** From one snapshot or, after rescaling, several; key groups of other subtasks are left out. */
  restore(snapshots: readonly KeyedSnapshot[]): void {
    assert(this.entriesByIndex.size === 0, 'state is restored before the first record')
    for (const snapshot of snapshots) {
      this.checkKeyType(snapshot)
      const parts = snapshot.schemas.map(schema => this.partFor(schema))
      for (const [group, bytes] of snapshot.keyGroups)
        if (group >= this.firstKeyGroup && group <= this.lastKeyGroup) this.restoreKeyGroup(bytes, parts)
    }
    this.keySet = false
    this.entry = undefined
  }

  keyGroupOf(key: unknown): number {
    return keyGroupOf(this.keyType, key, this.maxParallelism)
  }

  private noKey(): FlinkError {
    return new FlinkError(
      'INVALID_PROGRAM',
      `operator ${this.owner}: no key is set; keyed state can be used only while a record of a keyed stream or a timer is processed, not in open, close or processBroadcastElement`,
    )
  }

  private keyGroupOfEntry(key: unknown): number {
    const entry = this.entriesByIndex.get(this.indexOf(key))
    if (entry === undefined) return this.keyGroupOf(key)
    if (entry.keyGroup < 0) entry.keyGroup = this.keyGroupOf(entry.key)
    return entry.keyGroup
  }

  private restoreKeyGroup(bytes: Uint8Array, parts: readonly KeyedSnapshotPart[]): void {
    const input = new ByteReader(bytes)
    while (input.remaining > 0) {
      const part = parts[input.varint()]
      if (part === undefined) throw new FlinkError('CORRUPT_FRAME', `operator ${this.owner}: keyed state names a state that its schemas do not have`)
      const key = this.keyType.serializer.read(input)
      this.setCurrentKey(key)
      try {
        part.restoreEntry(key, input)
      } catch (error) {
        throw error instanceof UnsupportedValueError ? this.notTyped(part.schema.name, key, error) : error
      }
    }
  }

  private checkKeyType(snapshot: KeyedSnapshot): void {
    const saved = canonicalJson(snapshot.keyType as TypeJsonObject)
    const own = canonicalJson(this.keyType.json as TypeJsonObject)
    if (saved !== own) throw new FlinkError('INVALID_PROGRAM', `operator ${this.owner}: its keys are ${own}, the keys in the snapshot are ${saved}`)
  }

  private partFor(schema: StateSchema): KeyedSnapshotPart {
    const part = this.parts.find(candidate => schemaId(candidate.schema) === schemaId(schema))
    // Dropping it silently would lose state; `state plan` will let the user say so.
    if (part === undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.owner}: the snapshot has the state ${schema.name} (${schema.kind}), which is not declared any more`,
      )
    const same = canonicalJson(part.schema.type as TypeJsonObject) === canonicalJson(schema.type as TypeJsonObject)
    if (part.schema.kind !== schema.kind || !(same || (part.readAs !== undefined && mayBeTyped(schema.type, part.schema.type))))
      throw new FlinkError(
        'INVALID_PROGRAM',
        `operator ${this.owner}: state ${schema.name} is declared as ${part.schema.kind} of ${canonicalJson(part.schema.type as TypeJsonObject)}, the snapshot has ${schema.kind} of ${canonicalJson(schema.type as TypeJsonObject)}${ttlHint(part.schema.type, schema.type)}`,
      )
    part.readAs?.(schema.type)
    return part
  }

  private notTyped(name: string, key: unknown, error: UnsupportedValueError): FlinkError {
    return new FlinkError(
      'INVALID_PROGRAM',
      `operator ${this.owner}: state ${name} has been given a type since the snapshot, and what the snapshot has of key ${shownKey(key)} is not of it: ${error.message}`,
      error.detail,
      error,
    )
  }
}

export interface KeyedStateBackendOptions {
  /** Name of the operator, for messages. */
  readonly owner: string
  readonly keyType: TypeInformation
  readonly maxParallelism: number
  /** Inclusive; default: all key groups. */
  readonly firstKeyGroup?: number
  readonly lastKeyGroup?: number
  /** The clock of states with time-to-live. */
  readonly nowMs?: () => number
}

function noClock(): number {
  throw new AssertionError('a backend of states with time-to-live has a clock')
}

const noNamespace = { kind: 'VOID' } as const

function schemaOf(descriptor: StateDescriptor, namespaceType: TypeInformation | undefined): StateSchema {
  const type = storedType(descriptor)
  const schema: StateSchema = { name: descriptor.name, kind: descriptor.kind, type, namespace: namespaceType?.json ?? noNamespace }
  return isUntyped(type) ? { ...schema, untyped: true } : schema
}

function storedType(descriptor: StateDescriptor): TypeJson {
  if (descriptor.kind === 'map') return { kind: 'MAP', key: descriptor.keyType.json, value: descriptor.valueType.json }
  return descriptor.kind === 'list' ? { kind: 'LIST', element: descriptor.type.json } : descriptor.type.json
}

/** Values with and without the time of their last access are two types, as in Flink. */
function ttlHint(declared: TypeJson, saved: TypeJson): string {
  if (expires(declared) === expires(saved)) return ''
  return `; time-to-live was turned ${expires(declared) ? 'on' : 'off'}, which state that exists does not allow: give the state another name`
}

function expires(type: TypeJson): boolean {
  const values = type.kind === 'LIST' ? type.element : type.kind === 'MAP' ? type.value : type
  return values.kind === 'TTL'
}

/** A state of a window and one of the key may share a name, hence the namespace. */
function schemaId(schema: StateSchema): string {
  return `${canonicalJson(schema.namespace as TypeJsonObject)} ${schema.name}`
}
