import type { JobStatus, TerminalJobStatus } from '../rpc/job-manager-gateway.ts'

/** Flink's edges; RECONCILING is a name for clients only. SUSPENDED: over for this JobManager, another one goes on with it. */
export const jobStatusTransitions = {
  INITIALIZING: ['CREATED', 'FAILED', 'CANCELED', 'SUSPENDED'],
  CREATED: ['RUNNING', 'FAILING', 'CANCELLING', 'SUSPENDED'],
  RUNNING: ['RESTARTING', 'FAILING', 'CANCELLING', 'FINISHED', 'SUSPENDED'],
  FAILING: ['FAILED', 'CANCELLING'],
  CANCELLING: ['CANCELED'],
  FAILED: [],
  CANCELED: [],
  FINISHED: [],
  RESTARTING: ['RUNNING', 'FAILING', 'CANCELLING', 'SUSPENDED'],
  SUSPENDED: [],
  RECONCILING: [],
} as const satisfies Record<JobStatus, readonly JobStatus[]>

export function mayEnter(from: JobStatus, to: JobStatus): boolean {
  const allowed: readonly JobStatus[] = jobStatusTransitions[from]
  return allowed.includes(to)
}

/** Nothing more happens to it here. */
export function isOver(status: JobStatus): boolean {
  return isTerminalStatus(status) || status === 'SUSPENDED'
}

export function isTerminalStatus(status: JobStatus): status is TerminalJobStatus {
  return status === 'FAILED' || status === 'CANCELED' || status === 'FINISHED'
}
