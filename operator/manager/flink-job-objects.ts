import type { Clock } from '../../runtime/common/clock.ts'
import type { OptionTable } from '../../runtime/common/config.ts'
import { canonicalJson } from '../../runtime/common/json.ts'
import { type FlinkJob, type FlinkJobSpec, type FlinkJobStatus, flinkJobStatusSchema } from '../api/flink-job.ts'
import type { Platform } from '../api/flink-job-refused.ts'
import { JOB_ID_ANNOTATION } from '../job/lost-status-core.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { flinkJobs } from '../kube/resources.ts'
import { checkFlinkJob, problemsText } from '../validation/problems.ts'
import type { Caches } from './caches.ts'
import type { ObjectKey } from './manager.ts'
import { createReferences, ofReferences } from './references.ts'
import { createSpecRevisions, type SpecRevisions } from './spec-revisions.ts'

/**
 * FlinkJobs between the API server, where they are as people write them, and the rules, which know checked specs with defaults filled in. A spec that does not hold is
 * `invalid`: the job goes on with the one that was carried out last, if there is one. A status that somebody has edited so that it is none counts as missing.
 */
export interface FlinkJobObjects {
  /** Undefined = it is gone. */
  read(key: ObjectKey): Promise<ReadFlinkJob | undefined>
  /** CONFLICT when somebody has written since `job` was read. */
  writeStatus(job: FlinkJob, status: FlinkJobStatus): Promise<FlinkJob>
  /** In an annotation; CONFLICT as above. */
  noteJobId(job: FlinkJob, jobId: string): Promise<FlinkJob>
  writeFinalizers(key: ObjectKey, finalizers: readonly string[]): Promise<void>
  prune(key: ObjectKey): Promise<void>
}

export interface ReadFlinkJob {
  readonly job: FlinkJob
  readonly finalizers: readonly string[]
  /** What is wrong with its spec. */
  readonly invalid: string | undefined
  /** It holds as soon as what it refers to is there. */
  readonly waits: boolean
}

export interface FlinkJobObjectsParts {
  readonly api: ObjectApi
  readonly caches: Caches
  readonly clock: Clock
  readonly optionTables: readonly OptionTable[]
  /** What carries the jobs out; default: processes of this machine. */
  readonly platform?: Platform
  /** Of the FlinkSession of that name in the namespace; undefined = it is not there. */
  readonly sessionOptions: (namespace: string, name: string) => Readonly<Record<string, string>> | undefined
}

type CheckedSpec = { readonly spec: FlinkJobSpec } | { readonly invalid: string }

