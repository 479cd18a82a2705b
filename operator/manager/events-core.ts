import type { Condition } from '../api/fields.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import type { FlinkSnapshotStatus } from '../api/flink-snapshot.ts'

/**
 * What has happened to an object between two of its statuses, in the words of Flink's operator where it has one: pure. One event for each transition, none for what stays
 * as it is, so that a pass that changes nothing says nothing.
 */
export interface Happening {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly note: string
}

type Rule = (before: FlinkJobStatus | undefined, after: FlinkJobStatus) => Happening | undefined

const normal = (reason: string, note: string): Happening => ({ type: 'Normal', reason, note })
const warning = (reason: string, note: string): Happening => ({ type: 'Warning', reason, note })

const rules: readonly Rule[] = [
  (before, { upgrade, edit }) => {
    if (upgrade === undefined || before?.upgrade?.generation === upgrade.generation) return undefined
    const fields = edit?.generation === upgrade.generation ? ` (${edit.fields.join(', ')})` : ''
    return normal('SpecChanged', `generation ${upgrade.generation}${fields} is carried out in mode ${upgrade.mode}: ${upgrade.reason}`)
  },
  (before, { refused }) =>
    refused === undefined || refused.generation === before?.refused?.generation
      ? undefined
      : warning('ValidationError', `generation ${refused.generation} is not carried out: ${refused.message}`),
  (before, after) => {
    const problem = invalidSpec(after)
    return problem === undefined || problem === invalidSpec(before) ? undefined : warning('ValidationError', problem)
  },
  (before, { jobStatus, restore }) => {
    if (jobStatus === undefined || jobStatus.state === 'RECONCILING' || before?.jobStatus?.state !== 'RECONCILING') return undefined
    const from = restore?.location === undefined ? 'from the beginning' : `from ${restore.location}`
    return normal('Submit', `job ${jobStatus.jobId} is submitted, ${from}`)
  },
  (before, { jobStatus }) => {
    const state = before?.jobStatus?.state
    if (jobStatus === undefined || state === undefined || state === jobStatus.state) return undefined
    const note = `the job was ${state} and is ${jobStatus.state}`
    return jobStatus.state === 'FAILED' || jobStatus.state === 'RESTARTING' ? warning('JobStatusChanged', note) : normal('JobStatusChanged', note)
  },
  (before, { lifecycleState, jobStatus }) =>
    lifecycleState !== 'SUSPENDED' || before?.lifecycleState === 'SUSPENDED'
      ? undefined
      : normal('Suspended', `the job rests${jobStatus?.upgradeSavepointPath === undefined ? '' : ` at ${jobStatus.upgradeSavepointPath}`}`),
  (before, { lifecycleState, error }) => {
    if (lifecycleState === before?.lifecycleState) return undefined
    if (lifecycleState === 'ROLLING_BACK') return warning('Rollback', `going back to the last stable spec${error === undefined ? '' : `: ${error}`}`)
    if (lifecycleState === 'ROLLED_BACK') return normal('Rollback', 'the last stable spec is carried out again')
    if (lifecycleState === 'FAILED') return warning('Error', error ?? 'failed')
    if (lifecycleState === 'DELETING') return normal('Cleanup', 'the job ends, and its processes with it')
    return undefined
  },
  (before, { recovery }) =>
    recovery === undefined || recovery.at === before?.recovery?.at ? undefined : warning('Missing', `${recovery.reason}; the job is started again`),
  (before, { upgrade }) =>
    upgrade?.failure === undefined || (upgrade.failures === before?.upgrade?.failures && upgrade.generation === before?.upgrade?.generation)
      ? undefined
      : warning('SavepointError', upgrade.failure),
  (before, { snapshots }) => {
    const failure = snapshots?.failure
    return failure === undefined || failure.time === before?.snapshots?.failure?.time
      ? undefined
      : warning('SavepointError', `${failure.name}: ${failure.message}`)
  },
  (before, { lastSavepoint }) =>
    lastSavepoint === undefined || lastSavepoint.name === before?.lastSavepoint?.name
      ? undefined
      : normal('SavepointCompleted', `${lastSavepoint.name} (${lastSavepoint.trigger}) lies at ${lastSavepoint.location}`),
  (before, after) => {
    const [was, is] = [conditionOf(before, 'RestartLoop'), conditionOf(after, 'RestartLoop')]
    if (is?.status === was?.status) return undefined
    if (is?.status === 'True') return warning('RestartLoop', is.message)
    return was?.status === 'True' ? normal('RestartLoop', 'the job has completed a checkpoint again') : undefined
  },
  (before, after) => {
    const [was, is] = [conditionOf(before, 'DeletionBlocked'), conditionOf(after, 'DeletionBlocked')]
    return is?.status === 'True' && was?.status !== 'True' ? warning('CleanupFailed', is.message) : undefined
  },
  (before, after) => {
    const [was, is] = [conditionOf(before, 'Degraded'), conditionOf(after, 'Degraded')]
    // A failure and a lost JobManager are told above.
    if (is?.status !== 'True' || was?.status === 'True' || is.reason === 'Failed' || is.reason === 'JobManagerLost') return undefined
    return warning(is.reason, is.message)
  },
]

export function happeningsOf(before: FlinkJobStatus | undefined, after: FlinkJobStatus | undefined): readonly Happening[] {
  return after === undefined ? [] : rules.map(rule => rule(before, after)).filter(happening => happening !== undefined)
}

export function snapshotHappenings(before: FlinkSnapshotStatus | undefined, after: FlinkSnapshotStatus | undefined): readonly Happening[] {
  if (after === undefined || before?.state === after.state) return []
  const { state, path, error = 'no cause is given' } = after
  if (state === 'COMPLETED') return [normal('SnapshotCompleted', `it lies at ${path}`)]
  if (state === 'FAILED') return [warning('SnapshotError', error)]
  return state === 'ABANDONED' ? [warning('SnapshotAbandoned', error)] : []
}

function invalidSpec(status: FlinkJobStatus | undefined): string | undefined {
  const ready = conditionOf(status, 'Ready')
  return ready?.reason === 'InvalidSpec' ? ready.message : undefined
}

function conditionOf(status: FlinkJobStatus | undefined, type: string): Condition | undefined {
  return status?.conditions.find(condition => condition.type === type)
}
