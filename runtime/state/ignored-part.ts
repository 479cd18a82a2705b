import { assert } from '../common/assert.ts'
import type { ByteReader } from '../common/bytes.ts'
import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { typeFromJson } from '../serde/types.ts'
import { ListStateDescriptor, MapStateDescriptor, type StateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import { createHeapState } from './heap-state.ts'
import { type CurrentKey, KeyEntry, type KeyedSnapshotPart } from './key-entry.ts'
import type { StateSchema } from './snapshot.ts'

/** Reads past a state that is in the snapshot and is not taken up: its schema says how long each entry is. */
export function ignoredPart(schema: StateSchema): KeyedSnapshotPart {
  const namespaceType = schema.namespace.kind === 'VOID' ? undefined : typeFromJson(schema.namespace)
  const snapshotTo = () => assert(false, 'what is not taken up is not written')
  if (schema.kind === 'timers') {
    const restoreEntry = (_key: unknown, input: ByteReader) => {
      input.f64()
      namespaceType?.serializer.read(input)
    }
    return { schema, snapshotTo, restoreEntry }
  }
  // Whatever is read goes to an entry that nobody looks at.
  const entry = new KeyEntry(undefined, undefined, 1)
  const nowhere: CurrentKey = {
    owner: schema.name,
    entry,
    entryForWrite: () => entry,
    assertKeySet() {},
    drop() {},
    keys: () => [].values(),
    keyGroupOf: () => 0,
  }
  const state = createHeapState(nowhere, descriptorOf(schema), namespaceType, schema, 0)
  return { schema, snapshotTo, restoreEntry: (key, input) => state.restoreEntry(key, input) }
}

/** Of the same bytes: how values were combined does not matter any more. */
function descriptorOf({ name, kind, type }: StateSchema): StateDescriptor {
  const of = (json: StateSchema['type']): TypeInformation => typeFromJson(json)
  if (type.kind === 'LIST' && kind === 'list') return new ListStateDescriptor(name, of(type.element))
  if (type.kind === 'MAP' && kind === 'map') return new MapStateDescriptor(name, of(type.key), of(type.value))
  if (kind === 'list' || kind === 'map') throw new FlinkError('CORRUPT_CHECKPOINT', `state ${name} is a ${kind} of ${type.kind}`)
  return new ValueStateDescriptor(name, of(type))
}
