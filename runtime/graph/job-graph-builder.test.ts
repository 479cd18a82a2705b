import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import type { JobGraph } from './job-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { murmur3Hex } from './murmur3-128.ts'
import { planFigures } from './plan-text.ts'

const names = (jobGraph: JobGraph) => jobGraph.vertices.map(vertex => vertex.name)

/** S4's job: source -> flatMap -> keyBy(0).sum(1) -> print, with or without its slot sharing groups. */
function sharingJob(groups: boolean, settings: { sum?: number; print?: number } = {}): StreamGraphBuilder {
  const graph = new StreamGraphBuilder()
  graph
    .source('words')
    .map('Flat Map', groups ? { slotSharingGroup: 'red' } : {})
    .keyed('sum', { ...(groups ? { slotSharingGroup: 'blue' } : {}), ...(settings.sum === undefined ? {} : { parallelism: settings.sum }) })
    .sink('print', settings.print === undefined ? {} : { parallelism: settings.print })
  return graph
}

describe('T1: slots, vertices and subtasks', () => {
  test.each([1, 2, 4])('with three groups at parallelism %i', parallelism => {
    const jobGraph = buildJobGraph(sharingJob(true).build({ parallelism }))
    expect(names(jobGraph)).toEqual(['Source: words', 'Flat Map', 'sum -> Sink: print'])
    expect(planFigures(jobGraph)).toMatchObject({ slotsRequired: 3 * parallelism, subtaskCount: 3 * parallelism, parallelism })
  })

  test('without groups', () => {
    const jobGraph = buildJobGraph(sharingJob(false).build({ parallelism: 4 }))
    expect(names(jobGraph)).toEqual(['Source: words -> Flat Map', 'sum -> Sink: print'])
    expect(planFigures(jobGraph)).toMatchObject({ slotsRequired: 4, subtaskCount: 8 })
  })

  test('without groups and with a sink of parallelism 1', () => {
    const jobGraph = buildJobGraph(sharingJob(false, { print: 1 }).build({ parallelism: 2 }))
    expect(names(jobGraph)).toEqual(['Source: words -> Flat Map', 'sum', 'Sink: print'])
    expect(planFigures(jobGraph)).toMatchObject({ slotsRequired: 2, vertexCount: 3, subtaskCount: 5 })
    expect(jobGraph.edges.map(edge => edge.partitioner)).toEqual(['HASH', 'REBALANCE'])
  })

  test('with groups and sum at parallelism 2', () => {
    const jobGraph = buildJobGraph(sharingJob(true, { sum: 2 }).build({ parallelism: 1 }))
    expect(planFigures(jobGraph)).toMatchObject({ slotsRequired: 4, vertexCount: 4, subtaskCount: 5, parallelism: 2 })
  })
})

describe('slot sharing groups', () => {
  test('C10: print after sum in blue lies in blue and is chained', () => {
    const jobGraph = buildJobGraph(sharingJob(true).build())
    expect(jobGraph.vertices.map(vertex => vertex.slotSharingGroup)).toEqual(['default', 'red', 'blue'])
  })

  test('naming default overrides what would be inherited', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words', { slotSharingGroup: 'red' }).map('a').map('b', { slotSharingGroup: 'default' })
    expect(buildJobGraph(graph.build()).vertices.map(vertex => [vertex.name, vertex.slotSharingGroup])).toEqual([
      ['Source: words -> a', 'red'],
      ['b', 'default'],
    ])
  })

  test('inputs of different groups put an operator into default', () => {
    const graph = new StreamGraphBuilder()
    const red = graph.source('a', { slotSharingGroup: 'red' })
    const blue = graph.source('b', { slotSharingGroup: 'blue' })
    graph.operator('map', 'both', [{ from: red }, { from: blue }])
    graph.operator('map', 'red twice', [{ from: red }, { from: red, input: 1 }])
    expect(buildJobGraph(graph.build()).vertices.map(vertex => vertex.slotSharingGroup)).toEqual(['red', 'blue', 'default', 'red'])
  })
})

