import type { FlinkJob } from '../api/flink-job.ts'
import { isRedeploy } from './diff.ts'
import { type Input, intendedSpec, statusOf } from './input.ts'

/**
 * `spec.job.initialSavepointPath`: pure. A first start begins there, and one for a new `spec.job.savepointRedeployNonce`, under another job id. That there is something to
 * begin with is looked up before anything is started, or stopped for it.
 */
export function startPath(job: FlinkJob): string | undefined {
  const status = statusOf({ job })
  const { initialSavepointPath, state } = job.spec.job
  // An edit that is being carried out was looked at before.
  if (initialSavepointPath === undefined || status.upgrade !== undefined) return undefined
  const isFirst = status.jobStatus === undefined && state === 'running'
  const isAnew = status.reconciliationStatus !== undefined && isRedeploy(intendedSpec(status), job.spec)
  return isFirst || isAnew ? initialSavepointPath : undefined
}

/** Why nothing can begin there, or not yet; undefined where nobody is to. */
export function startPathProblem({ job, observed }: Input): string | undefined {
  const path = startPath(job)
  if (path === undefined || observed.startPath === undefined || observed.startPath.kind === 'found') return undefined
  const { kind, message } = observed.startPath
  const about = `FlinkJob ${job.metadata.namespace}/${job.metadata.name}: spec.job.initialSavepointPath ${path}`
  return kind === 'missing' ? `${about} is nothing that a job can begin with: ${message}` : `${about} cannot be read, it is tried again: ${message}`
}
