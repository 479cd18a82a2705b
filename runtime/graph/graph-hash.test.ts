import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStreamGraph } from '../../test/support/random-stream-graph.ts'
import { type NodeSettings, primitiveType, StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { compareGraphs, compareOperators } from './graph-hash.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import type { OperatorDefinition, StreamGraph } from './stream-graph.ts'

const definition: Partial<OperatorDefinition> = {
  options: { sizeMs: 10, offsetMs: 0 },
  functions: [{ role: 'map', source: 'x => x + 1' }],
  states: [{ name: 'count', kind: 'value', type: { kind: 'LONG' }, namespace: { kind: 'VOID' } }],
}

function job(map: NodeSettings = { definition }, source: NodeSettings = {}): StreamGraph {
  const graph = new StreamGraphBuilder()
  graph.source('words', source).map('map', map).sink('print')
  return graph.build()
}

test('the same program compares equal, whatever its parallelism, chaining and names there', () => {
  const expected = buildJobGraph(job())
  expect(compareGraphs(expected, job())).toBeUndefined()
  expect(compareGraphs(expected, { ...job({ definition, parallelism: 7 }), chainingEnabled: false })).toBeUndefined()
})

test.each<[string, Partial<OperatorDefinition>, string]>([
  ['another type', { type: 'flatMap' }, 'type is flatMap, expected map'],
  ['another option', { options: { sizeMs: 20, offsetMs: 0 } }, 'options differ: sizeMs is 20, expected 10'],
  ['a missing option', { options: { offsetMs: 0 } }, 'options differ: sizeMs is not set, expected 10'],
  ['another function', { functions: [{ role: 'map', source: 'x => x + 2' }] }, 'source text of its functions differs (map)'],
  [
    'another state',
    { states: [{ name: 'count', kind: 'list', type: { kind: 'LONG' }, namespace: { kind: 'VOID' } }] },
    "declared states differ: list 'count'",
  ],
])('%s is named', (_, change, what) => {
  expect(compareGraphs(buildJobGraph(job()), job({ definition: { ...definition, ...change } }))).toEqual({ operator: 'map', nodeId: 2, what })
})

test('another uid and another output type are named', () => {
  const expected = buildJobGraph(job({ definition, uid: 'a' }))
  expect(compareGraphs(expected, job())?.what).toBe("uid is not set, expected 'a'")
  expect(compareGraphs(expected, job({ definition, uid: 'a', outputType: primitiveType('INT') }))).toMatchObject({
    operator: 'map',
    what: 'output types differ: main output is INT',
  })
})

test('the first operator that differs is named, not those behind it', () => {
  const expected = buildJobGraph(job())
  const difference = compareGraphs(expected, job({ definition: { ...definition, type: 'filter' } }, { outputType: primitiveType('INT') }))
  expect(difference).toMatchObject({ operator: 'Source: words', nodeId: 1 })
})

test('operators too few and too many are named', () => {
  const shorter = new StreamGraphBuilder()
  shorter.source('words').map('map', { definition })
  expect(compareGraphs(buildJobGraph(job()), shorter.build())).toEqual({ operator: 'Sink: print', nodeId: 3, what: 'the operator is missing' })
  expect(compareGraphs(buildJobGraph(shorter.build()), job())).toEqual({
    operator: 'Sink: print',
    nodeId: 3,
    what: 'the operator is not in the submitted graph',
  })
})

test('a slot that knows only some operators does not mind the others', () => {
  const [first] = buildJobGraph({ ...job(), chainingEnabled: false }).vertices
  expect(compareOperators(first?.operators ?? [], job())).toBeUndefined()
  expect(compareOperators(first?.operators ?? [], job({ definition }, { uid: 'x' }))).toMatchObject({
    operator: 'Source: words',
    what: "uid is 'x', expected none",
  })
})

test('another partitioner is a difference of the inputs', () => {
  const graph = (partitioner: 'REBALANCE' | 'SHUFFLE') => {
    const builder = new StreamGraphBuilder()
    builder.source('words').map('map', { partitioner })
    return builder.build()
  }
  expect(compareGraphs(buildJobGraph(graph('REBALANCE')), graph('SHUFFLE'))).toMatchObject({
    operator: 'map',
    what: expect.stringContaining('inputs differ'),
  })
})

test('data of sources is not compared: workers use the JobGraph’s', () => {
  const graph = (values: number[]) => {
    const builder = new StreamGraphBuilder()
    builder.source('collection', {}, { enumerator: 'collection', options: { values }, bounded: true }).sink('print')
    return builder.build()
  }
  expect(compareGraphs(buildJobGraph(graph([1])), graph([2]))).toBeUndefined()
})

test('every random graph equals itself', () => {
  fc.assert(fc.property(randomStreamGraph(), graph => compareGraphs(JSON.parse(JSON.stringify(buildJobGraph(graph))), graph) === undefined))
})
