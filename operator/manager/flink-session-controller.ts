import type { Clock } from '../../runtime/common/clock.ts'
import type { OptionTable } from '../../runtime/common/config.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import { API_GROUP } from '../api/fields.ts'
import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import type { Platform } from '../api/flink-job-refused.ts'
import type { FlinkSession, FlinkSessionStatus } from '../api/flink-session.ts'
import type { ClusterProcesses } from '../effects/actions.ts'
import { hasEnded, isJobManagerDeployed } from '../job/input.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { flinkJobs, flinkSessions } from '../kube/resources.ts'
import { decideSession, statusAfterRetry } from '../session/decide.ts'
import type { SessionInput, SessionJob } from '../session/input.ts'
import { observeLoad } from '../session/observe.ts'
import { sessionStatus } from '../session/status.ts'
import type { Caches } from './caches.ts'
import { createSessionReader, writeSessionStatus } from './flink-session-objects.ts'
import type { Controller, ObjectKey, Related } from './manager.ts'
import { fenced } from './pass.ts'

/** FlinkSessions under a manager: the rules of operator/session on objects of an API server, with the finalizer and the pause of FlinkJobs (flink-job-controller.ts). */
export interface FlinkSessionControllerParts {
  readonly api: ObjectApi
  readonly executors: SessionExecutors
  readonly optionTables: readonly OptionTable[]
  readonly platform: Platform
  readonly rest: (session: FlinkSession) => (address: string) => RestClient
  readonly clock: Clock
  readonly log: Logger
  /** How often a session is looked at that is as it should be; default: as often as the rules say. */
  readonly quietLookMs?: number
}

/** Where sessions run. */
export interface SessionExecutors {
  /** Objects that executors look at in the caches. */
  readonly related?: readonly Related[]
  of(session: FlinkSession, caches: Caches): Pick<ClusterProcesses, 'observeCluster' | 'execute'>
  /** Before a pass of one that is not deleted: what has to be there before its pods are. */
  prepare?(session: FlinkSession): Promise<void>
  /** Of one whose JobManager is up, or on its way, after each pass: what its processes need and does not last is renewed. */
  keep?(session: FlinkSession): Promise<void>
  /** The object has gone. */
  release(key: ObjectKey): Promise<void>
}

const FINALIZER = `${API_GROUP}/cleanup`
const PAUSED = `${API_GROUP}/paused`
const RETRY_MS = 1_000

export function flinkSessionController(parts: FlinkSessionControllerParts): Controller {
  const { executors, clock, log } = parts
  const api = fenced(parts.api)
  const read = createSessionReader(parts.optionTables, parts.platform)

  const writeFinalizers = async (object: KubeObject, finalizers: readonly string[], caches: Caches): Promise<void> => {
    try {
      const saved = await api.patchMetadata(object, { finalizers })
      if (saved.metadata.deletionTimestamp === undefined || finalizers.length > 0) caches.seen(saved, flinkSessions)
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error
    }
  }

  /** Answers when the next pass is due. */
  const pass = async (
    object: KubeObject,
    caches: Caches,
  ): Promise<{ readonly status: FlinkSessionStatus; readonly object: KubeObject; readonly afterMs: number }> => {
    const { session, invalid } = read(object)
    const executor = fenced(fenced(executors.of(session, caches)))
    const cluster = await executor.observeCluster()
    const { jobManager } = cluster
    const load = jobManager.kind === 'ready' ? await observeLoad(fenced(parts.rest(session)(jobManager.webAddress))) : undefined
    const input: SessionInput = { session, observed: { cluster, load, jobs: jobsOf(session, caches) }, nowMs: clock.nowMs() }
    // Of a spec that never held nothing is carried out.
    const isNothing = invalid !== undefined && session.status?.lastReconciledSpec === undefined && session.metadata.deletionTimestamp === undefined
    const decision = isNothing ? { status: sessionStatus(input, {}), actions: [], requeueAfterMs: RETRY_MS } : decideSession(input)
    const status = invalid === undefined ? decision.status : withProblem(session, decision.status, invalid, clock)
    const saved = await writeSessionStatus(api, caches, object, status)
    for (const action of decision.actions) {
      try {
        // The rules of a session know no others.
        await executor.execute(action as Parameters<ClusterProcesses['execute']>[0])
      } catch (error) {
        if (!(error instanceof FlinkError)) throw error
        log.warn('an action for a session failed', { session: session.metadata.name, action: action.kind, error: error.message })
        const after = statusAfterRetry({ ...input, session: { ...session, status } }, error.message)
        return { status: after, object: await writeSessionStatus(api, caches, saved, after), afterMs: RETRY_MS }
      }
    }
    const { statusAfter = status } = decision
    return { status: statusAfter, object: await writeSessionStatus(api, caches, saved, statusAfter), afterMs: decision.requeueAfterMs }
  }

  return {
    type: flinkSessions,
    related: [{ type: flinkJobs, keysOf: sessionOf }, ...(executors.related ?? [])],
    async reconcile(key, caches) {
      const object = caches.get(flinkSessions, key.namespace, key.name)
      if (object === undefined) {
        await executors.release(key)
        return undefined
      }
      const { finalizers = [], annotations, deletionTimestamp } = object.metadata
      if (annotations?.[PAUSED] === 'true') return pause(object)
      const isHeld = finalizers.includes(FINALIZER)
      if (deletionTimestamp !== undefined && !isHeld) return undefined
      if (!isHeld) {
        await writeFinalizers(object, [...finalizers, FINALIZER], caches)
        return 0
      }
      if (deletionTimestamp === undefined) await executors.prepare?.(read(object).session)
      const { status, object: after, afterMs } = await pass(object, caches)
      if (status.lifecycleState !== 'DELETED') {
        if (isJobManagerDeployed(status.jobManagerDeploymentStatus)) await executors.keep?.(read(after).session)
        return isQuiet(status) ? Math.max(afterMs, parts.quietLookMs ?? 0) : afterMs
      }
      await executors.release(key)
      const others = finalizers.filter(each => each !== FINALIZER)
      await writeFinalizers(after, others, caches)
      return undefined

      async function pause(paused: KubeObject): Promise<undefined> {
        const { session } = read(paused)
        const { status = { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [] } } = session
        const message = `the annotation ${PAUSED} is "true": nothing is done until it goes`
        await writeSessionStatus(
          api,
          caches,
          paused,
          withCondition(session, status, { type: 'Paused', status: 'True', reason: 'Annotated', message }, clock),
        )
      }
    },
  }
}

