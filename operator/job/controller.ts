import type { Clock } from '../../runtime/common/clock.ts'
import { errorCodes, FlinkError } from '../../runtime/common/errors.ts'
import { newId } from '../../runtime/common/ids.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import { type Executor, NotYet } from '../effects/actions.ts'
import { withConditions } from './conditions.ts'
import { decide, statusAfterFailure, statusAfterLook, statusAfterRefusal, statusAfterRetry } from './decide.ts'
import { type Decision, type Input, statusOf } from './input.ts'
import { recollect } from './lost-status.ts'
import { notedJobId, statusDoubt } from './lost-status-core.ts'
import { observe } from './observe.ts'
import type { SnapshotObjects } from './snapshot-objects.ts'

/**
 * The shell around `decide`: all the I/O, no decisions. One pass = observe everything once -> decide -> save the status -> act. A pass
 * that dies anywhere is simply repeated by the next one, here or in another process.
 */
export interface ControllerParts {
  readonly store: FlinkJobStore
  readonly executor: Executor
  readonly snapshots: SnapshotObjects
  readonly rest: (address: string) => RestClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** One FlinkJob object with Kubernetes' rules. */
export interface FlinkJobStore {
  read(): Promise<FlinkJob>
  /** CONFLICT when somebody has written since `job` was read. */
  writeStatus(job: FlinkJob, status: FlinkJobStatus): Promise<FlinkJob>
  /** In an annotation (lost-status-core.ts). */
  noteJobId(job: FlinkJob, jobId: string): Promise<FlinkJob>
}

export interface Reconciled {
  readonly job: FlinkJob
  readonly requeueAfterMs: number
}

const RETRY_MS = 1_000

export async function reconcile(parts: ControllerParts): Promise<Reconciled> {
  const { store, executor, snapshots, clock, random, log } = parts
  const recollection = await recollected(parts, await store.read())
  if (recollection.kind === 'over') return recollection.answer
  const { job } = recollection
  const observed = await observe(job, executor, parts.rest, snapshots, clock.nowMs()).catch(async (error: unknown) => {
    // Whoever looks at the object sees that too; the caller tries again.
    if (error instanceof FlinkError) await save(store, job, statusAfterLook({ job, nowMs: clock.nowMs() }, error.message))
    throw error
  })
  const input: Input = { job, observed, nowMs: clock.nowMs(), freshJobId: newId(random), freshTriggerId: newId(random) }
  const decision = decide(input)
  const jobId = decision.status.jobStatus?.jobId
  // Before the status that first has it: a job must be found again when somebody loses its status.
  const noted = jobId === undefined || notedJobId(job) === jobId ? job : await store.noteJobId(job, jobId)
  let saved = await save(store, noted, decision.status)
  for (const action of decision.actions) {
    log.debug('acting', { action: action.kind })
    try {
      if (action.kind === 'createSnapshot' || action.kind === 'deleteSnapshot') await snapshots.execute(action)
      else await executor.execute(action)
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      if (error instanceof NotYet) return { job: saved, requeueAfterMs: RETRY_MS }
      // Stopping is repeated until it succeeds, whatever went wrong; a deployment that was refused stays refused.
      const final = errorCodes[error.code].retry === 'never' && isDeploymentRefused(action.kind, error)
      const isRefused = action.kind === 'rescaleJob' && (error.code === 'INVALID_ARGUMENT' || error.code === 'UNSUPPORTED')
      log.warn('an action failed', { action: action.kind, error: error.message, again: !final })
      const about = { ...input, job: saved }
      const again = () => (isRefused ? statusAfterRefusal(about, error.message) : statusAfterRetry(about, error.message))
      const status = final ? statusAfterFailure(about, error.message) : again()
      if (status !== undefined) saved = await save(store, saved, status)
      return { job: saved, requeueAfterMs: final || isRefused ? 0 : RETRY_MS }
    }
  }
  return { job: saved, requeueAfterMs: decision.requeueAfterMs }
}

/** What is started conflicts only with what somebody else is just doing; a job that conflicts has ended under its id. */
function isDeploymentRefused(action: Decision['actions'][number]['kind'], { code }: FlinkError): boolean {
  return action === 'submitJob' || ((action === 'startJobManager' || action === 'startTaskManagers') && code !== 'CONFLICT')
}

type Recollected = { readonly kind: 'sound'; readonly job: FlinkJob } | { readonly kind: 'over'; readonly answer: Reconciled }

/** A status that could not be ours is put right first, in a pass of its own. */
async function recollected({ store, executor, rest, clock, log }: ControllerParts, job: FlinkJob): Promise<Recollected> {
  const doubt = statusDoubt(job)
  if (doubt === undefined) return { kind: 'sound', job }
  const nowMs = clock.nowMs()
  const found = await recollect(job, doubt, { executor, rest, nowMs })
  if (found.kind === 'none') return { kind: 'sound', job: found.job }
  const { status: _, ...withoutStatus } = job
  if (found.kind === 'wait') {
    const saved = found.message === undefined ? job : await save(store, job, statusAfterLook({ job: withoutStatus, nowMs }, found.message))
    return { kind: 'over', answer: { job: saved, requeueAfterMs: found.requeueAfterMs } }
  }
  log.warn('the status of a job was rebuilt', { reason: doubt, jobId: found.jobId })
  const noted = notedJobId(job) === found.jobId ? job : await store.noteJobId(job, found.jobId)
  const saved = await save(store, noted, withConditions({ job: withoutStatus, nowMs }, found.status))
  return { kind: 'over', answer: { job: saved, requeueAfterMs: 0 } }
}

/** Written only when it says something new: whoever watches the object would be woken for nothing. */
async function save(store: FlinkJobStore, job: FlinkJob, status: FlinkJobStatus): Promise<FlinkJob> {
  if (job.status !== undefined && JSON.stringify(statusOf({ job })) === JSON.stringify(status)) return job
  return store.writeStatus(job, status)
}
