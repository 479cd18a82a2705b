import type { Condition, FlinkJob, FlinkJobStatus } from '../api/flink-job.ts'
import { type Input, initialStatus, statusOf, withStatus } from './input.ts'
import { RESTART_LOOP, restartLoopCondition } from './restarts.ts'
import { PLANNING, planningCondition } from './state-plan.ts'

/** The one place that makes a status: changed fields on top of the saved ones, the condition derived. `error: undefined` clears it. */
export type StatusChange = { readonly [K in keyof Omit<FlinkJobStatus, 'conditions'>]?: FlinkJobStatus[K] | undefined }

export function statusWith(input: { readonly job: FlinkJob; readonly nowMs: number }, change: StatusChange): FlinkJobStatus {
  const previous: FlinkJobStatus = input.job.status ?? initialStatus
  const { conditions, ...fields } = { ...previous, ...change }
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  // Every field of `kept` was one of a status; only undefined ones were dropped.
  const next = { ...kept, conditions } as FlinkJobStatus
  const before = (type: string) => conditions.find(condition => condition.type === type)
  return {
    ...next,
    conditions: [
      runningCondition(next, before('Running'), input),
      ...planningCondition(next, before(PLANNING), input),
      ...restartLoopCondition(next, before(RESTART_LOOP), input),
    ],
  }
}

function runningCondition(
  status: FlinkJobStatus,
  previous: Condition | undefined,
  { job, nowMs }: { readonly job: FlinkJob; readonly nowMs: number },
): Condition {
  const state = status.jobStatus?.state
  const value = state === 'RUNNING' ? 'True' : 'False'
  const reason = status.lifecycleState === 'FAILED' ? 'Failed' : (reasons[state ?? ''] ?? 'NotDeployed')
  return {
    type: 'Running',
    status: value,
    reason,
    message: status.error ?? (state === undefined ? 'the job is not deployed' : `the job is ${state}`),
    // Conditions change their time with their status only: it answers "since when".
    lastTransitionTime: previous?.status === value ? previous.lastTransitionTime : new Date(nowMs).toISOString(),
    observedGeneration: status.observedGeneration ?? job.metadata.generation,
  }
}

const reasons: Readonly<Record<string, string>> = {
  RECONCILING: 'Deploying',
  INITIALIZING: 'Deploying',
  CREATED: 'Deploying',
  RUNNING: 'Running',
  RESTARTING: 'Restarting',
  FAILING: 'Failing',
  FAILED: 'Failed',
  CANCELLING: 'Cancelling',
  CANCELED: 'Canceled',
  FINISHED: 'Finished',
  SUSPENDED: 'Suspended',
}

/** `input` with the job's state taken over into the status. */
export function withObservedJob(input: Input): Input {
  const { job } = input.observed
  const status = statusOf(input)
  const { jobStatus } = status
  if (job.kind !== 'present' || jobStatus === undefined) return input
  return withStatus(input, {
    ...status,
    jobStatus: { ...jobStatus, jobName: job.name, state: job.state, startTime: String(job.startTimeMs), updateTime: String(job.updateTimeMs) },
  })
}
