import { conditionsAfter, type WantedCondition } from '../api/conditions.ts'
import type { FlinkSessionStatus } from '../api/flink-session.ts'
import type { SessionInput } from './input.ts'

/** The one place that makes a session's status: changed fields on top of the saved ones, `undefined` clears one; the conditions are derived. */
export type SessionStatusChange = { readonly [K in keyof Omit<FlinkSessionStatus, 'conditions'>]?: FlinkSessionStatus[K] | undefined }

const PROBLEMS_MAX = 10

const initial: FlinkSessionStatus = { lifecycleState: 'CREATED', jobManagerDeploymentStatus: 'MISSING', conditions: [] }

export function sessionStatus({ session, observed, nowMs }: SessionInput, change: SessionStatusChange): FlinkSessionStatus {
  const problems = observed.cluster.problems?.slice(0, PROBLEMS_MAX)
  const { conditions, ...fields } = { ...(session.status ?? initial), problems, ...change }
  const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  // Every field of `kept` was one of a status; only undefined ones were dropped.
  const next = { ...kept, conditions } as FlinkSessionStatus
  const observedGeneration = next.observedGeneration ?? session.metadata.generation
  return { ...next, conditions: conditionsAfter(conditions, [...conditionsOf(next)], { nowMs, observedGeneration }) }
}

function* conditionsOf(status: FlinkSessionStatus): Generator<WantedCondition> {
  const { lifecycleState, error, blocked, waits } = status
  const isReady = lifecycleState === 'STABLE'
  const bad = degradation(status)
  yield {
    type: 'Ready',
    status: isReady ? 'True' : 'False',
    reason: reasons[lifecycleState],
    message: blocked ?? waits ?? bad?.message ?? (isReady ? `takes jobs, with ${status.taskManager?.replicas ?? 0} TaskManagers` : waiting(status)),
  }
  if (bad !== undefined)
    yield {
      type: 'Degraded',
      status: 'True',
      ...bad,
      message: error === bad.message ? error : [error, bad.message].filter(text => text !== undefined).join('\n'),
    }
  else yield { type: 'Degraded', status: 'False', reason: 'AsExpected', message: 'no problem is known' }
  if (blocked !== undefined)
    yield { type: 'DeletionBlocked', status: 'True', reason: status.evicting === true ? 'JobsNotSuspended' : 'JobsExist', message: blocked }
}

function degradation({ problems, error, shortage, lost }: FlinkSessionStatus): Pick<WantedCondition, 'reason' | 'message'> | undefined {
  const [first] = problems ?? []
  if (first !== undefined) return { reason: first.reason, message: first.message }
  if (error !== undefined) return { reason: lost === undefined ? 'Problem' : 'JobManagerLost', message: error }
  return shortage === undefined ? undefined : { reason: 'ShortOfSlots', message: shortage }
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
