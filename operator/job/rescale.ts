import type { FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import type { ObservedProgram } from '../effects/actions.ts'
import { type Edit, isBeside, restartOf } from './diff.ts'
import { answer, type Decision, type Input, intendedSpec, isGloballyTerminal, POLL_MS, replicasFor, statusOf } from './input.ts'
import { tooLate } from './recovery.ts'
import { statusWith, withObservedJob } from './status.ts'

/**
 * An edit that changes how large a job is, carried out in place: pure, as all rules. The job keeps its id and its processes; it takes a checkpoint and goes on from it
 * with other parallelisms (`PUT /jobs/:id/resource-requirements`). What is to be done is in `status.rescale` before anything is.
 *
 *   STARTING    the TaskManagers that the new size needs are started, and have registered their slots
 *   RESCALING   the job is told its parallelisms, until it is RUNNING with them
 *   REFUSED     it cannot be done in place: the edit is carried out as any other (upgrade.ts), which says why
 *
 * The spec is the one that is carried out once the job runs with it, and only then `status.taskManager.replicas` goes down: `taskManagersKept` says when others may go.
 *
 * A JobManager that is lost meanwhile is recovered first, with the spec from before, and rescaled then: the state is that of its newest checkpoint either way. A newer
 * edit is not kept waiting: before the job was told anything this one is taken back, and after that the newer one begins from it.
 */
type Rescale = NonNullable<FlinkJobStatus['rescale']>
type ReadyProgram = Extract<ObservedProgram, { readonly kind: 'ready' }>

/** A checkpoint that is aborted moves nothing. */
const ASKED_AGAIN_AFTER_MS = 30_000

/** It is being done. */
export function isRescaling({ rescale }: FlinkJobStatus): boolean {
  return rescale !== undefined && rescale.step !== 'REFUSED'
}

/** Only the size changes. */
export function isResize(edit: Edit): boolean {
  return (edit.class === 'live' || edit.class === 'rescale') && !isBeside(edit)
}

/** Why the edit is not carried out in place but as a restart; undefined = it is. */
export function resizeObstacle(input: Input): string | undefined {
  const { job, edited } = input.observed
  const { rescale } = statusOf(input)
  // Slots of a session are for those that wait for them, which a job that runs does not.
  if (input.job.spec.sessionName !== undefined) return 'a job on a session is not rescaled in place'
  if (rescale?.step === 'REFUSED' && rescale.generation === input.job.metadata.generation) return rescale.message
  if (job.kind !== 'present' || job.state !== 'RUNNING') return `the job is ${job.kind === 'present' ? job.state : 'not to be asked'}`
  if (edited?.kind !== 'ready') return undefined
  if (edited.parallelisms === undefined) return 'it has more operators than a planner pod can tell the parallelism of'
  return haveSameVertices(job.parallelisms, edited.parallelisms) ? undefined : 'its operators are chained in another way with this parallelism'
}

/** Of the edited spec: the slots that its program needs are more than its TaskManagers have. */
export function slotsProblem({ observed: { edited }, job: { spec } }: Input): string | undefined {
  if (edited?.kind !== 'ready') return undefined
  const replicas = replicasFor(spec, edited)
  const { slotsNeeded, slotsPerTaskManager } = edited
  if (slotsNeeded <= replicas * slotsPerTaskManager) return undefined
  const slots = slotsPerTaskManager === 1 ? 'slot' : 'slots'
  return `the edit is not carried out, the job goes on as it was: it needs ${slotsNeeded} slots, and spec.taskManager.replicas is ${replicas}, of ${slotsPerTaskManager} ${slots} each`
}

/** The edit as it is to be carried out: what cannot be done in place is a restart. */
export function classified(edit: Edit, obstacle: string | undefined, spec: FlinkJobSpec): Edit {
  return obstacle === undefined || !isResize(edit) ? edit : restartOf(spec, edit.fields)
}

/** Nothing stands in its way. */
export function startRescale(input: Input, edit: Edit): Decision | undefined {
  const { edited, job } = input.observed
  if (edited?.kind !== 'ready' || job.kind !== 'present') return undefined
  const { spec, metadata } = input.job
  const { trial, taskManager } = statusOf(input)
  const before = taskManager?.replicas ?? 1
  const replicas = replicasFor(spec, edited)
  return answer(
    statusWith(withObservedJob(input), {
      observedGeneration: metadata.generation,
      lifecycleState: 'UPGRADING',
      edit: { ...edit, generation: metadata.generation },
      refused: undefined,
      // What is on trial is on trial in its new size.
      trial: trial === undefined ? undefined : { ...trial, generation: metadata.generation },
      rollback: undefined,
      rescale: {
        generation: metadata.generation,
        spec: JSON.stringify(spec),
        from: largest(job.parallelisms),
        to: largest(edited.parallelisms ?? {}),
        taskManagers: { from: before, to: replicas },
        step: 'STARTING',
        since: new Date(input.nowMs).toISOString(),
      },
      taskManager: { ...taskManager, replicas: Math.max(before, replicas) },
      error: undefined,
    }),
    0,
  )
}

export function continueRescale(input: Input): Decision | undefined {
  const { rescale, upgrade, reconciliationStatus } = statusOf(input)
  const { cluster, job, edited } = input.observed
  if (rescale === undefined || rescale.step === 'REFUSED' || upgrade !== undefined) return undefined
  // Its JobManager was lost, or does not answer: the rules below see to that first.
  if (reconciliationStatus?.state !== 'DEPLOYED' || cluster.jobManager.kind !== 'ready' || job.kind !== 'present') return undefined
  if (isGloballyTerminal(job.state)) return ended(input, rescale, job.state)
  const isSuperseded = input.job.metadata.generation !== rescale.generation
  if (isSuperseded) return rescale.step === 'STARTING' ? takenBack(input, rescale) : carriedOut(input, rescale, 'UPGRADING')
  if (edited?.kind === 'invalid') return refused(input, rescale, edited.message)
  if (edited?.kind !== 'ready') return undefined
  return rescale.step === 'STARTING' ? startTaskManagers(input, rescale, edited) : tellJob(input, rescale, edited)
}

function startTaskManagers(input: Input, rescale: Rescale, { slotsNeeded }: ReadyProgram): Decision | undefined {
  const { cluster, size } = input.observed
  const { running, ended } = cluster.taskManagers
  const neverReady = ended.find(taskManager => !taskManager.wasReady)
  if (neverReady !== undefined) return refused(input, rescale, neverReady.message)
  if (running < rescale.taskManagers.to) {
    const spec = JSON.parse(rescale.spec) as FlinkJobSpec
    return answer(statusWith(withObservedJob(input), {}), POLL_MS, { kind: 'startTaskManagers', spec, replicas: rescale.taskManagers.to })
  }
  if (size === undefined || size.slots < slotsNeeded) return answer(statusWith(withObservedJob(input), {}), POLL_MS)
  return answer(statusWith(withObservedJob(input), { rescale: { ...rescale, step: 'RESCALING', since: new Date(input.nowMs).toISOString() } }), 0)
}

function tellJob(input: Input, rescale: Rescale, { parallelisms }: ReadyProgram): Decision | undefined {
  const { job } = input.observed
  const { jobStatus } = statusOf(input)
  // Also while it restarts, which it does for this.
  if (job.kind !== 'present' || parallelisms === undefined || jobStatus === undefined || job.state !== 'RUNNING') return undefined
  if (Object.entries(parallelisms).every(([vertexId, parallelism]) => job.parallelisms[vertexId] === parallelism))
    return carriedOut(input, rescale, 'DEPLOYED')
  const again = input.nowMs - Date.parse(rescale.since) > ASKED_AGAIN_AFTER_MS
  const since = again ? new Date(input.nowMs).toISOString() : rescale.since
  const action = { kind: 'rescaleJob', jobId: jobStatus.jobId, parallelisms, again } as const
  return answer(statusWith(withObservedJob(input), { rescale: { ...rescale, since } }), POLL_MS, action)
}

/** The spec is the one that counts from here on. */
function carriedOut(input: Input, rescale: Rescale, lifecycleState: 'DEPLOYED' | 'UPGRADING'): Decision | undefined {
  const { reconciliationStatus, taskManager } = statusOf(input)
  if (reconciliationStatus === undefined) return undefined
  return answer(
    statusWith(withObservedJob(input), {
      rescale: undefined,
      lifecycleState,
      reconciliationStatus: {
        ...reconciliationStatus,
        lastReconciledSpec: rescale.spec,
        reconciliationTimestamp: new Date(input.nowMs).toISOString(),
      },
      taskManager: { ...taskManager, replicas: rescale.taskManagers.to },
      error: undefined,
    }),
    0,
  )
}

function takenBack(input: Input, { taskManagers }: Rescale): Decision {
  const { taskManager } = statusOf(input)
  return answer(
    statusWith(withObservedJob(input), {
      rescale: undefined,
      lifecycleState: 'DEPLOYED',
      taskManager: { ...taskManager, replicas: taskManagers.from },
    }),
    0,
  )
}

function refused(input: Input, rescale: Rescale, why: string): Decision {
  const { taskManager } = statusOf(input)
  const message = `it cannot be rescaled in place: ${why}`
  return answer(
    statusWith(input, {
      rescale: { ...rescale, step: 'REFUSED', message },
      lifecycleState: 'DEPLOYED',
      taskManager: { ...taskManager, replicas: rescale.taskManagers.from },
    }),
    0,
  )
}

function ended(input: Input, rescale: Rescale, state: string): Decision {
  const { refused: before } = statusOf(input)
  return answer(
    statusWith(withObservedJob(input), {
      rescale: undefined,
      lifecycleState: 'DEPLOYED',
      refused: state === 'FAILED' ? before : tooLate(rescale, state),
    }),
    0,
  )
}

/** The JobManager has said that it cannot be done, which will not change. */
export function refusedRescale(input: Input, message: string): FlinkJobStatus {
  const { rescale } = statusOf(input)
  return rescale === undefined ? statusOf(input) : refused(input, rescale, message).status
}

/** How many TaskManagers are to stay: those that the spec does not ask for any more go once the job has no slot of theirs, which it keeps for slot.idle.timeout. */
export function taskManagersKept(input: Input): number | undefined {
  const status = statusOf(input)
  const { cluster, size } = input.observed
  const replicas = status.taskManager?.replicas
  if (replicas === undefined || size === undefined || cluster.taskManagers.running <= replicas) return undefined
  const isUsed = size.usedTaskManagers.some(id => Number(/\d+$/.exec(id)?.[0] ?? -1) >= replicas)
  return isUsed ? undefined : replicas
}

/** How many TaskManagers it takes for what the job waits for: only where the manifest leaves it open, and only when all that were asked for are there. */
export function replicasForShortage(input: Input): number | undefined {
  const status = statusOf(input)
  const { cluster, size, program } = input.observed
  const replicas = status.taskManager?.replicas
  const { taskManager, sessionName } = intendedSpec(status)
  if (replicas === undefined || size === undefined || program.kind !== 'ready' || taskManager.replicas !== undefined || sessionName !== undefined)
    return undefined
  const areAllThere = cluster.taskManagers.running === replicas && size.slots >= replicas * program.slotsPerTaskManager
  if (!areAllThere || size.slotsRequired === 0) return undefined
  return replicas + Math.ceil(size.slotsRequired / program.slotsPerTaskManager)
}

function haveSameVertices(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const ids = Object.keys(a)
  return ids.length === Object.keys(b).length && ids.every(id => id in b)
}

function largest(parallelisms: Readonly<Record<string, number>>): number {
  return Math.max(1, ...Object.values(parallelisms))
}

/** What is being done, in words. */
export function rescaleStep({ rescale }: FlinkJobStatus): string | undefined {
  if (rescale === undefined || rescale.step === 'REFUSED') return undefined
  const { generation, from, to, taskManagers, step } = rescale
  if (step === 'STARTING') return `generation ${generation}: ${taskManagers.to} TaskManagers are to be there`
  return `generation ${generation}: the job goes from parallelism ${from} to ${to}, behind a checkpoint`
}
