import { parseDuration } from '../../runtime/common/config.ts'
import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import { answer, type Decision, type Input, intendedSpec, isGloballyTerminal, type ObservedJob, statusOf } from './input.ts'
import { restartsOf } from './restarts.ts'
import { statusWith, withObservedJob } from './status.ts'

/**
 * Going back to the last stable spec: pure, as all rules. With `spec.rollback` a changed spec is on trial (`status.trial`) from its start on: it has passed when the job is
 * RUNNING and, where it takes checkpoints, one of them has been completed since. Until then the job is DEPLOYED, not STABLE.
 *
 *   ROLLING_BACK   it has FAILED, or the deadline is over: an upgrade back, written to `status.upgrade` as any other and carried out by its rules (upgrade.ts)
 *   ROLLED_BACK    the stable spec runs again. The object keeps the one that failed, which is refused; any other edit is carried out as usual
 *
 * The job keeps its id, so that it goes on from the newest checkpoint that was claimed under it: of the failed program, where that has come so far, else what that had begun
 * with. What only the failed program has a place for is dropped. Where state would be lost that the stable spec has a place for, nothing is rolled back, and
 * `status.rollback.failure` says why: nothing older is taken in its place, for that would double what has been committed since.
 */
type Trial = NonNullable<FlinkJobStatus['trial']>
type Rollback = NonNullable<FlinkJobStatus['rollback']>
type Upgrade = NonNullable<FlinkJobStatus['upgrade']>

const REASON_MAX = 1_000
const NAMED_MAX = 5

/** Of an upgrade that is at its end: what has to be known should its spec fail. */
export function trialOf(input: Input, { generation, mode }: Upgrade, spec: FlinkJobSpec, plan: FlinkJobStatus['plan']): Trial | undefined {
  const { reconciliationStatus } = statusOf(input)
  const { job, rollback } = spec
  if (rollback?.enabled !== true || job.state === 'suspended' || reconciliationStatus?.lastStableSpec === undefined) return undefined
  const dropped = plan?.states.filter(({ outcome }) => outcome === 'dropped').map(({ name, operator }) => `'${name}' of operator '${operator}'`) ?? []
  const { location } = input.observed.catalogue.kind === 'known' ? (input.observed.catalogue.newest ?? {}) : {}
  return {
    generation,
    since: new Date(input.nowMs).toISOString(),
    losesState: mode === 'stateless',
    dropped,
    ...(location === undefined ? {} : { restorePoint: location }),
  }
}

/** Whether checkpoints decide about the trial now. */
export function asksForTrial({ trial }: FlinkJobStatus, job: ObservedJob): boolean {
  return trial !== undefined && job.kind === 'present' && job.state === 'RUNNING'
}

/** The job runs as its spec says, and has shown that it does. */
export function isStable(input: Input): boolean {
  const { job, progress } = input.observed
  if (job.kind !== 'present') return false
  if (job.state !== 'RUNNING') return job.state === 'FINISHED'
  if (statusOf(input).trial === undefined) return true
  return progress !== undefined && (!progress.takesCheckpoints || progress.checkpointMs !== undefined)
}

export function rollBack(input: Input): Decision | undefined {
  const status = statusOf(input)
  const { trial, upgrade, reconciliationStatus } = status
  const stable = reconciliationStatus?.lastStableSpec
  if (trial === undefined || upgrade !== undefined || stable === undefined || isStable(input)) return undefined
  const why = failureOf(input, trial)
  if (why === undefined) return undefined
  const { generation, losesState } = trial
  const at = new Date(input.nowMs).toISOString()
  const reason = why.length > REASON_MAX ? `${why.slice(0, REASON_MAX - 3)}...` : why
  const keepsState = (JSON.parse(stable) as FlinkJobSpec).job.upgradeMode !== 'stateless'
  if (losesState && keepsState) {
    const failure = 'the edit has given up the state that the last stable spec would go on with'
    return answer(statusWith(input, { trial: undefined, rollback: { generation, reason, at, failure } }), 0)
  }
  return answer(
    statusWith(withObservedJob(input), {
      trial: undefined,
      rollback: { generation, reason, at },
      refused: { generation, message: `generation ${generation} was rolled back to the last stable spec: ${reason}` },
      lifecycleState: 'ROLLING_BACK',
      upgrade: {
        generation,
        spec: stable,
        mode: losesState ? 'stateless' : 'last-state',
        reason: `generation ${generation} is rolled back: ${reason}`,
        step: losesState ? 'STOPPING' : 'RELEASING',
        triggerId: input.freshTriggerId,
        since: at,
        back: { dropped: trial.dropped, ...(trial.restorePoint === undefined ? {} : { restorePoint: trial.restorePoint }) },
      },
      error: undefined,
    }),
    0,
  )
}

/** Undefined: it may still become stable, or has ended otherwise. */
function failureOf(input: Input, { since }: Trial): string | undefined {
  const status = statusOf(input)
  const { job } = input.observed
  const { rollback } = intendedSpec(status)
  if (rollback?.enabled !== true) return undefined
  const state = job.kind === 'present' ? job.state : status.jobStatus?.state
  if (state === 'FAILED' || status.lifecycleState === 'FAILED')
    return (job.kind === 'present' ? job.message : undefined) ?? status.error ?? 'the job has failed'
  if (isGloballyTerminal(state) || input.nowMs - Date.parse(since) <= parseDuration(rollback.deadline)) return undefined
  const restarts = restartsOf(input)
  const { error } = status
  const cause =
    error ??
    (restarts !== undefined && restarts.count > 0
      ? `restarted ${restarts.count === 1 ? 'once' : `${restarts.count} times`}, the last time for ${restarts.cause}`
      : undefined)
  return `it was not stable within ${rollback.deadline}, the job is ${state}${cause === undefined ? '' : `: ${cause}`}`
}

/** State that the failed spec has dropped for good: the stable one cannot go on without it. */
export function lostSince(input: Input, { back }: Upgrade): string | undefined {
  const { catalogue } = input.observed
  if (back === undefined || back.dropped.length === 0 || catalogue.kind !== 'known' || catalogue.newest?.location === back.restorePoint)
    return undefined
  const more = back.dropped.length > NAMED_MAX ? ` and ${back.dropped.length - NAMED_MAX} more` : ''
  return `state ${back.dropped.slice(0, NAMED_MAX).join(', ')}${more} was dropped by generation ${statusOf(input).rollback?.generation}, which has completed checkpoints since`
}

/** The failed spec runs again. */
export function givenUp(rollback: Rollback | undefined, failure: string): Rollback | undefined {
  return rollback === undefined ? undefined : { ...rollback, failure }
}

export function isRolledBack({ rollback }: FlinkJobStatus): boolean {
  return rollback !== undefined && rollback.failure === undefined
}

export function rollbackProblem({ rollback }: FlinkJobStatus): string | undefined {
  if (rollback?.failure === undefined) return undefined
  return `generation ${rollback.generation} has failed and is not rolled back: ${rollback.failure}; it failed: ${rollback.reason}`
}
