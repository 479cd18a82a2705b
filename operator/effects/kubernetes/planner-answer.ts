import { z } from 'zod'
import type { StatePlan } from '../actions.ts'
import { endOf, type Pod, type Terminated } from './pods.ts'

/**
 * What a planner pod has answered: pure. The answer is the termination message of its container, which user code can write to: it is held to a schema, and whatever does
 * not fit says nothing.
 *
 * - `answered`: what `millrace bundle --summary` writes, or a reason that another try would find again: too little memory, too little time.
 * - `failed`: it ended without an answer, for a reason that may pass: its node, its store. It is made anew after a while.
 */
const text = z.string().max(4096)

const summary = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('ready'),
    jobName: text,
    slotsNeeded: z.int().min(0),
    slotsPerTaskManager: z.int().min(1),
    parallelisms: z.record(z.string(), z.int().min(1)).optional(),
    checkpointDirectory: text.optional(),
    configuration: z.record(text, text),
    statePlan: z
      .object({
        kind: z.literal('ready'),
        restorePoint: text.optional(),
        ignoresUnclaimedState: z.boolean(),
        states: z.array(
          z.object({
            operator: text,
            uid: text.optional(),
            name: text,
            outcome: z.enum(['kept', 'new', 'dropped', 'incompatible']),
            why: text.optional(),
          }),
        ),
      })
      .optional(),
  }),
  z.object({ kind: z.literal('invalid'), message: text }),
])

export type ProgramAnswer = z.infer<typeof summary>
export type ReadyProgram = Extract<ProgramAnswer, { kind: 'ready' }>

export type PlannerState =
  | { readonly kind: 'pending' }
  | { readonly kind: 'answered'; readonly answer: ProgramAnswer }
  | { readonly kind: 'failed'; readonly message: string }

export function answerOf(json: string): ProgramAnswer | undefined {
  try {
    return summary.safeParse(JSON.parse(json)).data
  } catch {
    return undefined
  }
}

export function statePlanOf({ statePlan }: ReadyProgram): StatePlan | undefined {
  if (statePlan === undefined) return undefined
  const states = statePlan.states.map(({ uid, why, ...state }) => ({
    ...state,
    ...(uid === undefined ? {} : { uid }),
    ...(why === undefined ? {} : { why }),
  }))
  return { ...statePlan, restorePoint: statePlan.restorePoint, states }
}

export function plannerState(pod: Pod): PlannerState {
  const { metadata, status = {} } = pod
  if (metadata.deletionTimestamp !== undefined || (status.phase !== 'Failed' && status.phase !== 'Succeeded')) return { kind: 'pending' }
  const terminated = terminatedOf(pod)
  const answer = terminated?.message === undefined ? undefined : answerOf(terminated.message)
  if (answer !== undefined) return { kind: 'answered', answer }
  const refused = (message: string): PlannerState => ({ kind: 'answered', answer: { kind: 'invalid', message } })
  if (terminated?.reason === 'OOMKilled')
    return refused(`the program cannot be planned: ${endOf(terminated)}; spec.jobManager.resources says the limit`)
  if (status.reason === 'DeadlineExceeded') return refused(`the program cannot be planned: it took too long (${status.message ?? status.reason})`)
  const message = terminated === undefined ? `${status.reason ?? 'its pod has failed'}: ${status.message ?? 'no reason is given'}` : endOf(terminated)
  return {
    kind: 'failed',
    message: `the planner (pod ${metadata.name}) has no answer: ${message}`,
  }
}

/** Of a pod that has no time of its end, that of its making. */
export function finishedMs(pod: Pod): number {
  const time = Date.parse(terminatedOf(pod)?.finishedAt ?? pod.metadata.creationTimestamp ?? '')
  return Number.isNaN(time) ? 0 : time
}

export function terminatedOf({ status }: Pod): Terminated | undefined {
  return status?.containerStatuses?.find(({ name }) => name === 'main')?.state?.terminated
}