describe('parallelism', () => {
  const layers = { operator: 7, environment: 6, code: 5, client: 4, configuration: 3 }
  test.each([
    ['operator', layers, 7, 'operator'],
    ['environment', { ...layers, operator: undefined }, 6, 'environment'],
    ['options set in code', { ...layers, operator: undefined, environment: undefined }, 5, 'environment'],
    ['client', { client: 4, configuration: 3 }, 4, 'client'],
    ['configuration', { configuration: 3 }, 3, 'configuration'],
    ['default', {}, 2, 'default'],
  ] as const)('%s wins over what is below it', (_, given: Partial<Record<keyof typeof layers, number | undefined>>, parallelism, origin) => {
    const entry = (value: number | undefined): Record<string, string> => (value === undefined ? {} : { 'parallelism.default': `${value}` })
    const graph = new StreamGraphBuilder()
    graph.source('words').map('map', given.operator === undefined ? {} : { parallelism: given.operator })
    const jobGraph = buildJobGraph(graph.build({ parallelism: given.environment, configuration: entry(given.code) }), {
      client: entry(given.client),
      configuration: entry(given.configuration),
      defaultParallelism: 2,
    })
    const vertex = jobGraph.vertices.find(candidate => candidate.operators.some(spec => spec.name === 'map'))
    expect(vertex?.parallelism).toBe(parallelism)
    expect(vertex?.operators.at(-1)?.parallelismOrigin).toBe(origin)
  })

  test('a non-parallel operator keeps 1, whatever the others say', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words').keyed('windowAll', { nonParallel: true })
    const [, vertex] = buildJobGraph(graph.build({ parallelism: 4, maxParallelism: 64 })).vertices
    expect(vertex).toMatchObject({ parallelism: 1, maxParallelism: 1, operators: [{ parallelismOrigin: 'non-parallel' }] })
  })

  test('more than 1 for a non-parallel operator is refused', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words').keyed('windowAll', { nonParallel: true, parallelism: 2 })
    expect(() => buildJobGraph(graph.build())).toThrow("operator 'windowAll': The parallelism of non parallel operator must be 1.")
  })

  test.each([
    [{}, {}, {}, 1, 128],
    [{}, {}, {}, 100, 256],
    [{}, {}, { 'pipeline.max-parallelism': '200' }, 4, 200],
    [{}, { maxParallelism: 300 }, { 'pipeline.max-parallelism': '200' }, 4, 300],
    [{ maxParallelism: 400 }, { maxParallelism: 300 }, {}, 4, 400],
  ])(
    'max parallelism: operator %o, environment %o, configuration %o, parallelism %i -> %i',
    (operator, environment, configuration, parallelism, expected) => {
      const graph = new StreamGraphBuilder()
      graph.source('words', operator).sink('print')
      expect(buildJobGraph(graph.build({ parallelism, ...environment }), { configuration }).vertices[0]?.maxParallelism).toBe(expected)
    },
  )

  test('more subtasks than the max parallelism are refused, naming the operator', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words').map('wide', { parallelism: 8, maxParallelism: 4 })
    expect(() => buildJobGraph(graph.build())).toThrow("operator 'wide': parallelism (8) is higher than the max parallelism (4)")
  })

  test('a configured parallelism that is no number is refused', () => {
    expect(() => buildJobGraph(sharingJob(false).build(), { client: { 'parallelism.default': 'two' } })).toThrow('parallelism.default')
    expect(() => buildJobGraph(sharingJob(false).build(), { client: { 'parallelism.default': '0' } })).toThrow('parallelism 0 (client)')
  })
})

