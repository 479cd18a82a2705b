import { AssertionError } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'
import { ttlType } from '../serde/types.ts'
import type {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  StateDescriptor,
  ValueStateDescriptor,
} from './descriptors.ts'
import { describeState } from './descriptors.ts'
import { createHeapState, type HeapState } from './heap-state.ts'
import { HeapTable, type HeapTableOptions } from './heap-table.ts'
import type { KeyEntry } from './key-entry.ts'
import type { KeyTable } from './key-table.ts'
import type { KeyedPart } from './keyed-part.ts'
import { KeyedSnapshots, type KeyedSnapshotsOptions, schemaId } from './keyed-snapshots.ts'
import type { OwnStateBackend, StateStore } from './own-backend.ts'
import type { StateSchema } from './snapshot.ts'
import type { AggregatingState, ListState, MapState, ReducingState, State, ValueState } from './state.ts'
import { StoredTable } from './stored-table.ts'
import { TtlCleanup } from './ttl-cleanup.ts'
import { createTtlState, Ttl, ttlDescriptor } from './ttl-state.ts'
import { isUntyped } from './typed-later.ts'

/**
 * Keyed state of one operator subtask: on the JS heap, or in a store of somebody's own (own-backend.ts).
 *
 * 1. `register` every declared state and `registerPart` every timer queue, always in the same order: positions are in the bytes.
 * 2. `snapshots.restore` once, before the first key.
 * 3. `setCurrentKey` before every call of a user's function: one Map lookup finds the entry of a hot key; after that each state is one
 *    array index. Nothing is allocated until a key's first write.
 * 4. `snapshots.snapshot` between two rows, and what else keyed-snapshots.ts asks for.
 *
 * A value that is changed in place and not written back is seen by whoever reads it next only as long as its key is hot: the rows of the others are bytes, as
 * they were when it was last written. A checkpoint may have it as it was before or after (docs/checkpoints.md).
 */
export class KeyedStateBackend {
  /** Name of the operator, for messages. */
  readonly owner: string
  readonly keyType: TypeInformation
  readonly snapshots: KeyedSnapshots
  private readonly table: KeyTable
  private readonly nowMs: () => number
  /** `seen` is what functions get: the state itself, or the one above it that lets values expire. */
  private readonly states = new Map<string, { readonly descriptor: StateDescriptor; readonly state: HeapState; readonly seen: State }>()
  private readonly ofKey = new Map<StateDescriptor, State>()
  private readonly ofNamespace = new Map<StateDescriptor, State>()

  constructor(options: KeyedStateBackendOptions) {
    this.owner = options.owner
    this.keyType = options.keyType
    this.nowMs = options.nowMs ?? noClock
    this.table = options.own === undefined ? new HeapTable(options.owner, options.keyType, options) : new StoredTable({ ...options, ...options.own })
    this.snapshots = new KeyedSnapshots(options.own?.backend.can.incremental === false ? { ...options, limits: undefined } : options)
    this.snapshots.register(this.table)
  }

  /** `namespaceType` undefined = the state belongs to the key alone; else `setNamespace` on the answer before each access. */
  register(descriptor: StateDescriptor, namespaceType?: TypeInformation): HeapState {
    const schema = schemaOf(descriptor, namespaceType)
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
    const ttl = descriptor.ttl === undefined ? undefined : new Ttl(descriptor.ttl, this.nowMs)
    const stored = ttl === undefined ? descriptor : ttlDescriptor(descriptor, ttl)
    const state = createHeapState(this.table, stored, namespaceType, schema, this.states.size)
    this.states.set(id, { descriptor, state, seen: ttl === undefined ? state : this.expiring(descriptor, state, ttl) })
    this.table.add(state)
    return state
  }

  private expiring(descriptor: StateDescriptor, state: HeapState, ttl: Ttl): State {
    const seen = createTtlState(descriptor, state, ttl)
    const { incrementalCleanup: incremental, cleanupInFullSnapshot = false } = descriptor.ttl ?? {}
    const cleanup = new TtlCleanup(this.table, seen, run => state.forEachNamespace(run), incremental?.keysPerStep ?? 0)
    if (cleanupInFullSnapshot) this.table.snapshotCleanups.push(cleanup)
    if (incremental === undefined) return seen
    ttl.onAccess = () => cleanup.step()
    if (incremental.everyRecord) this.table.recordCleanups.push(cleanup)
    return seen
  }

  /** Behind it nothing is read or written any more. */
  close(): void {
    this.table.close?.()
  }

  registerPart(part: KeyedPart): void {
    this.snapshots.register(part)
  }

  setCurrentKey(key: unknown): void {
    this.table.setCurrentKey(key)
  }

  /** For a row that has no key: it must not meet the state of the row before it. */
  unsetCurrentKey(): void {
    this.table.unsetCurrentKey()
  }

  /** Runs with this key as the current one; the one before is current again afterwards. */
  visit(entry: KeyEntry, run: () => void): void {
    this.table.visit(entry, run)
  }

  get currentKey(): unknown {
    return this.table.currentKey
  }

  get keyCount(): number {
    return this.table.keyCount
  }

  /** Each once; stays valid while keys come and go. Some may be empty. */
  keys(): IterableIterator<KeyEntry> {
    return this.table.keys()
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
}

export interface KeyedStateBackendOptions extends KeyedSnapshotsOptions, HeapTableOptions {
  /** The clock of states with time-to-live. */
  readonly nowMs?: () => number
  /** Where its rows are instead of on the heap. */
  readonly own?: { readonly backend: OwnStateBackend; readonly store: StateStore } | undefined
}

function noClock(): number {
  throw new AssertionError('a backend of states with time-to-live has a clock')
}

const noNamespace = { kind: 'VOID' } as const

/** How a state stands in snapshots. */
export function schemaOf(descriptor: StateDescriptor, namespaceType?: TypeInformation): StateSchema {
  const type = storedType(descriptor)
  const schema: StateSchema = { name: descriptor.name, kind: descriptor.kind, type, namespace: namespaceType?.json ?? noNamespace }
  return isUntyped(type) ? { ...schema, untyped: true } : schema
}

function storedType(descriptor: StateDescriptor): TypeJson {
  const held = (type: TypeInformation): TypeJson => (descriptor.ttl === undefined ? type : ttlType(type)).json
  if (descriptor.kind === 'map') return { kind: 'MAP', key: descriptor.keyType.json, value: held(descriptor.valueType) }
  return descriptor.kind === 'list' ? { kind: 'LIST', element: held(descriptor.type) } : held(descriptor.type)
}
