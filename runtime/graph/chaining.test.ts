import { expect, test } from 'vitest'
import { type NodeSettings, StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { chainingObstacle, type Link } from './chaining.ts'
import { buildJobGraph, type JobGraphOptions } from './job-graph-builder.ts'
import type { PartitionerKind, StreamGraph } from './stream-graph.ts'

function vertexCount(
  source: NodeSettings,
  map: NodeSettings & { partitioner?: PartitionerKind },
  settings: Partial<StreamGraph> = {},
  options: JobGraphOptions = {},
): number {
  const graph = new StreamGraphBuilder()
  graph.source('words', source).map('map', map)
  return buildJobGraph(graph.build({ parallelism: 2, ...settings }), options).vertices.length
}

test('two operators that meet every condition are chained', () => {
  expect(vertexCount({}, {})).toBe(1)
})

test('two with different max parallelism too, as in Flink', () => {
  expect(vertexCount({ maxParallelism: 64 }, { maxParallelism: 128 })).toBe(1)
})

test('a head may be followed', () => {
  expect(vertexCount({ chaining: 'head' }, {})).toBe(1)
})

test.each<[string, NodeSettings, NodeSettings & { partitioner?: PartitionerKind }, Partial<StreamGraph>, JobGraphOptions]>([
  ['different slot sharing groups', { slotSharingGroup: 'red' }, { slotSharingGroup: 'blue' }, {}, {}],
  ['an upstream operator with chaining disabled', { chaining: 'never' }, {}, {}, {}],
  ['a downstream operator with chaining disabled', {}, { chaining: 'never' }, {}, {}],
  ['a downstream operator that starts a new chain', {}, { chaining: 'head' }, {}, {}],
  ['HASH', {}, { partitioner: 'HASH' }, {}, {}],
  ['REBALANCE', {}, { partitioner: 'REBALANCE' }, {}, {}],
  ['RESCALE', {}, { partitioner: 'RESCALE' }, {}, {}],
  ['SHUFFLE', {}, { partitioner: 'SHUFFLE' }, {}, {}],
  ['BROADCAST', {}, { partitioner: 'BROADCAST' }, {}, {}],
  ['GLOBAL', {}, { partitioner: 'GLOBAL' }, {}, {}],
  ['CUSTOM', {}, { partitioner: 'CUSTOM' }, {}, {}],
  ['different parallelism', { parallelism: 2 }, { parallelism: 3 }, {}, {}],
  ['chaining off in code', {}, {}, { chainingEnabled: false }, {}],
  ['chaining off by option', {}, {}, {}, { client: { 'pipeline.operator-chaining.enabled': 'false' } }],
])('not chained: %s', (_, source, map, settings, options) => {
  expect(vertexCount(source, map, settings, options)).toBe(2)
})

test('not chained: two input edges, even from one source', () => {
  const graph = new StreamGraphBuilder()
  const source = graph.source('words')
  graph.operator('map', 'union', [{ from: source }, { from: source }])
  expect(buildJobGraph(graph.build()).vertices.map(vertex => vertex.name)).toEqual(['Source: words', 'union'])
})

test('not chained: a blocking exchange, or a FORWARD whose parallelism was not settled', () => {
  const graph = new StreamGraphBuilder()
  const map = graph.source('words').map('map')
  const end = (node: typeof map.node, parallelism: number) => ({
    node,
    operatorId: '',
    parallelism,
    maxParallelism: 128,
    slotSharingGroup: 'default',
  })
  const [source] = graph.nodes
  const [edge] = map.node.inputs
  if (source === undefined || edge === undefined) throw new Error('the graph has a source and an edge')
  const link: Link = { edge, index: 0, source: end(source, 2), target: end(map.node, 2), partitioner: 'FORWARD', blocking: false }
  expect(chainingObstacle(link, true)).toBeUndefined()
  expect(chainingObstacle({ ...link, blocking: true }, true)).toBe('the exchange is blocking')
  expect(chainingObstacle({ ...link, target: end(map.node, 3) }, true)).toBe('parallelism 2 and 3 differ')
})

test('an edge from a side output is chained, and the chain knows its tag', () => {
  const graph = new StreamGraphBuilder()
  graph.source('words', { sideOutputs: ['late'] }).map('late rows', { tag: 'late' })
  const [vertex] = buildJobGraph(graph.build()).vertices
  expect(vertex?.operators.map(spec => spec.parentTag)).toEqual([undefined, 'late'])
})
