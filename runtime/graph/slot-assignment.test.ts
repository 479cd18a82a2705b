import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { planSlots, slotsRequired, slotsRequiredText } from './slot-assignment.ts'

function threeOperators(groups: readonly [string, string, string]) {
  const graph = new StreamGraphBuilder()
  graph.source('A', { slotSharingGroup: groups[0] }).keyed('B', { slotSharingGroup: groups[1] }).keyed('C', { slotSharingGroup: groups[2] })
  return buildJobGraph(graph.build({ parallelism: 2 }))
}

test('A, B and C in one group: two slots, each with one of each', () => {
  const jobGraph = threeOperators(['default', 'default', 'default'])
  const ids = jobGraph.vertices.map(vertex => vertex.id)
  expect(planSlots(jobGraph)).toEqual([
    { slotSharingGroup: 'default', index: 0, subtasks: ids.map(vertexId => ({ vertexId, subtaskIndex: 0 })) },
    { slotSharingGroup: 'default', index: 1, subtasks: ids.map(vertexId => ({ vertexId, subtaskIndex: 1 })) },
  ])
})

test('A, B and C in three groups: six slots', () => {
  const jobGraph = threeOperators(['default', 'red', 'blue'])
  expect(planSlots(jobGraph)).toHaveLength(6)
  expect(slotsRequiredText(jobGraph)).toBe('needs 6 slots (default 2, red 2, blue 2)')
})

test('A7: no slot holds two subtasks of one vertex or of two groups, and the slots are the sum over groups of the largest parallelism', () => {
  fc.assert(
    fc.property(randomStreamGraph(), streamGraph => {
      const jobGraph = buildJobGraph(streamGraph)
      const slots = planSlots(jobGraph)
      const vertices = new Map(jobGraph.vertices.map(vertex => [vertex.id, vertex]))
      const seen = new Set<string>()
      for (const slot of slots) {
        const inSlot = slot.subtasks.map(subtask => subtask.vertexId)
        expect(inSlot.length).toBeGreaterThan(0)
        expect(new Set(inSlot).size).toBe(inSlot.length)
        expect(new Set(inSlot.map(id => vertices.get(id)?.slotSharingGroup))).toEqual(new Set([slot.slotSharingGroup]))
        for (const { vertexId, subtaskIndex } of slot.subtasks) seen.add(`${vertexId}/${subtaskIndex}`)
      }
      const largest: Record<string, number> = {}
      for (const { slotSharingGroup, parallelism } of jobGraph.vertices)
        largest[slotSharingGroup] = Math.max(largest[slotSharingGroup] ?? 0, parallelism)
      const sum = Object.values(largest).reduce((total, count) => total + count, 0)
      expect(slots).toHaveLength(sum)
      expect(slotsRequired(jobGraph)).toBe(sum)
      expect(seen.size).toBe(jobGraph.vertices.reduce((total, vertex) => total + vertex.parallelism, 0))
    }),
  )
})
