import { describe, expect, test } from 'vitest'
import { simJobGraph } from '../../test/support/sim-cluster.ts'
import type { JobGraph } from './job-graph.ts'
import { checkRequirements, requirementsOf, rescaled } from './rescale.ts'

const graph = simJobGraph('job', [
  { name: 'source', parallelism: 2 },
  { name: 'work', parallelism: 2 },
])
const [source = '', work = ''] = graph.vertices.map(({ id }) => id)
const parallelisms = (of: JobGraph | undefined) => of?.vertices.map(({ parallelism }) => parallelism)

describe('resource requirements', () => {
  test('of a job that nobody has asked anything of are what it runs with', () => {
    expect(requirementsOf(graph)).toEqual({ [source]: { lowerBound: 1, upperBound: 2 }, [work]: { lowerBound: 1, upperBound: 2 } })
  })

  test.each([
    ['upper bounds where there is room', 8, [3, 4]],
    ['as many as slots, where there is less', 3, [3, 3]],
    ['never below a lower bound', 2, [2, 2]],
    ['no room for the lower bounds', 1, undefined],
  ] as const)('%s', (_what, slots, expected) => {
    const requirements = { [source]: { lowerBound: 1, upperBound: 3 }, [work]: { lowerBound: 2, upperBound: 4 } }
    expect(parallelisms(rescaled(graph, requirements, slots))).toEqual(expected)
  })

  test('slots of other sharing groups count as well', () => {
    const grouped = simJobGraph('job', [
      { name: 'a', parallelism: 1 },
      { name: 'b', parallelism: 1, group: 'other' },
    ])
    const requirements = Object.fromEntries(grouped.vertices.map(({ id }) => [id, { lowerBound: 1, upperBound: 4 }]))
    expect(parallelisms(rescaled(grouped, requirements, 5))).toEqual([2, 2])
  })

  test('FORWARD edges keep both ends alike', () => {
    const forward = { ...graph, edges: graph.edges.map(edge => ({ ...edge, partitioner: 'FORWARD' as const })) }
    const uneven = { [source]: { lowerBound: 1, upperBound: 1 }, [work]: { lowerBound: 1, upperBound: 2 } }
    expect(() => rescaled(forward, uneven, 8)).toThrow("'source' (1) sends FORWARD to 'work' (2); both need the same parallelism")
  })

  test.each([
    [{}, "vertex 'source' (00000000000000000000000000000001) is missing; all vertices must be named"],
    [{ abc: { lowerBound: 1, upperBound: 1 } }, 'the job has no vertex abc'],
    [{ [source]: { lowerBound: 0, upperBound: 1 } }, 'expected 1 <= lowerBound <= upperBound <= 128 (its max parallelism), got 0 and 1'],
    [{ [source]: { lowerBound: 2, upperBound: 1 } }, 'got 2 and 1'],
    [{ [source]: { lowerBound: 1, upperBound: 129 } }, 'got 1 and 129'],
    [{ [source]: { lowerBound: 1, upperBound: 1.5 } }, 'got 1 and 1.5'],
  ])('what cannot be is refused with the vertex: %#', (requirements, message) => {
    expect(() => checkRequirements(graph, requirements)).toThrow(message)
  })
})
