/**
 * What server-side apply makes of an object: pure, on plain JSON. Ownership is known as what each manager applied last. Maps are merged field by field; lists are
 * values as a whole, as they are in a CRD that says nothing else, but for finalizers and owner references, which are sets.
 */
type Json = unknown
type JsonMap = Readonly<Record<string, Json>>

/** `before` is what the manager applied last, `others` what each of the others did. */
export function applied(current: JsonMap, next: JsonMap, before: JsonMap | undefined, others: readonly JsonMap[]): JsonMap {
  const kept = before === undefined ? current : without(current, before, next, others)
  return merged(kept, next, '') as JsonMap
}

/** Fields that were applied, are not named any more, and that nobody else applies. */
function without(current: JsonMap, before: JsonMap, next: JsonMap, others: readonly Json[]): JsonMap {
  const kept: Record<string, Json> = {}
  for (const [key, value] of Object.entries(current)) {
    const owned = before[key]
    const wanted = next[key]
    const otherOwners = others.flatMap(other => (isMap(other) && other[key] !== undefined ? [other[key]] : []))
    if (owned === undefined) kept[key] = value
    else if (isMap(value) && isMap(owned)) {
      const inner = without(value, owned, isMap(wanted) ? wanted : {}, otherOwners)
      if (Object.keys(inner).length > 0 || wanted !== undefined || otherOwners.length > 0) kept[key] = inner
    } else if (wanted !== undefined || otherOwners.length > 0) kept[key] = value
  }
  return kept
}

function merged(current: Json, next: Json, path: string): Json {
  if (path === '.metadata.finalizers' && Array.isArray(current) && Array.isArray(next)) return [...new Set([...current, ...next])]
  if (path === '.metadata.ownerReferences' && Array.isArray(current) && Array.isArray(next)) {
    const uids = new Set(next.map(owner => (owner as { readonly uid?: string }).uid))
    return [...current.filter(owner => !uids.has((owner as { readonly uid?: string }).uid)), ...next]
  }
  if (!isMap(next)) return next
  const base = isMap(current) ? current : {}
  const fields = Object.entries(next).map(([key, value]) => [key, merged(base[key], value, `${path}.${key}`)])
  return { ...base, ...Object.fromEntries(fields) }
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

function isMap(value: Json): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
