import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import { errorCodes, FlinkError } from '../../runtime/common/errors.ts'
import type { JobInfo, RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob, FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import type { Executor, ObservedCluster, ObservedStatePlan } from '../effects/actions.ts'
import { type Edit, editOf, isBeside } from './diff.ts'
import { asksForHealth } from './health.ts'
import {
  asksCatalogue,
  intendedSpec,
  isClusterGone,
  type Observed,
  type ObservedCatalogue,
  type ObservedJob,
  type ObservedOperation,
  type ObservedPath,
  statusOf,
} from './input.ts'
import { observeProgress } from './observe-progress.ts'
import { asksForSize, observeSize } from './observe-size.ts'
import { asksForRestarts } from './restarts.ts'
import { asksForTrial } from './rollback.ts'
import type { SnapshotObjects } from './snapshot-objects.ts'
import { startPath } from './start-path.ts'
import { isPlanned, takesStateOver } from './state-plan.ts'

/** Everything that `decide` looks at, asked once: the processes, the program, the job over REST, and what the store says of it where that decides something. */
export async function observe(
  job: FlinkJob,
  executor: Executor,
  rest: (address: string) => RestClient,
  snapshots: SnapshotObjects,
  nowMs: number,
): Promise<Observed> {
  const cluster = await executor.observeCluster()
  const status = statusOf({ job })
  const intended = status.reconciliationStatus === undefined ? job.spec : intendedSpec(status)
  const next = status.upgrade === undefined ? job.spec : (JSON.parse(status.upgrade.spec) as FlinkJobSpec)
  const program = await executor.observeProgram(intended)
  const edited = editOf(intended, next) === undefined ? undefined : await executor.observeProgram(next)
  const statePlan = edited?.kind === 'ready' ? await observeStatePlan(job, cluster, executor, intended, next) : undefined
  const jobId = status.jobStatus?.jobId
  const asked = await askJobManager(status, cluster, rest, nowMs)
  const catalogue: ObservedCatalogue =
    jobId !== undefined && asksCatalogue(status, { cluster, job: asked.job })
      ? await observeCatalogue(() => executor.catalogue(intended), jobId)
      : { kind: 'unknown', message: undefined }
  const path = (edited ?? program).kind === 'ready' ? startPath(job) : undefined
  const observedPath = path === undefined ? undefined : await observePath(() => executor.catalogue(next), path)
  return { cluster, program, edited, statePlan, ...asked, startPath: observedPath, catalogue, snapshots: await snapshots.list(job) }
}

async function askJobManager(
  status: FlinkJobStatus,
  cluster: ObservedCluster,
  rest: (address: string) => RestClient,
  nowMs: number,
): Promise<Pick<Observed, 'job' | 'operation' | 'progress' | 'size'>> {
  const unknown = { kind: 'unknown' } as const
  const { jobManager } = cluster
  const { jobStatus, upgrade, deletion } = status
  if (jobStatus === undefined || jobManager.kind !== 'ready') return { job: unknown, operation: unknown, progress: undefined, size: undefined }
  const { jobId } = jobStatus
  const client = rest(jobManager.webAddress)
  // The operation first: one that is complete when it is asked for is older than the state of the job behind it.
  const trigger = upgrade?.mode === 'savepoint' ? upgrade : deletion
  const operation = trigger === undefined ? unknown : await observeOperation(client, jobId, trigger.triggerId)
  const job = await observeJob(client, jobId)
  const isAsked = asksForRestarts(status, job) || asksForTrial(status, job) || asksForHealth(status, job, nowMs)
  const progress = isAsked ? await observeProgress(client, jobId) : undefined
  return { operation, job, progress, size: asksForSize(status, cluster, job) ? await observeSize(client) : undefined }
}

/** What cannot be read is not taken for missing, whatever the reason: what is damaged is to be mended by somebody first. */
async function observeCatalogue(open: () => Promise<Catalogue | undefined>, jobId: string): Promise<ObservedCatalogue> {
  try {
    const catalogue = await open()
    if (catalogue === undefined) return { kind: 'unknown', message: 'its program is not planned yet' }
    // The result first: one that is stored is stored before anything that the job could go on from is removed.
    const result = await catalogue.resultOf(jobId)
    return { kind: 'known', isKnown: await catalogue.knows(jobId), newest: await catalogue.newest(jobId), result }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    return { kind: 'unknown', message: error.message }
  }
}

async function observePath(open: () => Promise<Catalogue | undefined>, path: string): Promise<ObservedPath> {
  try {
    const catalogue = await open()
    if (catalogue === undefined) return { kind: 'unknown', message: 'the program is not planned yet' }
    await catalogue.snapshotAt(path)
    return { kind: 'found' }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    const isThere = errorCodes[error.code].retry !== 'never'
    return { kind: isThere ? 'unknown' : 'missing', message: error.message }
  }
}

function isWithoutState(edit: Edit | undefined): boolean {
  return edit !== undefined && (edit.class === 'state-loss' || isBeside(edit))
}

/** Before the job is stopped for an edit, and of what it goes on from once its processes are gone. */
async function observeStatePlan(
  job: FlinkJob,
  cluster: ObservedCluster,
  executor: Executor,
  before: FlinkJobSpec,
  after: FlinkJobSpec,
): Promise<ObservedStatePlan | undefined> {
  const { jobStatus, upgrade, ...status } = statusOf({ job })
  if (jobStatus === undefined || !takesStateOver(after) || isWithoutState(editOf(before, after))) return undefined
  const { generation } = upgrade ?? job.metadata
  const isDue = upgrade === undefined ? !isPlanned(status, generation) : upgrade.step === 'RELEASING' && isClusterGone(cluster)
  return isDue
    ? executor.observeStatePlan({ jobId: jobStatus.jobId, before, after, occasion: `${generation} ${upgrade?.step ?? 'PLANNING'}` })
    : undefined
}

async function observeOperation(rest: RestClient, jobId: string, triggerId: string): Promise<ObservedOperation> {
  try {
    const { status, operation } = await rest.operation('savepoint', jobId, triggerId)
    if (status.id === 'IN_PROGRESS') return { kind: 'in-progress' }
    const { location } = operation ?? {}
    if (typeof location === 'string') return { kind: 'completed', location }
    return { kind: 'failed', message: failureText(operation?.['failure-cause']) }
  } catch (error) {
    return unlessThere(error)
  }
}

/** As Flink has it: the class of the exception and its trace, whose first line says what happened. */
function failureText(cause: unknown): string {
  const trace = (cause as { readonly 'stack-trace'?: unknown } | undefined)?.['stack-trace']
  return typeof trace === 'string' ? (trace.split('\n')[0] ?? trace) : JSON.stringify(cause ?? 'no cause is given')
}

async function observeJob(rest: RestClient, jobId: string): Promise<ObservedJob> {
  try {
    const info = await rest.job(jobId)
    return {
      kind: 'present',
      name: info.name,
      state: info.state,
      startTimeMs: info['start-time'],
      updateTimeMs: updateTime(info),
      parallelisms: Object.fromEntries(info.vertices.map(({ id, parallelism }) => [id, parallelism])),
      restartedMs: info.timestamps['RESTARTING'] ?? 0,
      message: info.state === 'FAILED' ? await failureOf(rest, jobId) : info['millrace-message'],
      ...(info['millrace-checkpoint-problem'] === undefined ? {} : { checkpointProblem: info['millrace-checkpoint-problem'] }),
    }
  } catch (error) {
    return unlessThere(error)
  }
}

function unlessThere(error: unknown): { readonly kind: 'missing' } | { readonly kind: 'unknown' } {
  if (!(error instanceof FlinkError)) throw error
  if (error.code === 'NOT_FOUND') return { kind: 'missing' }
  // A JobManager that is starting or going away: the processes tell which, at the next look.
  if (error.code === 'CONNECTION_REFUSED' || error.code === 'CONNECTION_LOST' || error.code === 'TIMEOUT') return { kind: 'unknown' }
  throw error
}

function updateTime(info: JobInfo): number {
  return Math.max(info['start-time'], ...Object.values(info.timestamps))
}

/** The root cause with its stack, and the task that it happened in. */
async function failureOf(rest: RestClient, jobId: string): Promise<string | undefined> {
  const { exceptionHistory } = await rest.jobExceptions(jobId)
  const root = exceptionHistory.entries[0]
  if (root === undefined) return undefined
  const trace = root.stacktrace.trimEnd()
  return root.taskName === null || trace.includes(root.taskName) ? trace : `in ${root.taskName}: ${trace}`
}
