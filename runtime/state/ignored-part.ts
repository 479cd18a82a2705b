import { FlinkError } from '../common/errors.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { typeFromJson } from '../serde/types.ts'
import { ListStateDescriptor, MapStateDescriptor, type StateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import { createHeapState } from './heap-state.ts'
import { HeapTable } from './heap-table.ts'
import type { KeyedPart } from './keyed-part.ts'
import type { StateSchema } from './snapshot.ts'

/** Reads past a state that is in the snapshot and is not taken up: its schema says how long each record is. */
export function ignoredPart(schema: StateSchema, keyType: TypeInformation): Pick<KeyedPart, 'restoreRecord'> {
  const namespaceType = schema.namespace.kind === 'VOID' ? undefined : typeFromJson(schema.namespace)
  if (schema.kind === 'timers') {
    return {
      restoreRecord: (_schema, _removes, _keyGroup, input) => {
        keyType.serializer.read(input)
        input.f64()
        namespaceType?.serializer.read(input)
      },
    }
  }
  const state = createHeapState(new HeapTable(schema.name, keyType, { maxParallelism: 1 }), descriptorOf(schema), namespaceType, schema, 0)
  return {
    restoreRecord: (_schema, removes, _keyGroup, input) => {
      keyType.serializer.read(input)
      if (!removes) state.readRow(input)
    },
  }
}

/** Of the same bytes: how values were combined does not matter any more. */
function descriptorOf({ name, kind, type }: StateSchema): StateDescriptor {
  const of = (json: StateSchema['type']): TypeInformation => typeFromJson(json)
  if (type.kind === 'LIST' && kind === 'list') return new ListStateDescriptor(name, of(type.element))
  if (type.kind === 'MAP' && kind === 'map') return new MapStateDescriptor(name, of(type.key), of(type.value))
  if (kind === 'list' || kind === 'map') throw new FlinkError('CORRUPT_CHECKPOINT', `state ${name} is a ${kind} of ${type.kind}`)
  return new ValueStateDescriptor(name, of(type))
}
