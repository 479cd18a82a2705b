import { z } from 'zod'

/**
 * What the schemas of the three kinds are made of. The text given as `error` is what a problem shows after "expected"; `meta` goes into the CRD beside the type.
 * Texts, lists and maps have a largest size, for from it the API server estimates what a CEL rule may cost.
 */
export const API_GROUP = 'millrace.dev'
export const API_VERSION = 'millrace.dev/v1alpha1'
export const DEFAULT_NAMESPACE = 'default'

/** `true` ends all waiting of a deletion. */
export const FORCE_DELETE_ANNOTATION = `${API_GROUP}/force-delete`

/** A program may be as large as an object of etcd lets it be. */
const PROGRAM_MAX = 1024 * 1024
const TEXT_MAX = 4096
const LIST_MAX = 256
const MAP_MAX = 256
const INT_MAX = 2 ** 31 - 1

export const expected = (text: string) => ({ error: text })

const someText = 'a text that is not empty'
export const text = z.string(expected('a text')).max(TEXT_MAX, expected(`a text of at most ${TEXT_MAX} characters`))
export const nonEmptyText = z
  .string(expected(someText))
  .min(1, expected(someText))
  .max(TEXT_MAX, expected(`a text of at most ${TEXT_MAX} characters`))
export const programText = z.string(expected(someText)).min(1, expected(someText)).max(PROGRAM_MAX, expected('a text of at most 1 MiB'))
export const yesOrNo = z.boolean(expected('true or false'))
export const textMap = z.record(text, text, expected('a map of texts')).meta({ maxProperties: MAP_MAX })

export function wholeNumber(min: number, max = INT_MAX) {
  const message = expected(`a whole number from ${min}${max === INT_MAX ? '' : ` to ${max}`}`)
  return z.number(message).int(message).min(min, message).max(max, message).meta({ format: 'int32' })
}

export function number(min: number, max?: number) {
  const message = expected(max === undefined ? `a number from ${min}` : `a number from ${min} to ${max}`)
  const from = z.number(message).min(min, message)
  return max === undefined ? from : from.max(max, message)
}

export function oneOf<const Values extends readonly [string, ...string[]]>(...values: Values) {
  const last = values.at(-1) as string
  return z.enum(values, expected(values.length === 1 ? last : `${values.slice(0, -1).join(', ')} or ${last}`))
}

export function listOf<T extends z.ZodType>(item: T, what: string) {
  return z.array(item, expected(what)).max(LIST_MAX, expected(`${what}, at most ${LIST_MAX}`))
}

export function map<Shape extends z.ZodRawShape>(shape: Shape, what = 'a map') {
  return z.strictObject(shape, expected(what))
}

const durationText = 'a duration, such as 500 ms, 10 s, 5 min or 1 h'
/** As Flink writes them. */
export const duration = z
  .string(expected(durationText))
  .max(32, expected(durationText))
  .regex(/^[0-9]+ ?(ms|s|sec|min|m|h|d)$/, expected(durationText))

/** What Kubernetes checks by itself, and has more fields than anybody should copy: taken as it is. */
export const foreign = (what: string) => z.looseObject({}, expected(what)).meta({ 'x-kubernetes-preserve-unknown-fields': true })

/** Options in Flink's keys, flat or nested. */
export const flinkConfiguration = foreign('a map of option keys to values')

