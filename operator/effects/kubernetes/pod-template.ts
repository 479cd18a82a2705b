import type { PodTemplate } from '../../api/flink-job.ts'

/**
 * Pod templates merged over the pods that we make: pure. Maps are merged key by key, lists whose items have names by name, volume mounts by their path, and other lists
 * follow one another. A later value wins, so the order is ours, the common template, the one for the process.
 *
 * Our container is `main`: a template may add to it (env, mounts, a securityContext), and may not say what it runs. `templateProblems` says what a template may not.
 */
export const MAIN_CONTAINER = 'main'
export const INIT_CONTAINER = 'program'

/** Labels by which StatefulSets and Services find their pods, and volumes that what runs in them relies on. */
const reservedLabels: ReadonlySet<string> = new Set(['millrace.dev/job', 'app.kubernetes.io/component'])
const reservedVolumes: ReadonlySet<string> = new Set([
  'work',
  'temporary',
  'configuration',
  'token',
  'program',
  'log-level',
  'certificates',
  'account',
])

const elsewhere: Readonly<Record<string, string>> = {
  image: 'spec.image says it',
  imagePullPolicy: 'spec.imagePullPolicy says it',
  command: 'Millrace says what its container runs',
  args: 'Millrace says what its container runs',
  resources: 'spec.jobManager.resources and spec.taskManager.resources say it',
}

type Json = Readonly<Record<string, unknown>>

export interface TemplateProblem {
  /** Below the template. */
  readonly path: readonly (string | number)[]
  readonly message: string
}

export function templateProblems(template: PodTemplate): readonly TemplateProblem[] {
  const problems: TemplateProblem[] = []
  const labels = mapAt(mapAt(template, 'metadata'), 'labels')
  for (const label of reservedLabels)
    if (Object.hasOwn(labels, label)) problems.push({ path: ['metadata', 'labels', label], message: 'is refused: Millrace finds its pods by it' })
  const pod = mapAt(template, 'spec')
  for (const [list, ours] of [
    ['containers', MAIN_CONTAINER],
    ['initContainers', INIT_CONTAINER],
  ] as const)
    for (const [index, container] of listAt(pod, list).entries()) {
      const at = ['spec', list, index]
      if (typeof container['name'] !== 'string')
        problems.push({ path: at, message: `is refused: a container needs a name; that of Millrace is ${ours}` })
      if (container['name'] !== ours) continue
      for (const [field, why] of Object.entries(elsewhere))
        if (Object.hasOwn(container, field)) problems.push({ path: [...at, field], message: `is refused: ${why}` })
    }
  for (const [index, volume] of listAt(pod, 'volumes').entries())
    if (reservedVolumes.has(String(volume['name'])))
      problems.push({ path: ['spec', 'volumes', index, 'name'], message: `is refused: ${String(volume['name'])} is a volume of Millrace's` })
  for (const field of ['restartPolicy', 'serviceAccountName', 'hostNetwork'])
    if (Object.hasOwn(pod, field)) {
      const why = field === 'serviceAccountName' ? 'spec.serviceAccount says it' : 'Millrace says it'
      problems.push({ path: ['spec', field], message: `is refused: ${why}` })
    }
  return problems
}

/** Where a program finds its text and its packages, and what it reads while it is planned. */
const sharedFields = ['env', 'envFrom', 'volumeMounts', 'volumeDevices']

/** What a template gives our container it gives the one that bundles the program too: a volume with a module would be there when it is planned, and not when it is started. */
export function sharedWithProgram(template: PodTemplate): PodTemplate {
  const main = listAt(mapAt(template, 'spec'), 'containers').find(({ name }) => name === MAIN_CONTAINER) ?? {}
  const shared = Object.entries(main).filter(([field]) => sharedFields.includes(field))
  if (shared.length === 0) return template
  const program = { name: INIT_CONTAINER, ...Object.fromEntries(shared) }
  return merged({ spec: { initContainers: [program] } }, template) as PodTemplate
}

/** `over` wins. */
export function merged(under: unknown, over: unknown): unknown {
  if (isMap(under) && isMap(over)) {
    const keys = new Set([...Object.keys(under), ...Object.keys(over)])
    return Object.fromEntries([...keys].map(key => [key, Object.hasOwn(over, key) ? merged(under[key], over[key]) : under[key]]))
  }
  if (Array.isArray(under) && Array.isArray(over)) return mergedLists(under, over)
  return over
}

function mergedLists(under: readonly unknown[], over: readonly unknown[]): readonly unknown[] {
  const key = ['name', 'mountPath'].find(field =>
    [...under, ...over].every(item => isMap(item) && typeof item[field] === 'string' && isKey(field, item)),
  )
  if (key === undefined) return [...under, ...over]
  const nameOf = (item: unknown) => (item as Json)[key]
  const added = over.filter(item => !under.some(own => nameOf(own) === nameOf(item)))
  return [
    ...under.map(own => {
      const other = over.find(item => nameOf(item) === nameOf(own))
      return other === undefined ? own : merged(own, other)
    }),
    ...added,
  ]
}

/** A volume mount has the name of its volume, of which there may be several. */
function isKey(field: string, item: Json): boolean {
  return field === 'mountPath' || !Object.hasOwn(item, 'mountPath')
}

function mapAt(value: unknown, key: string): Json {
  const inner = isMap(value) ? value[key] : undefined
  return isMap(inner) ? inner : {}
}

function listAt(value: Json, key: string): readonly Json[] {
  const inner = value[key]
  return Array.isArray(inner) ? inner.map(item => (isMap(item) ? item : {})) : []
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
