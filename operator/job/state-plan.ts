import type { WantedCondition } from '../api/conditions.ts'
import type { FlinkJob, FlinkJobSpec, FlinkJobStatus } from '../api/flink-job.ts'
import type { ObservedStatePlan, PlannedState } from '../effects/actions.ts'
import { type Input, statusOf } from './input.ts'

/**
 * What becomes of a job's state in an edited program, known before the running job is touched: pure.
 *
 * 1. The program of an edit that keeps the state is held against the newest restore point of the job; nothing else is done meanwhile (verdict `pending`).
 * 2. `compatible`: the edit is carried out. `incompatible`: it is refused, and the job goes on as it was. `unknown`: the plan could not be made; it is tried again.
 * 3. Behind the stop it is asked once more, of what the job then goes on from: the last savepoint of a program that had just been started may be the first with its state.
 *
 * The annotation `millrace.dev/approve-plan: <generation>` overrides the plan of that generation, and no other: what the program has no place for is then dropped. A state of
 * another type cannot be dropped by itself, so that such a plan is refused approved or not; under another name or uid it can.
 */
export type Plan = NonNullable<FlinkJobStatus['plan']>

type UpgradeMode = FlinkJobSpec['job']['upgradeMode']

export const APPROVE_PLAN = 'millrace.dev/approve-plan'

const STATES_MAX = 100
const TEXT_MAX = 1_000
const worstFirst = ['incompatible', 'dropped', 'new', 'kept']

/** Whether there may be state that the spec is to go on with. */
export function takesStateOver({ job }: FlinkJobSpec): boolean {
  return job.state === 'running' && job.upgradeMode !== 'stateless'
}

/** Nothing would be learned by asking again. */
export function isPlanned({ plan }: FlinkJobStatus, generation: number): boolean {
  return plan?.generation === generation && (plan.verdict === 'compatible' || plan.verdict === 'incompatible')
}

export function isPlanning({ plan }: FlinkJobStatus, generation: number): boolean {
  return plan?.generation === generation && plan.verdict === 'pending'
}

/** The plan of the edit that the object asks for, in the mode that it would be carried out in; undefined = there is no state to go on with. */
export function neededPlan(input: Input, mode: UpgradeMode | undefined): Plan | undefined {
  const isNeeded = statusOf(input).jobStatus !== undefined && takesStateOver(input.job.spec) && mode !== 'stateless'
  return isNeeded ? planOf(input) : undefined
}

export function planOf(input: Input): Plan {
  const { generation } = input.job.metadata
  const status = statusOf(input)
  const known = isPlanned(status, generation) && status.plan !== undefined ? status.plan : madePlan(generation, input.observed.statePlan)
  const { approved: _, ...unapproved } = known
  const isApproved =
    input.job.metadata.annotations?.[APPROVE_PLAN] === String(generation) && known.verdict !== 'compatible' && !cannotBeDropped(known)
  return isApproved && known.verdict !== 'pending' ? { ...unapproved, approved: true } : unapproved
}

/** Of what the job that was stopped for `generation` goes on from. */
export function planBehindStop(input: Input, { generation, back }: NonNullable<FlinkJobStatus['upgrade']>): Plan {
  const plan = madePlan(generation, input.observed.statePlan)
  // What only a failed spec has a place for goes with it.
  if (back !== undefined) return plan.verdict === 'incompatible' && !cannotBeDropped(plan) ? { ...plan, approved: true } : plan
  const isApproved = statusOf(input).plan?.approved === true && statusOf(input).plan?.generation === generation && !cannotBeDropped(plan)
  return isApproved && plan.verdict !== 'pending' ? { ...plan, approved: true } : plan
}

export function letsGoOn({ verdict, approved }: Plan): boolean {
  return verdict === 'compatible' || approved === true
}

/** The start of what was planned may drop state that the spec does not allow to be dropped. */
export function mayDropState({ plan, observedGeneration }: FlinkJobStatus): boolean {
  return plan?.generation === observedGeneration && plan?.approved === true && plan.verdict === 'incompatible'
}

function madePlan(generation: number, observed: ObservedStatePlan | undefined): Plan {
  if (observed === undefined || observed.kind === 'pending') return { generation, verdict: 'pending', states: [] }
  if (observed.kind === 'failed') return { generation, verdict: 'unknown', states: [], message: cut(observed.message) }
  const { restorePoint, ignoresUnclaimedState } = observed
  const states = observed.states
    .toSorted((a, b) => worstFirst.indexOf(a.outcome) - worstFirst.indexOf(b.outcome))
    .slice(0, STATES_MAX)
    .map(state => ({ ...state, ...(state.why === undefined ? {} : { why: cut(state.why) }) }))
  const place = restorePoint === undefined ? {} : { restorePoint }
  const [worst] = states
  const isLost = worst?.outcome === 'incompatible' || (worst?.outcome === 'dropped' && !ignoresUnclaimedState)
  if (worst === undefined || !isLost) return { generation, verdict: 'compatible', ...place, states }
  return { generation, verdict: 'incompatible', ...place, states, message: cut(objection(worst)) }
}

function objection({ outcome, why, ...state }: PlannedState): string {
  const reason = why === undefined ? '' : `: ${why}`
  if (outcome === 'incompatible') return `${placeOf(state)} cannot be restored${reason}`
  return `${placeOf(state)} has no place in the new program${reason}; it is dropped with spec.job.allowNonRestoredState`
}

function placeOf({ operator, uid, name }: Omit<PlannedState, 'outcome' | 'why'>): string {
  const where = uid === undefined ? `operator '${operator}', which has no uid,` : `operator '${operator}' (uid '${uid}')`
  return name === '' ? `the state of ${where}` : `state '${name}' of ${where}`
}

function cannotBeDropped({ states }: Plan): boolean {
  return states.some(({ outcome }) => outcome === 'incompatible')
}

/** Why the plan keeps the edit from being carried out. */
export function planProblem(input: Input, plan: Plan): string | undefined {
  if (letsGoOn(plan) || plan.verdict === 'pending') return undefined
  if (plan.verdict === 'unknown') return `the edit waits, the job goes on as it was: what becomes of its state could not be planned: ${plan.message}`
  return `${refusal(input, plan)}; the job goes on as it was`
}

/** What is written down of an edit that the plan forbids. */
export function refusal(input: Input, plan: Plan): string {
  const { annotations } = input.job.metadata
  const approval = `${APPROVE_PLAN}: "${plan.generation}"`
  const message = `the edit is not carried out: ${plan.message}`
  if (!cannotBeDropped(plan)) return `${message}, or with the annotation ${approval}`
  if (annotations?.[APPROVE_PLAN] !== String(plan.generation)) return message
  return `${message}; ${approval} does not help: state is dropped whole, when no state of its name and uid is declared any more`
}

export function planningCondition({ plan }: FlinkJobStatus, job: FlinkJob): WantedCondition | undefined {
  if (plan === undefined) return undefined
  const isPending = plan.verdict === 'pending' && plan.generation === job.metadata.generation
  const reason = isPending ? 'Planning' : reasons[plan.verdict]
  return { type: 'Planning', status: isPending ? 'True' : 'False', reason, message: plan.message ?? texts[plan.verdict] }
}

const reasons = { pending: 'TakenBack', compatible: 'Compatible', incompatible: 'Incompatible', unknown: 'Unknown' } as const
const texts = {
  pending: 'what becomes of the state is planned before the job is touched',
  compatible: 'the program can go on with all of the state that it is to keep',
  incompatible: 'state would be lost',
  unknown: 'the plan could not be made',
} as const

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX - 3)}...` : text
}
