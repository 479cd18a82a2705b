import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
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
import { HeapTable } from './heap-table.ts'
import type { KeyEntry } from './key-entry.ts'
import type { KeyedPart } from './keyed-part.ts'
import { KeyedSnapshots, type KeyedSnapshotsOptions, schemaId } from './keyed-snapshots.ts'
import type { StateSchema } from './snapshot.ts'
import type { AggregatingState, ListState, MapState, ReducingState, ValueState } from './state.ts'

/**
 * Keyed state of one operator subtask on the JS heap.
 *
 * 1. `register` every declared state and `registerPart` every timer queue, always in the same order: positions are in the bytes.
 * 2. `snapshots.restore` once, before the first key.
 * 3. `setCurrentKey` before every call of a user's function: one Map lookup finds the key's entry; after that each state is one
 *    array index. Nothing is allocated until a key's first write.
 * 4. `snapshots.snapshot` between two rows, and what else keyed-snapshots.ts asks for.
 *
 * Key groups are only computed for snapshots and kept with the entry. Values are held by reference: a value that is changed in place and not written back is
 * seen by whoever reads it next, and a checkpoint may have it as it was before (docs/checkpoints.md).
 */
export class KeyedStateBackend {
  /** Name of the operator, for messages. */
  readonly owner: string
  readonly keyType: TypeInformation
  readonly snapshots: KeyedSnapshots
  private readonly table: HeapTable
  private readonly states = new Map<string, { readonly descriptor: StateDescriptor; readonly state: HeapState }>()
  private readonly ofKey = new Map<StateDescriptor, HeapState>()
  private readonly ofNamespace = new Map<StateDescriptor, HeapState>()

  constructor(options: KeyedSnapshotsOptions) {
    this.owner = options.owner
    this.keyType = options.keyType
    this.table = new HeapTable(options.owner, options.keyType)
    this.snapshots = new KeyedSnapshots(options)
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
    const state = createHeapState(this.table, descriptor, namespaceType, schema, this.states.size)
    this.states.set(id, { descriptor, state })
    this.table.add(state)
    return state
  }

  registerPart(part: KeyedPart): void {
    this.snapshots.register(part)
  }

  setCurrentKey(key: unknown): void {
    this.table.setCurrentKey(key)
  }

  get currentKey(): unknown {
    return this.table.currentKey
  }

  get keyCount(): number {
    return this.table.keyCount
  }

  /** In order of first write; stays valid while keys come and go. Some may be empty. */
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
  declared(descriptor: StateDescriptor, namespaceType?: TypeInformation): HeapState {
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
    cache.set(descriptor, present.state)
    return present.state
  }
}

const noNamespace = { kind: 'VOID' } as const

/** How a state stands in snapshots. */
export function schemaOf(descriptor: StateDescriptor, namespaceType?: TypeInformation): StateSchema {
  const namespace = namespaceType?.json ?? noNamespace
  switch (descriptor.kind) {
    case 'map':
      return { name: descriptor.name, kind: 'map', type: { kind: 'MAP', key: descriptor.keyType.json, value: descriptor.valueType.json }, namespace }
    case 'list':
      return { name: descriptor.name, kind: 'list', type: { kind: 'LIST', element: descriptor.type.json }, namespace }
    default:
      return { name: descriptor.name, kind: descriptor.kind, type: descriptor.type.json, namespace }
  }
}
