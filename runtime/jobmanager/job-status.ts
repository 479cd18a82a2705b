import type { JobStatus, TerminalJobStatus } from '../rpc/job-manager-gateway.ts'

/** Flink's edges; SUSPENDED and RECONCILING are names for clients only. */
export const jobStatusTransitions = {
  INITIALIZING: ['CREATED', 'FAILED', 'CANCELED'],
  CREATED: ['RUNNING', 'FAILING', 'CANCELLING'],
  RUNNING: ['RESTARTING', 'FAILING', 'CANCELLING', 'FINISHED'],
  FAILING: ['FAILED', 'CANCELLING'],
  CANCELLING: ['CANCELED'],
  FAILED: [],
  CANCELED: [],
  FINISHED: [],
  RESTARTING: ['RUNNING', 'FAILING', 'CANCELLING'],
  SUSPENDED: [],
  RECONCILING: [],
} as const satisfies Record<JobStatus, readonly JobStatus[]>

export function mayEnter(from: JobStatus, to: JobStatus): boolean {
  const allowed: readonly JobStatus[] = jobStatusTransitions[from]
  return allowed.includes(to)
}

export function isTerminalStatus(status: JobStatus): status is TerminalJobStatus {
  return status === 'FAILED' || status === 'CANCELED' || status === 'FINISHED'
}
