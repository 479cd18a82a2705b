import { catalogueLocations } from '../runtime/checkpoint/catalogue.ts'
import type { ProgramRequest, ProgramSummary } from '../runtime/cli/context.ts'
import { parallelismsById } from '../runtime/graph/rescale.ts'
import { slotsRequired } from '../runtime/graph/slot-assignment.ts'
import type { PlanResult } from '../runtime/planner/planner-client.ts'
import { numberOfTaskSlots } from '../runtime/taskmanager/task-executor-options.ts'
import { planNewest } from './job-state-plan.ts'

/** What decides where the state of a job lies; the rest of what a program configures concerns its cluster only. */
const KEPT = ['execution.checkpointing.', 'high-availability.', 'state.']
const worstFirst = ['incompatible', 'dropped', 'new', 'kept']

/** What whoever starts a cluster for a program has to know of it. `stateOf`: the job whose state it is to go on with. */
export async function summaryOf(
  request: ProgramRequest,
  { jobGraph }: PlanResult,
  stateOf: string | undefined,
  allowNonRestoredState: boolean,
): Promise<ProgramSummary> {
  const configuration = request.configuration.with(jobGraph.configuration, 'client')
  const { checkpoints } = catalogueLocations(configuration)
  const statePlan = stateOf === undefined ? undefined : await planNewest(stateOf, jobGraph, configuration, allowNonRestoredState)
  return {
    kind: 'ready',
    jobName: jobGraph.jobName,
    slotsNeeded: slotsRequired(jobGraph),
    slotsPerTaskManager: request.configuration.get(numberOfTaskSlots),
    parallelisms: parallelismsById(jobGraph),
    ...(checkpoints === undefined ? {} : { checkpointDirectory: checkpoints }),
    configuration: Object.fromEntries(Object.entries(jobGraph.configuration).filter(([key]) => KEPT.some(prefix => key.startsWith(prefix)))),
    ...(statePlan === undefined
      ? {}
      : { statePlan: { ...statePlan, states: statePlan.states.toSorted((a, b) => worstFirst.indexOf(a.outcome) - worstFirst.indexOf(b.outcome)) } }),
  }
}
