import { ByteReader, ByteWriter } from '../common/bytes.ts'
import { canonicalJson } from '../common/json.ts'
import type { TypeInformation, TypeJson, TypeJsonObject, TypeSerializer } from '../serde/type-information.ts'
import { typeFromJson } from '../serde/types.ts'
import { describeKind, UnsupportedValueError } from '../serde/unsupported-value.ts'

/**
 * State whose values had no declared type when they were saved, and have one now. Untyped values are stored self-describing, so they can be read; whether
 * each is of the type that was declared since is found out while the state is restored, before the job runs.
 */

/** Some values of the type say themselves what they are. */
export function isUntyped(type: TypeJson): boolean {
  return type.kind === 'GENERIC' || partsOf(type).some(isUntyped)
}

/** The two are the same but where nothing was declared. Time-to-live is nothing that a value says of itself. */
export function mayBeTyped(saved: TypeJson, declared: TypeJson): boolean {
  if (saved.kind === 'GENERIC') return declared.kind !== 'TTL'
  const [before, now] = [partsOf(saved), partsOf(declared)]
  if (before.length === 0 || saved.kind !== declared.kind || before.length !== now.length || namesOf(saved) !== namesOf(declared))
    return canonicalJson(saved as TypeJsonObject) === canonicalJson(declared as TypeJsonObject)
  return before.every((part, i) => mayBeTyped(part, now[i] as TypeJson))
}

/** Reads values of the type `saved`, each of which has to be one of the declared type: nothing of it may get lost. */
export function readerOf(saved: TypeJson, declared: TypeInformation): TypeSerializer<unknown>['read'] {
  const { serializer } = declared
  if (canonicalJson(saved as TypeJsonObject) === canonicalJson(declared.json as TypeJsonObject)) return input => serializer.read(input)
  const before = typeFromJson(saved).serializer
  return (input: ByteReader) => {
    const value = before.read(input)
    const out = new ByteWriter(64)
    serializer.write(value, out)
    const typed = serializer.read(new ByteReader(out.subarray()))
    if (!sameValue(value, typed)) throw new UnsupportedValueError(`is no ${declared}: of ${describeKind(value)} something would get lost`)
    return typed
  }
}

function partsOf(type: TypeJson): readonly TypeJson[] {
  switch (type.kind) {
    case 'TUPLE':
      return type.fields
    case 'ROW':
      return type.fields.map(field => field.type)
    case 'LIST':
      return [type.element]
    case 'MAP':
      return [type.key, type.value]
    case 'TTL':
      return [type.value]
    default:
      return []
  }
}

function namesOf(type: TypeJson): string {
  return type.kind === 'ROW' ? JSON.stringify(type.fields.map(({ name }) => name)) : ''
}

/** Null, undefined and a field that is not there are one; so are 0 and -0, which Java's integers do not tell apart. */
function sameValue(a: unknown, b: unknown): boolean {
  if (a === b || Object.is(a, b)) return true
  if (a === null || a === undefined) return b === null || b === undefined
  if (typeof a !== 'object' || typeof b !== 'object' || b === null) return false
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && Object.is(a.getTime(), b.getTime())
  if (a instanceof Map || b instanceof Map) return a instanceof Map && b instanceof Map && sameValue([...a], [...b])
  if (Array.isArray(a) || a instanceof Uint8Array) return sameList(a, b as ArrayLike<unknown>)
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  for (const key of keys) if (!sameValue((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])) return false
  return true
}

function sameList(a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!sameValue(a[i], b[i])) return false
  return true
}
