import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { createExecutionGraph, finishedVertices, transition } from './execution-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { schedulingStages, startableVertices } from './scheduling.ts'

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
  const location = { allocationId: 'a', taskManagerId: 't', host: 'h', dataPort: 1 }
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
