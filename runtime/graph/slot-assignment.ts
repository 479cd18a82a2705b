import type { JobGraph } from './job-graph.ts'
import { schedulingStages, stageGraph } from './scheduling.ts'

/**
 * Slot sharing: subtask i of every vertex of a group runs in slot i of that group. So no slot ever holds two subtasks of one vertex or
 * of two groups, and a group takes as many slots as its most parallel vertex has subtasks.
 */
export interface PlannedSlot {
  readonly slotSharingGroup: string
  /** Position among the slots of its group. */
  readonly index: number
  /** In vertex order: sources first. */
  readonly subtasks: readonly { readonly vertexId: string; readonly subtaskIndex: number }[]
}

/** Slots per group, in the order in which the groups first appear; of a job that runs in stages, those of the stage that needs most. */
export function slotsRequiredByGroup(jobGraph: JobGraph): ReadonlyMap<string, number> {
  let widest: ReadonlyMap<string, number> = new Map()
  for (const stage of schedulingStages(jobGraph)) {
    const required = slotsByGroup(stageGraph(jobGraph, stage))
    if (sumOf(required) > sumOf(widest)) widest = required
  }
  return widest
}

function slotsByGroup({ vertices }: JobGraph): ReadonlyMap<string, number> {
  const required = new Map<string, number>()
  for (const { slotSharingGroup, parallelism } of vertices) {
    required.set(slotSharingGroup, Math.max(required.get(slotSharingGroup) ?? 0, parallelism))
  }
  return required
}

function sumOf(required: ReadonlyMap<string, number>): number {
  return [...required.values()].reduce((sum, count) => sum + count, 0)
}

export function slotsRequired(jobGraph: JobGraph): number {
  return sumOf(slotsRequiredByGroup(jobGraph))
}

/** `needs 6 slots (default 2, red 4)`: for a job that waits. */
export function slotsRequiredText(jobGraph: JobGraph): string {
  const groups = [...slotsRequiredByGroup(jobGraph)].map(([group, count]) => `${group} ${count}`)
  const total = slotsRequired(jobGraph)
  return `needs ${total} ${total === 1 ? 'slot' : 'slots'} (${groups.join(', ')})`
}

/** Slots for all vertices at once: `jobGraph` is a stage's (`stageGraph`). */
export function planSlots(jobGraph: JobGraph): readonly PlannedSlot[] {
  return [...slotsByGroup(jobGraph)].flatMap(([slotSharingGroup, count]) =>
    Array.from({ length: count }, (_, index) => ({
      slotSharingGroup,
      index,
      subtasks: jobGraph.vertices
        .filter(vertex => vertex.slotSharingGroup === slotSharingGroup && index < vertex.parallelism)
        .map(vertex => ({ vertexId: vertex.id, subtaskIndex: index })),
    })),
  )
}
