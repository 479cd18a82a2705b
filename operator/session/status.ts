import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import type { FlinkSessionStatus } from '../api/flink-session.ts'
import type { SessionInput } from './input.ts'

/** The one place that makes a session's status: changed fields on top of the saved ones, `undefined` clears one; the conditions are derived. */
export type SessionStatusChange = { readonly [K in keyof Omit<FlinkSessionStatus, 'conditions'>]?: FlinkSessionStatus[K] | undefined }

const initial: FlinkSessionStatus = { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [] }

export function sessionStatus({ session, nowMs }: SessionInput, change: SessionStatusChange): FlinkSessionStatus {
  const { conditions, ...fields } = { ...(session.status ?? initial), ...change }
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  // Every field of `kept` was one of a status; only undefined ones were dropped.
  const next = { ...kept, conditions } as FlinkSessionStatus
  const observedGeneration = next.observedGeneration ?? session.metadata.generation
  return { ...next, conditions: conditionsAfter(conditions, [...conditionsOf(next)], { nowMs, observedGeneration }) }
}

function* conditionsOf(status: FlinkSessionStatus): Generator<WantedCondition> {
  const { lifecycleState, error, blocked } = status
  const isReady = lifecycleState === 'STABLE'
  yield {
    type: 'Ready',
    status: isReady ? 'True' : 'False',
    reason: reasons[lifecycleState],
    message: error ?? blocked ?? (isReady ? `takes jobs, with ${status.taskManager?.replicas ?? 0} TaskManagers` : waiting(status)),
  }
  if (error !== undefined)
    yield { type: 'Degraded', status: 'True', reason: status.lost === undefined ? 'ShortOfSlots' : 'JobManagerLost', message: error }
  if (blocked !== undefined)
    yield { type: 'DeletionBlocked', status: 'True', reason: status.evicting === true ? 'JobsNotSuspended' : 'JobsExist', message: blocked }
}

const reasons: Readonly<Record<FlinkSessionStatus['lifecycleState'], string>> = {
  CREATED: 'NotDeployed',
  UPGRADING: 'Deploying',
  DEPLOYED: 'Deploying',
  STABLE: 'Running',
  FAILED: 'Failed',
  DELETING: 'Deleting',
  DELETED: 'Deleted',
}

function waiting({ lifecycleState, jobManagerDeploymentStatus, restart }: FlinkSessionStatus): string {
  if (lifecycleState === 'DELETING') return 'its processes end'
  if (restart !== undefined) return `the cluster is restarted: ${restart.reason}`
  return `the JobManager is ${jobManagerDeploymentStatus}`
}
