import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { createExecutionGraph, type Execution, type ExecutionGraph, finishedVertices, transition } from './execution-graph.ts'
import type { JobGraph } from './job-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { consumedResults, currentStage, neededResults, schedulingStages, startableVertices, storedResults } from './scheduling.ts'
import { slotsRequiredText } from './slot-assignment.ts'

const pipelined = { client: { 'execution.batch-shuffle-mode': 'ALL_EXCHANGES_PIPELINED' } }

function sumJob(scheduling: 'eager' | 'lazy-from-sources') {
  const graph = new StreamGraphBuilder()
  graph.source('words').keyed('sum')
  return buildJobGraph(graph.build({ parallelism: 2, runtimeMode: 'BATCH' }), scheduling === 'eager' ? pipelined : {})
}

test('T2: lazily no sum starts before both sources have finished', () => {
  const jobGraph = sumJob('lazy-from-sources')
  const [source, sum] = jobGraph.vertices.map(vertex => vertex.id) as [string, string]
  let next = 0
  let graph = createExecutionGraph('job', jobGraph, { attempt: 0, nowMs: 0, newExecutionId: () => `e${next++}` })
  expect(startableVertices(jobGraph, finishedVertices(graph), new Set())).toEqual([source])
  for (const executionId of ['e0', 'e1']) {
    expect(startableVertices(jobGraph, finishedVertices(graph), new Set([source]))).toEqual([])
    for (const state of [
      { name: 'SCHEDULED' },
      { name: 'DEPLOYING', location },
      { name: 'RUNNING', location },
      { name: 'FINISHED', location },
    ] as const) {
      graph = transition(graph, executionId, state, 1)?.graph ?? graph
    }
  }
  expect(startableVertices(jobGraph, finishedVertices(graph), new Set([source]))).toEqual([sum])
})

test('T2: eagerly all start at once', () => {
  const jobGraph = sumJob('eager')
  expect(startableVertices(jobGraph, new Set(), new Set())).toEqual(jobGraph.vertices.map(vertex => vertex.id))
  expect(startableVertices(jobGraph, new Set(), new Set([jobGraph.vertices[0]?.id ?? '']))).toEqual([jobGraph.vertices[1]?.id])
})

test('a pipelined consumer starts together with its producer', () => {
  const jobGraph = sumJob('lazy-from-sources')
  const mixed = { ...jobGraph, edges: jobGraph.edges.map(edge => ({ ...edge, exchange: 'pipelined_bounded' as const })) }
  expect(schedulingStages(mixed)).toEqual([jobGraph.vertices.map(vertex => vertex.id)])
})

test('lazy stages hold each vertex once, behind all of its producers', () => {
  fc.assert(
    fc.property(randomStreamGraph(), streamGraph => {
      const jobGraph = buildJobGraph({ ...streamGraph, runtimeMode: 'BATCH' })
      const stages = schedulingStages(jobGraph)
      expect(stages.flat().sort()).toEqual(jobGraph.vertices.map(vertex => vertex.id).sort())
      const stageOf = new Map(stages.flatMap((stage, i) => stage.map(id => [id, i])))
      for (const edge of jobGraph.edges) expect(stageOf.get(edge.source.vertexId)).toBeLessThan(stageOf.get(edge.target.vertexId) ?? -1)
    }),
  )
})

const location = { allocationId: 'a', taskManagerId: 't', host: 'h', dataPort: 1 }

/** An attempt in which everything up to a vertex has finished. */
function finishedUpTo(jobGraph: JobGraph, count: number): ExecutionGraph {
  let next = 0
  let graph = createExecutionGraph('job', jobGraph, { attempt: 0, nowMs: 0, newExecutionId: () => `e${next++}` })
  const finished = jobGraph.vertices.slice(0, count).map(({ id }) => id)
  for (const { executionId } of graph.executions.filter(({ vertexId }) => finished.includes(vertexId))) {
    for (const state of [
      { name: 'SCHEDULED' },
      { name: 'DEPLOYING', location },
      { name: 'RUNNING', location },
      { name: 'FINISHED', location },
    ] as const)
      graph = transition(graph, executionId, state, 1)?.graph ?? graph
  }
  return graph
}

test('a stage is left when all of it has finished; a result is needed until its last reader has', () => {
  const stream = new StreamGraphBuilder()
  stream.source('words').keyed('sum').keyed('sum of sums')
  const jobGraph = buildJobGraph(stream.build({ parallelism: 2, runtimeMode: 'BATCH' }))
  const ids = (executions: readonly Execution[]) => executions.map(({ executionId }) => executionId)
  const seen = [0, 1, 2, 3].map(count => {
    const graph = finishedUpTo(jobGraph, count)
    return { stage: currentStage(graph), needed: ids(neededResults(graph)), consumed: ids(consumedResults(graph)) }
  })
  expect(seen).toEqual([
    { stage: 0, needed: [], consumed: [] },
    { stage: 1, needed: ['e0', 'e1'], consumed: [] },
    { stage: 2, needed: ['e2', 'e3'], consumed: ['e0', 'e1'] },
    { stage: 3, needed: [], consumed: ['e0', 'e1', 'e2', 'e3'] },
  ])
  expect(ids(storedResults(finishedUpTo(jobGraph, 3)))).toEqual(['e0', 'e1', 'e2', 'e3'])
})

test('a job needs the slots of its widest stage, and with pipelined exchanges those of all vertices', () => {
  const stream = new StreamGraphBuilder()
  stream
    .source('words', { slotSharingGroup: 'red', parallelism: 2 })
    .keyed('sum', { slotSharingGroup: 'blue', parallelism: 3 })
    .keyed('sum of sums', { slotSharingGroup: 'red', parallelism: 1 })
  const graph = stream.build({ parallelism: 1, runtimeMode: 'BATCH' })
  expect(slotsRequiredText(buildJobGraph(graph))).toBe('needs 3 slots (blue 3)')
  expect(slotsRequiredText(buildJobGraph(graph, pipelined))).toBe('needs 5 slots (red 2, blue 3)')
})
