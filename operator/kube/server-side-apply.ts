import { givenMetadata, type KubeObject } from './object-api.ts'

/**
 * What server-side apply makes of an object, and who owns which of its fields: pure, on plain JSON. Maps are merged field by field; lists are values as a whole, as they
 * are in a CRD that says nothing else, but for finalizers and owner references, which are sets.
 *
 * Who names a field owns it. A field that somebody else gives another value is theirs alone from then on; one that its last owner names no more is gone.
 */
type Json = unknown
type JsonMap = Readonly<Record<string, Json>>

/** Kubernetes' FieldsV1: `f:` a field of a map, `v:` an item of a set, `k:` one by its key. Nothing below = the value as a whole. */
export interface Fields {
  readonly [key: string]: Fields
}

/** As in `metadata.managedFields`. */
export interface Owner {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly fieldsType: 'FieldsV1'
  readonly fieldsV1: Fields
}

export type Owners = readonly Owner[]

const FINALIZERS = '.f:metadata.f:finalizers'
const OWNER_REFERENCES = '.f:metadata.f:ownerReferences'

/** `next` says all that `manager` wants of the object. */
export function applied(
  current: KubeObject,
  next: KubeObject,
  manager: string,
  owners: Owners,
): { readonly object: JsonMap; readonly owners: Owners } {
  const isOurs = (owner: Owner) => owner.operation === 'Apply' && owner.manager === manager
  const others = owners.filter(owner => !isOurs(owner))
  const named = fieldsOf(ownable(next), '')
  const owned = owners.find(isOurs)?.fieldsV1
  const fieldsOfOthers = others.map(({ fieldsV1 }) => fieldsV1)
  const kept = owned === undefined ? current : without(current, owned, named, fieldsOfOthers, '')
  // The apiVersion, at least, is nobody's.
  const object = merged(kept, next, '') as JsonMap
  const ours = isWhole(named) ? [] : [owner(manager, 'Apply', named)]
  return { object, owners: [...left(others, current, object), ...ours] }
}

/** Of an object that is written without apply: what differs belongs to the writer. */
export function changed(before: KubeObject | undefined, after: KubeObject, owners: Owners): Owners {
  const fields = before === undefined ? fieldsOf(ownable(after), '') : difference(ownable(before), ownable(after), '')
  const kept = before === undefined ? owners : left(owners, before, after)
  if (fields === undefined) return kept
  const earlier = kept.find(({ operation }) => operation === 'Update')?.fieldsV1 ?? {}
  return [...kept.filter(({ operation }) => operation !== 'Update'), owner('update', 'Update', union(earlier, fields))]
}

function owner(manager: string, operation: Owner['operation'], fieldsV1: Fields): Owner {
  return { manager, operation, fieldsType: 'FieldsV1', fieldsV1 }
}

/** What a server does not say of it by itself. */
function ownable({ apiVersion: _apiVersion, kind: _kind, status: _status, metadata, ...rest }: KubeObject): JsonMap {
  const { name: _name, namespace: _namespace, ...given } = givenMetadata(metadata)
  return Object.keys(given).length === 0 ? rest : { ...rest, metadata: given }
}

/** What is left of it without what was owned, is not named any more, and nobody else owns; undefined = nothing. */
function without(current: Json, owned: Fields, named: Fields | undefined, others: readonly Fields[], path: string): Json {
  const isWanted = named !== undefined || others.length > 0
  const inner = partsOf(current, path)
  if (inner === undefined || isWhole(owned)) return isWanted ? current : undefined
  const kept = new Map<string, Json>()
  for (const [key, value] of inner) {
    const fields = owned[key]
    const otherFields = others.flatMap(other => other[key] ?? [])
    const rest = fields === undefined ? value : without(value, fields, named?.[key], otherFields, `${path}.${key}`)
    if (rest !== undefined) kept.set(key, rest)
  }
  return kept.size === 0 && !isWanted ? undefined : assembled(current, kept)
}

function merged(current: Json, next: Json, path: string): Json {
  const parts = partsOf(next, path)
  if (parts === undefined) return next
  const all = new Map(Array.isArray(current) === Array.isArray(next) ? partsOf(current, path) : undefined)
  for (const [key, value] of parts) all.set(key, merged(all.get(key), value, `${path}.${key}`))
  return assembled(next, all)
}

/** What the owners of `before` still own: the values that are as they were. */
function left(owners: Owners, before: Json, after: Json): Owners {
  return owners.flatMap(each => {
    const fields = unchanged(each.fieldsV1, before, after, '')
    return fields === undefined ? [] : [{ ...each, fieldsV1: fields }]
  })
}

function unchanged(fields: Fields, before: Json, after: Json, path: string): Fields | undefined {
  if (isWhole(fields)) return after !== undefined && same(before, after) ? fields : undefined
  const [was, is] = [partsOf(before, path), partsOf(after, path)]
  const kept = Object.entries(fields).flatMap(([key, inner]) => {
    const rest = unchanged(inner, was?.get(key), is?.get(key), `${path}.${key}`)
    return rest === undefined ? [] : [[key, rest] as const]
  })
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** Fields that are new in `after`, or have another value there. */
function difference(before: Json, after: Json, path: string): Fields | undefined {
  if (after === undefined || same(before, after)) return undefined
  const [was, is] = [partsOf(before, path), partsOf(after, path)]
  if (was === undefined || is === undefined) return fieldsOf(after, path)
  const found = [...is].flatMap(([key, value]) => {
    const inner = difference(was.get(key), value, `${path}.${key}`)
    return inner === undefined ? [] : [[key, inner] as const]
  })
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

function fieldsOf(value: Json, path: string): Fields {
  return Object.fromEntries([...(partsOf(value, path) ?? [])].map(([key, inner]) => [key, fieldsOf(inner, `${path}.${key}`)]))
}

function union(a: Fields, b: Fields): Fields {
  const inner = Object.entries(b).map(([key, fields]) => [key, union(a[key] ?? {}, fields)] as const)
  return { ...a, ...Object.fromEntries(inner) }
}

/** What can be owned apart in it; undefined = it is one value. */
function partsOf(value: Json, path: string): ReadonlyMap<string, Json> | undefined {
  if (path === FINALIZERS && Array.isArray(value)) return new Map(value.map(item => [`v:${JSON.stringify(item)}`, item]))
  if (path === OWNER_REFERENCES && Array.isArray(value)) return new Map(value.map(item => [`k:${JSON.stringify({ uid: item.uid })}`, item]))
  return isMap(value) ? new Map(Object.entries(value).map(([key, inner]) => [`f:${key}`, inner])) : undefined
}

function assembled(like: Json, parts: ReadonlyMap<string, Json>): Json {
  if (Array.isArray(like)) return [...parts.values()]
  return Object.fromEntries([...parts].map(([key, value]) => [key.slice('f:'.length), value]))
}

function isWhole(fields: Fields): boolean {
  return Object.keys(fields).length === 0
}

/** RFC 7386: null removes a field. */
export function mergePatched(current: Json, patch: Json): Json {
  if (!isMap(patch)) return patch
  const result: Record<string, Json> = isMap(current) ? { ...current } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatched(result[key], value)
  }
  return result
}

/** A field that is undefined is none. */
export function same(a: Json, b: Json): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const [one, other] = [a as JsonMap, b as JsonMap]
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].every(key => same(one[key], other[key]))
}

function isMap(value: Json): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
