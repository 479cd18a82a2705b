import { FlinkError, nearestName } from '../../runtime/common/errors.ts'
import { type Definition, definitions } from '../api/crd.ts'
import { API_GROUP, API_VERSION } from '../api/fields.ts'
import type { ResourceType } from '../kube/object-api.ts'
import { typeOf } from '../kube/resources.ts'

/** What `get`, `describe`, `annotate` and `delete` are given, as kubectl takes it: `flinkjobs`, `flinkjob name`, `fj/name`. */
export interface Selected {
  readonly definition: Definition
  readonly type: ResourceType
  /** Empty = all of the kind. */
  readonly names: readonly string[]
}

/** `flinkjob.millrace.dev/name`, as kubectl names objects in its answers. */
export function resourceName({ singular }: Definition, name: string): string {
  return `${singular}.${API_GROUP}/${name}`
}

/** In the order in which kinds are named first; `all` is every kind of ours. */
export function selectionOf(args: readonly string[]): readonly Selected[] {
  const [first, ...names] = args
  if (first === undefined) throw new FlinkError('INVALID_ARGUMENT', `no kind is named, expected ${expectedKinds}`)
  if (!first.includes('/'))
    return kindsOf(first).map(definition => ({ definition, type: typeOf({ apiVersion: API_VERSION, kind: definition.kind }), names }))
  const byKind = new Map<Definition, string[]>()
  for (const arg of args) {
    const [kind = '', name = '', ...more] = arg.split('/')
    const found = kindsOf(kind)
    const definition = found[0]
    if (definition === undefined || found.length > 1 || name === '' || more.length > 0) {
      throw new FlinkError('INVALID_ARGUMENT', `expected <kind>/<name>, got ${arg}`)
    }
    byKind.set(definition, [...(byKind.get(definition) ?? []), name])
  }
  return [...byKind].map(([definition, named]) => ({ definition, type: typeOf({ apiVersion: API_VERSION, kind: definition.kind }), names: named }))
}

const words = new Map<string, Definition>(
  definitions.flatMap(definition => {
    const { plural, singular, shortNames } = definition
    return [plural, singular, ...shortNames, `${plural}.${API_GROUP}`].map(word => [word, definition] as const)
  }),
)
const expectedKinds = `${definitions.map(({ plural, shortNames }) => `${plural} (${shortNames.join(', ')})`).join(', ')} or all`

function kindsOf(word: string): readonly Definition[] {
  const lower = word.toLowerCase()
  if (lower === 'all' || lower === 'millrace') return definitions
  const definition = words.get(lower)
  if (definition !== undefined) return [definition]
  const near = nearestName(lower, words.keys())
  throw new FlinkError(
    'INVALID_ARGUMENT',
    `there is no kind ${word}${near === undefined ? '' : `, did you mean ${near}?`}; expected ${expectedKinds}`,
  )
}
