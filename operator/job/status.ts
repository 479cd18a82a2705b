import type { FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import { type Input, initialStatus, statusOf, withStatus } from './input.ts'

/** The one place that makes a status: changed fields on top of the saved ones; `error: undefined` clears it. The conditions are derived at the end of a pass (conditions.ts). */
export type StatusChange = { readonly [K in keyof Omit<FlinkJobStatus, 'conditions'>]?: FlinkJobStatus[K] | undefined }

export function statusWith(input: { readonly job: FlinkJob }, change: StatusChange): FlinkJobStatus {
  const previous: FlinkJobStatus = input.job.status ?? initialStatus
  const { conditions, ...fields } = { ...previous, ...change }
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  // Every field of `kept` was one of a status; only undefined ones were dropped.
  return { ...kept, conditions } as FlinkJobStatus
}

/** `input` with the job's state taken over into the status. */
export function withObservedJob(input: Input): Input {
  const { job } = input.observed
  const status = statusOf(input)
  const { jobStatus } = status
  if (job.kind !== 'present' || jobStatus === undefined) return input
  return withStatus(input, {
    ...status,
    jobStatus: {
      ...jobStatus,
      jobName: job.name,
      state: job.state,
      parallelism: Math.max(1, ...Object.values(job.parallelisms)),
      startTime: String(job.startTimeMs),
      updateTime: String(job.updateTimeMs),
    },
  })
}

const PROBLEMS_MAX = 10

/** Those of processes and checkpoints as they were seen just now; the first few stand for the others. */
export function withProblems({ observed }: Input, status: FlinkJobStatus): FlinkJobStatus {
  const { problems: _before, conditions, ...rest } = status
  const { cluster, job } = observed
  const checkpointProblem = job.kind === 'present' ? job.checkpointProblem : undefined
  const ofCheckpoints = checkpointProblem === undefined ? [] : [{ process: 'checkpoints', reason: 'CheckpointsFailing', message: checkpointProblem }]
  const problems = [...(cluster.problems ?? []), ...ofCheckpoints].slice(0, PROBLEMS_MAX)
  return { ...rest, ...(problems.length === 0 ? {} : { problems }), conditions }
}