describe('edges', () => {
  test('an explicit forward between different parallelism is refused, naming both operators', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words', { parallelism: 2 }).map('map', { parallelism: 3, partitioner: 'FORWARD', explicit: true })
    expect(() => buildJobGraph(graph.build())).toThrow(
      "forward partitioning does not allow a change of parallelism: operator 'Source: words' has 2, operator 'map' has 3",
    )
  })

  test('an explicit forward between equal parallelism is chained', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words').map('map', { partitioner: 'FORWARD', explicit: true })
    expect(names(buildJobGraph(graph.build({ parallelism: 3 })))).toEqual(['Source: words -> map'])
  })

  test('say where they leave the chain, where they enter, and what is on them', () => {
    const graph = new StreamGraphBuilder()
    const split = graph.source('words').map('split', { sideOutputs: ['late'] })
    split.map('odd')
    graph.operator('connect', 'joined', [
      { from: split, tag: 'late', partitioner: 'HASH', input: 0 },
      { from: split, partitioner: 'BROADCAST', input: 1 },
    ])
    const jobGraph = buildJobGraph(graph.build())
    const [first, second] = jobGraph.vertices
    expect(jobGraph.edges).toEqual([
      {
        id: 0,
        source: { vertexId: first?.id, operatorIndex: 1, tag: 'late' },
        target: { vertexId: second?.id, input: 0 },
        partitioner: 'HASH',
        type: { kind: 'STRING' },
        keyType: { kind: 'STRING' },
        exchange: 'pipelined_bounded',
        nodeInput: { nodeId: 4, index: 0 },
      },
      expect.objectContaining({
        id: 1,
        partitioner: 'BROADCAST',
        keyType: undefined,
        target: { vertexId: second?.id, input: 1 },
        nodeInput: { nodeId: 4, index: 1 },
      }),
    ])
    expect(second?.inputCount).toBe(2)
  })

  test('a side output that nobody declared is refused by name', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words').map('map', { tag: 'late' })
    expect(() => buildJobGraph(graph.build())).toThrow("operator 'Source: words' has no side output 'late'")
  })
})

describe('names', () => {
  test('chains are named in Flink’s way', () => {
    const graph = new StreamGraphBuilder()
    const flat = graph.source('words').map('Flat Map')
    flat.sink('a')
    flat.map('Filter').sink('b')
    const jobGraph = buildJobGraph(graph.build())
    expect(names(jobGraph)).toEqual(['Source: words -> Flat Map -> (Sink: a, Filter -> Sink: b)'])
    expect(jobGraph.vertices[0]?.operators.map(spec => [spec.name, spec.parent])).toEqual([
      ['Source: words', -1],
      ['Flat Map', 0],
      ['Sink: a', 1],
      ['Filter', 1],
      ['Sink: b', 3],
    ])
  })
})

test('a name that carries its prefix already does not get it twice', () => {
  const graph = new StreamGraphBuilder()
  graph.source('Source: words').sink('Sink: Print to Std. Out')
  expect(names(buildJobGraph(graph.build()))).toEqual(['Source: words -> Sink: Print to Std. Out'])
})

describe('operator ids', () => {
  const ids = (graph: StreamGraphBuilder, parallelism?: number) =>
    new Map(buildJobGraph(graph.build({ parallelism })).vertices.flatMap(vertex => vertex.operators.map(spec => [spec.name, spec.operatorId])))

  test('come from the uid', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words', { uid: 'words-source' }).sink('print')
    expect(ids(graph).get('Source: words')).toBe(murmur3Hex('words-source'))
  })

  test('change neither with parallelism and chaining nor with a new branch elsewhere', () => {
    const before = ids(sharingJob(false), 4)
    const after = sharingJob(true, { print: 1 })
    after.source('other').sink('elsewhere')
    const grown = ids(after, 2)
    for (const name of ['Source: words', 'Flat Map', 'sum', 'Sink: print']) expect(grown.get(name)).toBe(before.get(name))
  })

  test('are all different, twins included', () => {
    const graph = new StreamGraphBuilder()
    const source = graph.source('a')
    graph.source('b').map('c')
    source.map('d')
    source.map('e')
    expect(new Set(ids(graph).values()).size).toBe(5)
  })

  test('a uid used twice is refused, naming both operators', () => {
    const graph = new StreamGraphBuilder()
    graph.source('words', { uid: 'x' }).map('map', { uid: 'x' })
    expect(() => buildJobGraph(graph.build())).toThrow("operators 'Source: words' and 'map' have the same id, uid 'x'")
  })
})

