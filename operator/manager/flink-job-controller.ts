import type { Clock } from '../../runtime/common/clock.ts'
import type { OptionTable } from '../../runtime/common/config.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import { API_GROUP, type Condition } from '../api/fields.ts'
import type { FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import type { Platform } from '../api/flink-job-refused.ts'
import { type FlinkSnapshot, snapshotLabels } from '../api/flink-snapshot.ts'
import type { Executor } from '../effects/actions.ts'
import { type FlinkJobStore, reconcile } from '../job/controller.ts'
import { initialStatus, isJobManagerDeployed, REPORT_MS } from '../job/input.ts'
import { createSnapshotObjects } from '../job/snapshot-objects.ts'
import type { KubeObject, ObjectApi } from '../kube/object-api.ts'
import { flinkJobs, flinkSessions, flinkSnapshots, referredConfigMaps } from '../kube/resources.ts'
import { type SessionView, viewOf } from '../session/view.ts'
import type { Caches } from './caches.ts'
import { createFlinkJobObjects, type FlinkJobObjects } from './flink-job-objects.ts'
import { createSessionReader } from './flink-session-objects.ts'
import type { Controller, ObjectKey, Related } from './manager.ts'
import { fenced } from './pass.ts'
import { jobsReferringTo } from './references.ts'
import { followedRevisions } from './spec-revisions.ts'

/**
 * FlinkJobs under a manager: the rules of operator/job on objects of an API server.
 *
 * - The finalizer comes before anything that has to be cleaned up, and goes when nothing of the job is left.
 * - `millrace.dev/paused: "true"`: no pass is made, deletion neither, until it goes; the condition `Paused` says so.
 * - A spec that does not hold changes nothing: what was carried out last goes on, `Ready` says what is wrong.
 */
export interface FlinkJobControllerParts {
  readonly api: ObjectApi
  readonly executors: Executors
  readonly optionTables: readonly OptionTable[]
  /** What carries the jobs out; default: processes of this machine. */
  readonly platform?: Platform
  readonly rest: (job: FlinkJob) => (address: string) => RestClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** How often a job is looked at that runs, or rests, as it should; default: as often as any. Changes of objects are seen at once. */
  readonly quietLookMs?: number
}

/** Where jobs run. */
export interface Executors {
  /** Objects that executors look at in the caches; a change of one makes a pass of its job. */
  readonly related?: readonly Related[]
  /** `session`: what the job sees of the one that it names. */
  of(job: FlinkJob, session: SessionView | undefined, caches: Caches): Executor
  /** Before a pass of a job that is not deleted: what has to be there before its pods are. */
  prepare?(job: FlinkJob): Promise<void>
  /** Of a job whose JobManager is up, or on its way, after each pass: what its processes need and does not last is renewed. */
  keep?(job: FlinkJob): Promise<void>
  /** The object has gone. */
  release(key: ObjectKey): Promise<void>
}

/** As often as Secrets are looked at (referred-secrets.ts). */
const REFERENCE_LOOK_MS = 60_000
const FINALIZER = `${API_GROUP}/cleanup`
const PAUSED = `${API_GROUP}/paused`

export function flinkJobController(parts: FlinkJobControllerParts): Controller {
  const { executors, clock, random, log } = parts
  const api = fenced(parts.api)
  const snapshotObjects = createSnapshotObjects(api)
  const platform = parts.platform ?? 'local'
  const readSession = createSessionReader(parts.optionTables, platform)
  let objects: FlinkJobObjects | undefined

  const sessionAt = (caches: Caches, namespace: string, name: string): SessionView => {
    const object = caches.get(flinkSessions, namespace, name)
    return viewOf(name, object === undefined ? undefined : readSession(object).session)
  }
  return {
    type: flinkJobs,
    related: [
      { ...followedRevisions, keysOf: () => [] },
      { type: flinkSnapshots, indexed: [snapshotLabels.jobUid], keysOf: jobOf },
      { type: flinkSessions, keysOf: jobsOn },
      { type: referredConfigMaps, keysOf: jobsReferringTo },
      ...(executors.related ?? []),
    ],
    async reconcile(key, caches) {
      objects ??= createFlinkJobObjects({
        api,
        caches,
        clock,
        optionTables: parts.optionTables,
        platform,
        sessionOptions: (namespace, name) => sessionAt(caches, namespace, name).spec?.flinkConfiguration,
      })
      const found = await objects.read(key)
      if (found === undefined) {
        await executors.release(key)
        return undefined
      }
      const { job, finalizers, invalid, waits } = found
      const { writeStatus, noteJobId } = objects
      if (job.metadata.annotations?.[PAUSED] === 'true') return pause(job, writeStatus, clock)
      if (job.metadata.deletionTimestamp !== undefined && !finalizers.includes(FINALIZER)) return undefined
      if (!finalizers.includes(FINALIZER)) {
        await objects.writeFinalizers(key, [...finalizers, FINALIZER])
        return 0
      }
      if (invalid !== undefined && job.status?.reconciliationStatus === undefined && job.metadata.deletionTimestamp === undefined) {
        await refuse(job, invalid, waits ? 'CREATED' : 'FAILED', writeStatus, clock)
        // Of a right that is given, or a Secret that is made, nobody tells us.
        return waits ? REFERENCE_LOOK_MS : undefined
      }
      const store = {
        read: async () => job,
        noteJobId,
        writeStatus: (before: FlinkJob, status: FlinkJobStatus) =>
          writeStatus(before, invalid === undefined ? status : withProblem(before, status, invalid, clock)),
      }
      const snapshots = { ...snapshotObjects, list: async () => snapshotsOf(job, caches) }
      const { sessionName } = job.spec
      if (job.metadata.deletionTimestamp === undefined) await executors.prepare?.(job)
      const { job: after, requeueAfterMs } = await reconcile({
        store,
        executor: fenced(executors.of(job, sessionName === undefined ? undefined : sessionAt(caches, key.namespace, sessionName), caches)),
        snapshots,
        rest: address => fenced(parts.rest(job)(address)),
        clock,
        random,
        log,
      })
      if (after.status?.lifecycleState === 'DELETED') {
        await executors.release(key)
        await objects.writeFinalizers(
          key,
          finalizers.filter(each => each !== FINALIZER),
        )
        return undefined
      }
      // What it refers to may have gone without anything else that is new.
      if (invalid !== undefined && after.status !== undefined) await writeStatus(after, withProblem(after, after.status, invalid, clock))
      if (isJobManagerDeployed(after.status?.jobManagerDeploymentStatus)) await executors.keep?.(after)
      await objects.prune(key)
      return isQuiet(after) && requeueAfterMs >= REPORT_MS ? Math.max(requeueAfterMs, parts.quietLookMs ?? 0) : requeueAfterMs
    },
  }
}

function jobOf({ metadata, spec }: KubeObject) {
  const { jobReference } = spec as FlinkSnapshot['spec']
  return jobReference === undefined ? [] : [{ namespace: metadata.namespace, name: jobReference.name }]
}

/** What happens to a session concerns the jobs on it. */
function jobsOn({ metadata }: KubeObject, caches: Caches): readonly ObjectKey[] {
  const all = caches.list(flinkJobs).filter(({ spec }) => (spec as { readonly sessionName?: string } | undefined)?.sessionName === metadata.name)
  return all.flatMap(job => (job.metadata.namespace === metadata.namespace ? [job.metadata] : []))
}

function snapshotsOf({ metadata }: FlinkJob, caches: Caches): readonly FlinkSnapshot[] {
  const own = caches.labelled(flinkSnapshots, snapshotLabels.jobUid, metadata.uid)
  // The API server holds them to the CRD, which is made from the schema of FlinkSnapshot.
  return own as unknown as readonly FlinkSnapshot[]
}

/** All that the spec asks for is there, and nothing is being done. */
function isQuiet({ status }: FlinkJob): boolean {
  const { conditions = [] } = status ?? {}
  return (
    conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True') &&
    !conditions.some(({ type, status: value }) => type === 'Progressing' && value === 'True')
  )
}

async function pause(job: FlinkJob, writeStatus: FlinkJobStore['writeStatus'], clock: Clock): Promise<undefined> {
  const status = job.status ?? initialStatus
  const paused = {
    type: 'Paused',
    status: 'True',
    reason: 'Annotated',
    message: `the annotation ${PAUSED} is "true": nothing is done until it goes`,
  } as const
  await writeStatus(job, { ...status, conditions: withCondition(job, status, paused, clock) })
}

/** There is nothing to go on with. */
async function refuse(
  job: FlinkJob,
  problem: string,
  lifecycleState: 'CREATED' | 'FAILED',
  writeStatus: FlinkJobStore['writeStatus'],
  clock: Clock,
): Promise<undefined> {
  const status: FlinkJobStatus = {
    ...(job.status ?? initialStatus),
    observedGeneration: job.metadata.generation,
    lifecycleState,
    error: problem,
  }
  await writeStatus(job, withProblem(job, status, problem, clock))
}

function withProblem(job: FlinkJob, status: FlinkJobStatus, problem: string, clock: Clock): FlinkJobStatus {
  const message = `the spec of generation ${job.metadata.generation} is invalid, and is not carried out: ${problem}`
  const next = { ...status, error: status.error ?? message }
  return { ...next, conditions: withCondition(job, next, { type: 'Ready', status: 'False', reason: 'InvalidSpec', message }, clock) }
}

/** In the place of the one of its type, else at the end. */
function withCondition(job: FlinkJob, status: FlinkJobStatus, condition: WantedCondition, clock: Clock): Condition[] {
  const others = status.conditions.filter(({ type }) => type !== condition.type)
  const observedGeneration = status.observedGeneration ?? job.metadata.generation
  const [made] = conditionsAfter(job.status?.conditions ?? [], [condition], { nowMs: clock.nowMs(), observedGeneration })
  return made === undefined ? others : condition.type === 'Ready' ? [made, ...others] : [...others, made]
}