const quantityText = 'a quantity of at least 0, such as 500m or 2Gi'
/** As apimachinery writes its own, without a sign: nothing that is reserved or allowed is less than nothing. */
const QUANTITY = /^(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$/
const QUANTITY_MAX = 32
const quantity = z
  .union(
    [z.string().max(QUANTITY_MAX, expected(quantityText)).regex(QUANTITY, expected(quantityText)), z.number().min(0, expected(quantityText))],
    expected(quantityText),
  )
  .meta({ 'x-kubernetes-int-or-string': true, pattern: QUANTITY.source, maxLength: QUANTITY_MAX })
const quantities = z.record(text, quantity, expected('a map of quantities')).meta({ maxProperties: 16 })
const inQuantities = (of: string, name: string) => `quantity(string(self.${of}[${name}]))`
export const resources = map(
  { requests: quantities.optional().describe('What is reserved.'), limits: quantities.optional().describe('What may be used.') },
  'a map with requests and limits',
).meta(
  rules(
    {
      rule: `!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || !${inQuantities('limits', 'name')}.isLessThan(${inQuantities('requests', 'name')}))`,
      message: 'a request must not be more than its limit',
      fieldPath: '.requests',
    },
    ...['requests', 'limits'].map(of => ({
      rule: `!has(self.${of}) || ['cpu', 'memory'].all(name, !(name in self.${of}) || ${inQuantities(of, 'name')}.isGreaterThan(quantity('0')))`,
      message: 'cpu and memory must be more than 0',
      fieldPath: `.${of}`,
    })),
  ),
)

const nameText = 'a name of up to 45 lower-case letters, digits and dashes that starts with a letter'
/** It becomes part of host names and labels, with room for what is appended. */
export const name = z
  .string(expected(nameText))
  .max(45, expected(nameText))
  .regex(/^[a-z]([-a-z0-9]*[a-z0-9])?$/, expected(nameText))

const namespaceText = 'the name of a namespace: up to 63 lower-case letters, digits and dashes'
const namespace = z
  .string(expected(namespaceText))
  .max(63, expected(namespaceText))
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, expected(namespaceText))

export const metadata = map(
  { name, namespace: namespace.default(DEFAULT_NAMESPACE), labels: textMap.optional(), annotations: textMap.optional() },
  'the map "metadata" with a name',
)

/** The processes of a cluster, and how pods of them look. */
export const imagePullPolicy = oneOf('Always', 'IfNotPresent', 'Never')
const podTemplate = foreign('a pod template').optional().describe('Merged into its pods, over the one for all.')
export const jobManager = map({
  replicas: wholeNumber(1, 16).default(1).describe('One leads, the others stand by for it; more than one needs high-availability.storageDir.'),
  resources: resources.optional().describe('CPU and memory.'),
  podTemplate,
})
export const taskManager = map({
  replicas: wholeNumber(1, 10_000).optional().describe('How many; default: as many as the slots that are needed ask for.'),
  slots: wholeNumber(1, 1024).optional().describe('Slots of each; default: taskmanager.numberOfTaskSlots, else 1.'),
  resources: resources.optional().describe('CPU and memory of each.'),
  podTemplate,
})
export const ingress = map({
  template: nonEmptyText.describe('Host and path; {{name}} and {{namespace}} are replaced.'),
  className: nonEmptyText.optional().describe('The ingress class.'),
  annotations: textMap.optional().describe('Of the Ingress.'),
  labels: textMap.optional().describe('Of the Ingress.'),
  tls: listOf(foreign('a map with hosts and secretName'), 'a list').optional().describe('As in an Ingress.'),
})

/** A rule between fields: CEL for the API server, and for us. `self` is the map that it is attached to. */
export interface Rule {
  readonly rule: string
  readonly message: string
  /** The field that a problem names, below the map. */
  readonly fieldPath?: string
}

export function rules(...all: readonly Rule[]) {
  return {
    'x-kubernetes-validations': all.map(({ rule, message, fieldPath }) => ({ rule, message, ...(fieldPath === undefined ? {} : { fieldPath }) })),
  }
}

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  /** When `status` changed: it answers "since when". */
  readonly lastTransitionTime: string
  readonly observedGeneration: number
}

const conditionText = z.string()
/** Statuses are written by us only; the schema says their shape to the API server. */
export const conditions = z
  .array(
    z.object({
      type: conditionText.max(316),
      status: z.enum(['True', 'False', 'Unknown']),
      reason: conditionText.max(1024),
      message: conditionText.max(32_768),
      lastTransitionTime: conditionText.meta({ format: 'date-time' }),
      observedGeneration: z.int().min(0).meta({ format: 'int64' }),
    }),
  )
  .max(32)
  .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })

/** What a schema yields, to be read only, with a field that may be absent rather than undefined. */
export type Fixed<T> = T extends readonly (infer Item)[]
  ? readonly Fixed<Item>[]
  : T extends object
    ? { readonly [Key in keyof T as undefined extends T[Key] ? never : Key]: Fixed<T[Key]> } & {
        readonly [Key in keyof T as undefined extends T[Key] ? Key : never]?: Fixed<Exclude<T[Key], undefined>>
      }
    : T

/** Of a status: what keeps processes from being there or staying up. */
export const processProblems = z
  .array(z.object({ process: z.string(), reason: z.string(), message: z.string() }))
  .max(100)
  .optional()
