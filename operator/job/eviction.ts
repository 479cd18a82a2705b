import type { FlinkJobSpec } from '../api/flink-job.ts'
import { answer, type Decision, hasEnded, type Input, intendedSpec, REPORT_MS, statusOf } from './input.ts'
import { statusWith, withObservedJob } from './status.ts'

/**
 * A job whose session is to go away suspends itself with a savepoint, as an edit to `state: suspended` would have it: pure, as all rules. It rests while the session is on its
 * way, and runs again, which is what its spec says, as soon as there is a session of that name. Before a session is restarted jobs that upgrade by savepoint do the same; what the others go on
 * from lies at the store.
 *
 * A job that is not RUNNING allows no savepoint: it goes on, and the session says that it waits for it. One that nobody runs has nothing to be asked for.
 */
export function evict(input: Input): Decision | undefined {
  const { cluster, job } = input.observed
  const status = statusOf(input)
  if (cluster.session?.evicts === undefined || status.reconciliationStatus === undefined || hasEnded(status)) return undefined
  const { name, evicts } = cluster.session
  const intended = intendedSpec(status)
  if (evicts === 'restart' && intended.job.upgradeMode !== 'savepoint') return undefined
  // Of a session that is restarted the JobManager comes back.
  const isNowhere = evicts === 'deletion' && cluster.jobManager.kind === 'missing'
  // An edit goes first, or this very eviction, unless it waits for a savepoint that nobody is left to take.
  if (status.upgrade !== undefined && !(isNowhere && status.upgrade.step === 'STOPPING')) return undefined
  if (status.lifecycleState === 'SUSPENDED') return answer(statusWith(input, { error: undefined }), REPORT_MS)
  const isRunning = job.kind === 'present' && job.state === 'RUNNING'
  if (!isRunning && !isNowhere) return undefined
  const spec: FlinkJobSpec = { ...intended, job: { ...intended.job, state: 'suspended' } }
  return answer(
    statusWith(withObservedJob(input), {
      lifecycleState: 'UPGRADING',
      upgrade: {
        generation: status.observedGeneration ?? input.job.metadata.generation,
        spec: JSON.stringify(spec),
        mode: isRunning ? 'savepoint' : 'last-state',
        reason: `FlinkSession ${name} is ${evicts === 'deletion' ? 'being deleted' : 'to be restarted'}`,
        step: isRunning ? 'STOPPING' : 'RELEASING',
        triggerId: input.freshTriggerId,
        since: new Date(input.nowMs).toISOString(),
      },
      error: undefined,
    }),
    0,
  )
}