/** Everything is there, and no TaskManager is about to go. */
function isQuiet({ lifecycleState, scaleDown, shortage }: FlinkSessionStatus): boolean {
  return lifecycleState === 'STABLE' && scaleDown === undefined && shortage === undefined
}

function sessionOf({ metadata, spec }: KubeObject): readonly ObjectKey[] {
  const { sessionName } = (spec ?? {}) as { readonly sessionName?: string }
  return sessionName === undefined ? [] : [{ namespace: metadata.namespace, name: sessionName }]
}

function jobsOf({ metadata }: FlinkSession, caches: Caches): readonly SessionJob[] {
  const own = caches
    .list(flinkJobs)
    .filter(job => sessionOf(job).some(({ namespace, name }) => namespace === metadata.namespace && name === metadata.name))
  return own.map(job => {
    // As it is stored: nothing is looked at that is kept beside it.
    const status = job.status as FlinkJobStatus | undefined
    const { state } = status?.jobStatus ?? {}
    const { upgradeMode } = (job.spec as unknown as FlinkJobSpec).job
    return {
      name: `${job.metadata.namespace}/${job.metadata.name}`,
      isAtRest: isAtRest(status),
      needsSavepoint: state === 'RUNNING' && upgradeMode === 'savepoint' && !isAtRest(status),
      message: state,
    }
  })
}

/** It never began, or has let its session go. */
function isAtRest(status: FlinkJobStatus | undefined): boolean {
  if (status?.jobStatus === undefined || status.lifecycleState === 'DELETED') return true
  return (
    status.upgrade === undefined && status.jobManagerDeploymentStatus === 'MISSING' && (status.lifecycleState === 'SUSPENDED' || hasEnded(status))
  )
}

function withProblem(session: FlinkSession, status: FlinkSessionStatus, problem: string, clock: Clock): FlinkSessionStatus {
  const message = `the spec of generation ${session.metadata.generation} is invalid, and is not carried out: ${problem}`
  return withCondition(session, status, { type: 'Ready', status: 'False', reason: 'InvalidSpec', message }, clock)
}

/** In the place of the one of its type, else at the end. */
function withCondition(session: FlinkSession, status: FlinkSessionStatus, condition: WantedCondition, clock: Clock): FlinkSessionStatus {
  const { generation: observedGeneration } = session.metadata
  const [made] = conditionsAfter(session.status?.conditions ?? [], [condition], { nowMs: clock.nowMs(), observedGeneration })
  const others = status.conditions.filter(({ type }) => type !== condition.type)
  return { ...status, conditions: made === undefined ? others : condition.type === 'Ready' ? [made, ...others] : [...others, made] }
}