describe('impossible graphs', () => {
  test.each([
    ['no node', () => new StreamGraphBuilder()],
    ['sources that nobody reads', () => new StreamGraphBuilder().source('words').graph],
  ])('%s: no operators defined', (_, graph) => {
    expect(() => buildJobGraph(graph().build())).toThrow('No operators defined in streaming topology. Cannot execute.')
  })

  test('a cycle is refused, naming its operators', () => {
    const graph = new StreamGraphBuilder()
    const head = graph.source('words').map('head')
    const tail = head.map('tail')
    Object.assign(head.node, {
      inputs: [...head.node.inputs, { source: tail.node.id, tag: undefined, input: 0, partitioner: { kind: 'REBALANCE', explicit: true } }],
    })
    expect(() => buildJobGraph(graph.build())).toThrow("a cycle among the operators 'head', 'tail'")
  })

  test('XB13: an unbounded source in batch mode is refused by name', () => {
    const graph = new StreamGraphBuilder()
    graph.source('socket', {}, { enumerator: 'test', options: {}, bounded: false }).sink('print')
    expect(() => buildJobGraph(graph.build({ runtimeMode: 'BATCH' }))).toThrow("source 'Source: socket' is unbounded")
    expect(() => buildJobGraph(graph.build())).not.toThrow()
  })
})

test('without generated uids every operator with state needs one (seed D10)', () => {
  const states = [{ name: 'count', kind: 'value', type: { kind: 'LONG' }, namespace: { kind: 'VOID' } }] as const
  const build = (settings: { readonly uid?: string }) => {
    const graph = new StreamGraphBuilder()
    graph
      .source('words')
      .map('stateless')
      .keyed('count', { ...settings, definition: { states } })
      .sink('print')
    return buildJobGraph(graph.build(), { client: { 'pipeline.auto-generate-uids': 'false' } })
  }
  expect(() => build({ uid: 'count' })).not.toThrow()
  expect(() => build({})).toThrow(
    "Auto generated UIDs have been disabled (option pipeline.auto-generate-uids), but no uid has been assigned to 'count': call .uid(…) on each",
  )
})

test('a source that nobody reads does not run beside a real job', () => {
  const graph = sharingJob(false)
  graph.source('unused')
  expect(names(buildJobGraph(graph.build()))).toEqual(['Source: words -> Flat Map', 'sum -> Sink: print'])
})

test('lazy-from-sources makes exchanges blocking and leaves chains alone', () => {
  const jobGraph = buildJobGraph(sharingJob(false).build({ runtimeMode: 'BATCH' }))
  expect(jobGraph.edges.map(edge => edge.exchange)).toEqual(['blocking'])
  expect(jobGraph.vertices).toHaveLength(2)
})

test('every graph: each operator in one vertex, edges between heads in topological order, the same answer twice, JSON', () => {
  fc.assert(
    fc.property(randomStreamGraph(), streamGraph => {
      const jobGraph = buildJobGraph(streamGraph)
      expect(buildJobGraph(streamGraph)).toEqual(jobGraph)
      const specs = jobGraph.vertices.flatMap(vertex => vertex.operators)
      expect(new Set(specs.map(spec => spec.nodeId)).size).toBe(specs.length)
      const consumed = new Set(streamGraph.nodes.flatMap(node => node.inputs.map(edge => edge.source)))
      expect(specs.length).toBe(streamGraph.nodes.filter(node => node.kind !== 'source' || consumed.has(node.id)).length)
      const position = new Map(jobGraph.vertices.map((vertex, i) => [vertex.id, i]))
      for (const [i, edge] of jobGraph.edges.entries()) {
        expect(edge.id).toBe(i)
        expect(position.get(edge.source.vertexId)).toBeLessThan(position.get(edge.target.vertexId) ?? -1)
      }
      // Edges of the program are either inside a chain or job edges; none is lost or doubled.
      const inside = specs.filter(spec => spec.parent >= 0).length
      expect(inside + jobGraph.edges.length).toBe(streamGraph.nodes.reduce((sum, node) => sum + node.inputs.length, 0))
      const kinds = jobGraph.vertices.map(vertex => vertex.inputCount === 0)
      expect(kinds.lastIndexOf(true)).toBeLessThan(kinds.includes(false) ? kinds.indexOf(false) : kinds.length)
    }),
  )
})
