import { FlinkError } from '../../runtime/common/errors.ts'
import type { JobInfo, RestClient } from '../../runtime/rest/types.ts'
import type { FlinkJob } from '../api/flink-job.ts'
import type { Executor } from '../effects/actions.ts'
import { intendedSpec, type Observed, type ObservedJob, statusOf } from './decide.ts'

/** Everything that `decide` looks at, asked once: the processes, the program, and the job over REST. */
export async function observe(job: FlinkJob, executor: Executor, rest: (address: string) => RestClient): Promise<Observed> {
  const cluster = await executor.observeCluster()
  const status = statusOf({ job })
  const program = await executor.observeProgram(status.reconciliationStatus === undefined ? job.spec : intendedSpec(status))
  const jobId = status.jobStatus?.jobId
  if (jobId === undefined || cluster.jobManager.kind !== 'ready') return { cluster, program, job: { kind: 'unknown' } }
  return { cluster, program, job: await observeJob(rest(cluster.jobManager.webAddress), jobId) }
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
      message: info.state === 'FAILED' ? await failureOf(rest, jobId) : info['millrace-message'],
    }
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'NOT_FOUND') return { kind: 'missing' }
    // A JobManager that is starting or going away: the processes tell which, at the next look.
    if (error instanceof FlinkError && (error.code === 'CONNECTION_REFUSED' || error.code === 'CONNECTION_LOST' || error.code === 'TIMEOUT')) {
      return { kind: 'unknown' }
    }
    throw error
  }
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