export function createFlinkJobObjects({ api, caches, clock, optionTables, platform, sessionOptions }: FlinkJobObjectsParts): FlinkJobObjects {
  const revisions: SpecRevisions = createSpecRevisions(api, caches)
  const references = createReferences(api, caches, clock)
  /** By uid and generation: a spec is checked once, not in every pass; with what its session says, of one that names it. */
  const checked = new Map<string, { readonly generation: number; readonly shared: string | undefined; readonly result: CheckedSpec }>()

  const check = (object: KubeObject): CheckedSpec => {
    const { uid = '', generation = 0 } = object.metadata
    const known = checked.get(uid)
    const { name, namespace } = object.metadata
    const { sessionName } = (object.spec ?? {}) as { readonly sessionName?: string }
    const options = sessionName === undefined ? undefined : sessionOptions(namespace, sessionName)
    const shared = options === undefined ? undefined : JSON.stringify(options)
    if (known?.generation === generation && known.shared === shared) return known.result
    const document = { apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace }, spec: object.spec }
    const outcome = checkFlinkJob(document, optionTables, platform, options)
    const result: CheckedSpec = outcome.kind === 'valid' ? { spec: outcome.object.spec } : { invalid: problemsText(outcome.problems) }
    checked.set(uid, { generation, shared, result })
    return result
  }

  /** By the object as it is stored, which never changes: put together and checked once, not in every pass. */
  const statuses = new WeakMap<KubeObject, FlinkJobStatus>()
  const statusOf = async (object: KubeObject): Promise<FlinkJobStatus | undefined> => {
    const known = statuses.get(object)
    if (known !== undefined || !isStatus(object.status)) return known
    const status = await revisions.load(object)
    if (status !== undefined) statuses.set(object, status)
    return status
  }

  /** Uids of objects that went with their finalizer: a cache has them until it is told, and a pass would make things anew for them. */
  const gone = new Map<string, string>()
  const current = ({ namespace, name }: ObjectKey): KubeObject | undefined => {
    const object = caches.get(flinkJobs, namespace, name)
    const key = `${namespace}/${name}`
    if (object !== undefined && gone.get(key) === object.metadata.uid) return undefined
    gone.delete(key)
    return object
  }

  return {
    async read(key) {
      const object = current(key)
      if (object === undefined) return undefined
      const status = await statusOf(object)
      const result = check(object)
      const carriedOut = status?.reconciliationStatus?.lastReconciledSpec
      const before = carriedOut === undefined ? undefined : (JSON.parse(carriedOut) as FlinkJobSpec)
      // What is carried out goes on being so: of a spec that does not hold nothing is.
      const referring = 'spec' in result ? await references.resolve(key.namespace, result.spec, before) : result
      const spec = 'spec' in referring ? referring.spec : (before ?? NOTHING)
      const { finalizers = [] } = object.metadata
      const known = status === undefined ? undefined : ofReferences(status, spec)
      const job = { ...object, spec, ...(known === undefined ? {} : { status: known }) } as unknown as FlinkJob
      return {
        job: known === undefined ? withoutStatus(job) : job,
        finalizers,
        invalid: 'invalid' in referring ? referring.invalid : undefined,
        waits: 'spec' in result,
      }
    },

    async writeStatus(job, status) {
      const { namespace, name, resourceVersion } = job.metadata
      const object = current({ namespace, name })
      const base = object ?? (await api.get(flinkJobs, namespace, name))
      const stored = await revisions.store(base, status)
      if (object !== undefined && object.metadata.resourceVersion === resourceVersion && same(object.status, stored)) return job
      const saved = await api.updateStatus({ ...base, metadata: { ...base.metadata, resourceVersion }, status: stored })
      caches.seen(saved, flinkJobs)
      return { ...job, metadata: { ...job.metadata, resourceVersion: saved.metadata.resourceVersion ?? resourceVersion }, status }
    },

    async noteJobId(job, jobId) {
      const { namespace, name, resourceVersion } = job.metadata
      const base = current({ namespace, name }) ?? (await api.get(flinkJobs, namespace, name))
      const saved = await api.patchMetadata(
        { ...base, metadata: { ...base.metadata, resourceVersion } },
        { annotations: { [JOB_ID_ANNOTATION]: jobId } },
      )
      caches.seen(saved, flinkJobs)
      const { annotations = {} } = saved.metadata
      return { ...job, metadata: { ...job.metadata, annotations, resourceVersion: saved.metadata.resourceVersion ?? resourceVersion } }
    },

    async writeFinalizers(key, finalizers) {
      const object = current(key)
      if (object === undefined) return
      try {
        const saved = await api.patchMetadata(object, { finalizers })
        if (saved.metadata.deletionTimestamp === undefined || finalizers.length > 0) {
          caches.seen(saved, flinkJobs)
          return
        }
        // With its last finalizer an object that is deleted goes.
        const { uid = '', namespace, name } = object.metadata
        checked.delete(uid)
        gone.set(`${namespace}/${name}`, uid)
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error
      }
    },

    async prune(key) {
      const object = current(key)
      if (object !== undefined) await revisions.prune(object)
    },
  }
}

/** A place holder: with `invalid` beside it nothing looks at it. */
const NOTHING: FlinkJobSpec = {
  job: { entryClass: 'default', args: [], state: 'running', upgradeMode: 'stateless', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
} as unknown as FlinkJobSpec

function isStatus(status: unknown): boolean {
  return status !== undefined && flinkJobStatusSchema.safeParse(status).success
}

function withoutStatus({ status: _status, ...rest }: FlinkJob): FlinkJob {
  return rest
}

/** An API server keeps no order of fields. */
function same(a: unknown, b: unknown): boolean {
  return a !== undefined && canonicalJson(a as never) === canonicalJson(JSON.parse(JSON.stringify(b)) as never)
}
