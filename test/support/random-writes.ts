import { KubeError, type KubeObject, type ObjectApi } from '../../operator/kube/object-api.ts'
import { configMaps, flinkJobs } from '../../operator/kube/resources.ts'
import type { Random } from '../../runtime/common/random.ts'

/**
 * One writer among several, at random: what each write answers, with all that two servers may differ in (uids, versions, times) written as what it is compared to. Two
 * servers that are asked by the same seed must give the same answers. Left out is whether a write that changes nothing counts a version: a real API server counts one
 * now and then, when it tidies up who owned a map that has gone.
 */
export class RandomWriter {
  private readonly api: ObjectApi
  private readonly random: Random
  private readonly prefix: string
  /** Of each name: every state that was seen, the newest last. */
  private readonly seen = new Map<string, KubeObject[]>()

  constructor(api: ObjectApi, random: Random, prefix: string) {
    this.api = api
    this.random = random
    this.prefix = prefix
  }

  /** What was asked, and what was answered. */
  async step(): Promise<string> {
    const object = this.random.nextInt(2) === 0 ? this.configMap() : this.job()
    const { name } = object.metadata
    const operation = this.operation(object)
    try {
      const answer = await operation.run()
      const states = this.seen.get(name) ?? []
      const isRemoved = answer === undefined
      const text = isRemoved ? 'done' : this.told(answer, states)
      this.seen.set(name, isRemoved ? states : [...states, answer])
      return `${operation.what}\n  ${text}`
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      return `${operation.what}\n  ${error.reason}`
    }
  }

  /** The objects as they are, after all. */
  async objects(): Promise<readonly string[]> {
    const found: string[] = []
    for (const [name, states] of this.seen) {
      const type = this.typeOf(name)
      const object = await this.api.get(type, 'default', name).catch((error: unknown) => {
        if (error instanceof KubeError && error.reason === 'NotFound') return undefined
        throw error
      })
      found.push(`${name}: ${object === undefined ? 'gone' : this.told(object, states)}`)
    }
    return found
  }

  private operation(object: KubeObject): { readonly what: string; readonly run: () => Promise<KubeObject | undefined> } {
    const { api, random } = this
    const states = this.seen.get(object.metadata.name) ?? []
    // Mostly the newest state that was seen, now and then an older one.
    const known = states[random.nextInt(5) === 0 ? random.nextInt(Math.max(1, states.length)) : states.length - 1]
    const manager = `manager-${random.nextInt(3)}`
    const which = random.nextInt(10)
    const text = JSON.stringify(object)
    if (known === undefined || which === 0) return { what: `create ${text}`, run: () => api.create(object) }
    if (which < 5) return { what: `apply ${text} as ${manager}`, run: () => api.apply(object, manager) }
    if (which < 7) {
      const change = this.metadataChange()
      return { what: `patch ${object.metadata.name} ${JSON.stringify(change)}`, run: () => api.patchMetadata(known, change) }
    }
    if (which === 7) {
      const status = { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [], error: `e${random.nextInt(2)}` }
      return { what: `status of ${object.metadata.name} ${status.error}`, run: () => api.updateStatus({ ...known, status }) }
    }
    if (which === 8) {
      const { uid, resourceVersion } = known.metadata
      const preconditions = random.nextInt(2) === 0 || uid === undefined || resourceVersion === undefined ? {} : { uid, resourceVersion }
      return {
        what: `delete ${object.metadata.name} ${Object.keys(preconditions)}`,
        run: async () => {
          await api.delete(this.typeOf(object.metadata.name), 'default', object.metadata.name, preconditions)
          return undefined
        },
      }
    }
    return { what: `get ${object.metadata.name}`, run: () => api.get(this.typeOf(object.metadata.name), 'default', object.metadata.name) }
  }

  private typeOf(name: string) {
    return name.startsWith(`${this.prefix}-map`) ? configMaps : flinkJobs
  }

  private configMap(): KubeObject {
    const data = this.entries('data')
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata: this.metadata('map'), ...(data === undefined ? {} : { data }) }
  }

  /**
   * What the schema would fill in is named, so that nobody has to; and one option always: of a map whose last field goes while its maker still owns the map, a real API
   * server makes a null, which the schema refuses.
   */
  private job(): KubeObject {
    const flinkConfiguration = { 'option-0': String(this.random.nextInt(3)), ...this.entries('option') }
    const job = { sql: `SELECT ${this.random.nextInt(3)}`, upgradeMode: 'stateless', state: 'running', fallback: 'none' }
    return {
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'FlinkJob',
      metadata: this.metadata('job'),
      spec: { job, deletionPolicy: 'Keep', deletionTimeout: '5 min', flinkConfiguration },
    }
  }

  private metadata(kind: string): KubeObject['metadata'] {
    const [labels, annotations, finalizers] = [this.entries('label'), this.entries('annotation'), this.finalizers()]
    return {
      name: `${this.prefix}-${kind}-${this.random.nextInt(2)}`,
      namespace: 'default',
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
      // Built-in kinds and those of CRDs differ in who owns an empty list; nobody of ours says one.
      ...(finalizers === undefined || finalizers.length === 0 ? {} : { finalizers }),
    }
  }

  private metadataChange() {
    const labels = Object.fromEntries(Object.entries(this.entries('label') ?? {}).map(([key, value]) => [key, value === '1' ? null : value]))
    const finalizers = this.finalizers()
    return { labels, ...(finalizers === undefined ? {} : { finalizers }) }
  }

  /** None, or some of three, with few values: different writers are to meet. */
  private entries(name: string): Record<string, string> | undefined {
    if (this.random.nextInt(3) === 0) return undefined
    const keys = [0, 1, 2].filter(() => this.random.nextInt(2) === 0)
    return keys.length === 0 ? undefined : Object.fromEntries(keys.map(key => [`${name}-${key}`, String(this.random.nextInt(3))]))
  }

  private finalizers(): readonly string[] | undefined {
    return this.random.nextInt(4) > 0 ? undefined : ['a', 'b'].filter(() => this.random.nextInt(2) === 0).map(name => `millrace.dev/${name}`)
  }

  private told({ metadata, ...rest }: KubeObject, states: readonly KubeObject[]): string {
    const { name, labels, annotations, finalizers = [], generation, uid, creationTimestamp, deletionTimestamp } = metadata
    const identity = states.findIndex(state => state.metadata.uid === uid)
    const signs = { identity, isMade: creationTimestamp !== undefined, isDeleted: deletionTimestamp !== undefined }
    // A set has no order.
    return JSON.stringify(sorted({ ...rest, name, labels, annotations, finalizers: [...finalizers].sort(), generation, ...signs }))
  }
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
