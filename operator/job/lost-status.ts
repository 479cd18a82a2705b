import type { EndedJob } from '../../runtime/checkpoint/catalogue.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import type { Executor } from '../effects/actions.ts'
import { isGloballyTerminal, POLL_MS, REPORT_MS } from './input.ts'
import { notedJobId, rebuiltStatus, statusProblem } from './lost-status-core.ts'

/** Looks for the job of an object whose status is doubted (lost-status-core.ts): on its JobManager, and at the store. */
export type Recollection =
  /** The job that was found. */
  | { readonly kind: 'rebuilt'; readonly status: FlinkJobStatus; readonly jobId: string }
  /** There is none: the status, if it is one, or a first start. */
  | { readonly kind: 'none'; readonly job: FlinkJob }
  | { readonly kind: 'wait'; readonly message: string | undefined; readonly requeueAfterMs: number }

export interface Looks {
  readonly executor: Executor
  readonly rest: (address: string) => RestClient
  readonly nowMs: number
}

export async function recollect(job: FlinkJob, reason: string, { executor, rest, nowMs }: Looks): Promise<Recollection> {
  const cluster = await executor.observeCluster()
  const program = await executor.observeProgram(job.spec)
  if (cluster.jobManager.kind === 'starting' || program.kind === 'pending') return { kind: 'wait', message: undefined, requeueAfterMs: POLL_MS }
  const status = job.status !== undefined && statusProblem(job, job.status) === undefined ? job.status : undefined
  const noted = notedJobId(job)
  const jobs = cluster.jobManager.kind === 'ready' ? (await rest(cluster.jobManager.webAddress).jobsOverview()).jobs : []
  const running = jobs.find(({ jid }) => jid === noted) ?? jobs.find(({ state }) => !isGloballyTerminal(state))
  if (running !== undefined && running.jid === status?.jobStatus?.jobId) return { kind: 'none', job }
  try {
    const jobId = running?.jid ?? noted
    const known = jobId === undefined ? undefined : await lookUp(executor, job, jobId)
    if (jobId !== undefined && (running !== undefined || known?.isKnown === true)) {
      const result = running === undefined || isGloballyTerminal(running.state) ? known?.result : undefined
      return {
        kind: 'rebuilt',
        status: rebuiltStatus(job, {
          isCancelled: running?.state === 'CANCELLING' || result?.state === 'CANCELED',
          jobId,
          jobName: running?.name ?? job.metadata.name,
          cluster,
          program,
          result,
          nowMs,
          reason,
        }),
        jobId,
      }
    }
  } catch (error) {
    if (!(error instanceof FlinkError)) throw error
    return { kind: 'wait', message: `${reason}; it waits until the store of the job can be read: ${error.message}`, requeueAfterMs: REPORT_MS }
  }
  if (status !== undefined) return { kind: 'none', job }
  const { status: _, ...withoutStatus } = job
  return { kind: 'none', job: withoutStatus }
}

async function lookUp(
  executor: Executor,
  { spec }: FlinkJob,
  jobId: string,
): Promise<{ readonly isKnown: boolean; readonly result: EndedJob | undefined }> {
  const catalogue = await executor.catalogue(spec)
  const result = await catalogue?.resultOf(jobId)
  return { isKnown: result !== undefined || (await catalogue?.knows(jobId)) === true, result }
}
