import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { simJobGraph } from '../../test/support/sim-cluster.ts'
import { consumersOf } from './channels.ts'
import type { JobEdge, JobGraph } from './job-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { pipelinedRegions, regionsToRestart } from './regions.ts'

type Edge = readonly [source: number, target: number, partitioner: JobEdge['partitioner'], exchange?: JobEdge['exchange']]

/** Vertices by their parallelism; edges between their places. */
function graphOf(parallelisms: readonly number[], edges: readonly Edge[]): JobGraph {
  const graph = simJobGraph(
    'job',
    parallelisms.map((parallelism, i) => ({ name: `v${i}`, parallelism })),
  )
  const [model] = simJobGraph('model', [
    { name: 'a', parallelism: 1 },
    { name: 'b', parallelism: 1 },
  ]).edges
  if (model === undefined) throw new Error('two vertices are joined')
  const id = (index: number) => graph.vertices[index]?.id ?? ''
  return {
    ...graph,
    edges: edges.map(([source, target, partitioner, exchange = 'pipelined_bounded'], index) => ({
      ...model,
      id: index,
      source: { ...model.source, vertexId: id(source) },
      target: { ...model.target, vertexId: id(target) },
      partitioner,
      exchange,
    })),
  }
}

describe('pipelined regions', () => {
  test.each<[string, readonly number[], readonly Edge[], readonly number[]]>([
    ['of a job that exchanges all with all: one', [2, 3], [[0, 1, 'HASH']], [0, 0, 0, 0, 0]],
    ['of two pipelines that have nothing to do with each other: two', [2, 2, 1, 1], [[0, 1, 'REBALANCE'], [2, 3, 'HASH']], [0, 0, 0, 0, 1, 1]], // biome-ignore format: a table
    ['of a job without any exchange: one for each subtask', [3], [], [0, 1, 2]],
    ['of neighbours: one for each row of them', [2, 4, 4], [[0, 1, 'RESCALE'], [1, 2, 'FORWARD']], [0, 1, 0, 0, 1, 1, 0, 0, 1, 1]], // biome-ignore format: a table
    ['behind a blocking edge: others', [2, 2], [[0, 1, 'HASH', 'blocking']], [0, 1, 2, 3]],
    ['that a blocking edge and a pipelined way join: one', [1, 1, 1], [[0, 1, 'HASH', 'blocking'], [0, 2, 'HASH'], [2, 1, 'HASH']], [0, 0, 0]], // biome-ignore format: a table
    ['joined late: numbered by their first subtasks', [2, 1, 1], [[1, 2, 'HASH'], [0, 2, 'GLOBAL']], [0, 0, 0, 0]], // biome-ignore format: a table
  ])('%s', (_what, parallelisms, edges, expected) => {
    expect(pipelinedRegions(graphOf(parallelisms, edges))).toEqual(expected)
  })

  test('two subtasks are in one region exactly when pipelined channels lead from one to the other', () => {
    fc.assert(
      fc.property(randomStreamGraph(), streamGraph => {
        const graph = buildJobGraph(streamGraph)
        const regions = pipelinedRegions(graph)
        const first = new Map<string, number>()
        let count = 0
        for (const { id, parallelism } of graph.vertices) {
          first.set(id, count)
          count += parallelism
        }
        // Each one's mark spreads over its channels until nothing changes.
        const marks = Array.from({ length: count }, (_, index) => index)
        const channels = graph.edges.flatMap(({ source, target, partitioner }) => {
          const [producers, consumers] = [source.vertexId, target.vertexId].map(
            id => graph.vertices.find(vertex => vertex.id === id)?.parallelism ?? 0,
          )
          return Array.from({ length: producers ?? 0 }, (_, producer) =>
            consumersOf(partitioner, producer, producers ?? 0, consumers ?? 0).map(
              consumer => [(first.get(source.vertexId) ?? 0) + producer, (first.get(target.vertexId) ?? 0) + consumer] as const,
            ),
          ).flat()
        })
        for (let changed = true; changed; ) {
          changed = false
          for (const [a, b] of channels) {
            const least = Math.min(marks[a] ?? 0, marks[b] ?? 0)
            changed ||= marks[a] !== least || marks[b] !== least
            marks[a] = least
            marks[b] = least
          }
        }
        expect(regions).toHaveLength(count)
        for (let a = 0; a < count; a++) for (let b = 0; b < count; b++) expect(regions[a] === regions[b]).toBe(marks[a] === marks[b])
      }),
    )
  })
})

describe('what is restarted', () => {
  // Two sources, each with a blocking result that one reader reads, and a third vertex behind a result of the first reader.
  const graph = graphOf(
    [1, 1, 1, 1],
    [
      [0, 2, 'HASH', 'blocking'],
      [1, 2, 'HASH', 'blocking'],
      [2, 3, 'HASH', 'blocking'],
    ],
  )
  const restarted = (failed: number, lost: readonly number[]) =>
    [...regionsToRestart(graph, pipelinedRegions(graph), new Set([failed]), subtask => lost.includes(subtask))].sort()

  test('the region of what has failed, and those that read its results', () => {
    expect(restarted(3, [])).toEqual([3])
    expect(restarted(2, [])).toEqual([2, 3])
    expect(restarted(0, [])).toEqual([0, 2, 3])
  })

  test('those whose results are lost and are read again, back to the first one whose result is there', () => {
    expect(restarted(2, [1])).toEqual([1, 2, 3])
    expect(restarted(3, [2])).toEqual([2, 3])
    expect(restarted(3, [2, 0])).toEqual([0, 2, 3])
    expect(restarted(3, [0, 1])).toEqual([3])
  })

  test('nothing else where pipelines have nothing to do with each other', () => {
    const two = graphOf([2, 2, 2], [[0, 1, 'HASH']])
    expect([...regionsToRestart(two, pipelinedRegions(two), new Set([0]), () => true)]).toEqual([0])
    expect([...regionsToRestart(two, pipelinedRegions(two), new Set([2]), () => true)]).toEqual([2])
  })
})
