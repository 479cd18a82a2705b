import { assert } from '../common/assert.ts'
import type { SlotDeployment } from '../graph/deployment.ts'
import { type AllocatedSlot, buildSlotDeployments, type DeploymentOptions } from '../graph/deployment-builder.ts'
import { type ExecutionGraph, type ExecutionLocation, executionsIn } from '../graph/execution-graph.ts'
import type { PlannedSlot } from '../graph/slot-assignment.ts'

/** Pure: which slots the tasks of some regions need, and what is sent to each. */
export interface PlacedDeployment {
  readonly deployment: SlotDeployment
  readonly location: ExecutionLocation
  readonly executionIds: readonly string[]
}

/** Those of a plan that have a part of these regions. */
export function slotsOf(plan: readonly PlannedSlot[], graph: ExecutionGraph, regions: ReadonlySet<number>): readonly PlannedSlot[] {
  const subtasks = new Set(executionsIn(graph, regions).map(subtaskKey))
  return plan.filter(slot => slot.subtasks.some(subtask => subtasks.has(subtaskKey(subtask))))
}

export function placedDeployments(graph: ExecutionGraph, slots: readonly AllocatedSlot[], options: DeploymentOptions): readonly PlacedDeployment[] {
  const locations = new Map(slots.map(({ location }) => [location.allocationId, location]))
  return buildSlotDeployments(graph, slots, options).map(deployment => {
    const location = locations.get(deployment.allocationId)
    assert(location !== undefined, 'tasks are deployed to the slots that they were planned for')
    return { deployment, location, executionIds: deployment.tasks.map(({ executionId }) => executionId) }
  })
}

function subtaskKey({ vertexId, subtaskIndex }: { readonly vertexId: string; readonly subtaskIndex: number }): string {
  return `${vertexId}/${subtaskIndex}`
}
