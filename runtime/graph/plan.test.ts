import { expect, test } from 'vitest'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { planJson } from './plan-json.ts'
import { planText } from './plan-text.ts'

function wordCount() {
  const graph = new StreamGraphBuilder()
  const counts = graph
    .source('words', { uid: 'words' })
    .map('Flat Map', { slotSharingGroup: 'red', parallelism: 3 })
    .keyed('sum', {
      chaining: 'head',
      definition: { states: [{ name: 'sum', kind: 'reducing', type: { kind: 'LONG' }, namespace: { kind: 'VOID' } }] },
    })
  counts.sink('a')
  counts.map('<b>').sink('c')
  return graph.build({ jobName: 'word count' })
}

test('the text shows vertices, slots, parallelism with its origin, partitioners, chaining and states', () => {
  const streamGraph = wordCount()
  const jobGraph = buildJobGraph(streamGraph, { client: { 'parallelism.default': '2' } })
  const ids = jobGraph.vertices.map(vertex => vertex.id)
  expect(planText(jobGraph, streamGraph)).toBe(`Job 'word count' (STREAMING, scheduling eager)
  job parallelism: 3
  vertices:        3
  subtasks:        7
  slots needed:    5 (default 2, red 3)
  state, no uid:   'sum'

#1 Source: words
   id ${ids[0]}, 2 subtasks, max parallelism 128, slot sharing group default
   Source: words: type source:test, parallelism 2 (client), uid 'words', output STRING

#2 Flat Map
   id ${ids[1]}, 3 subtasks, max parallelism 128, slot sharing group red
   reads #1 'Source: words': REBALANCE (ALL_TO_ALL, pipelined_bounded), STRING; not chained: slot sharing groups 'default' and 'red' differ
   Flat Map: type map, parallelism 3 (operator), output STRING

#3 sum -> (Sink: a, <b> -> Sink: c)
   id ${ids[2]}, 2 subtasks, max parallelism 128, slot sharing group red
   reads #2 'Flat Map': HASH by field word: STRING (ALL_TO_ALL, pipelined_bounded), STRING
   sum: type reduce, parallelism 2 (client), starts a new chain, output STRING
        state 'sum': ReducingState<LONG>
        warning: its state never shrinks: it keeps a value for every key that it has seen (docs/state.md)
   :- Sink: a: type sink:test, parallelism 2 (client), output STRING
   +- <b>: type map, parallelism 2 (client), output STRING
      +- Sink: c: type sink:test, parallelism 2 (client), output STRING
`)
})

test('the text of a lazy batch job shows its start order', () => {
  const streamGraph = { ...wordCount(), runtimeMode: 'BATCH' as const }
  const text = planText(buildJobGraph(streamGraph), streamGraph)
  expect(text).toContain('start order:     #1, then #2, then #3')
  expect(text).toContain('(ALL_TO_ALL, blocking)')
})

test('the text says why operators that look chainable are not', () => {
  const graph = new StreamGraphBuilder()
  const source = graph.source('words')
  source.map('slow', { parallelism: 3 })
  source.map('alone', { chaining: 'never' })
  const streamGraph = graph.build({ parallelism: 2 })
  expect(planText(buildJobGraph(streamGraph), streamGraph)).toContain('; not chained: parallelism 2 and 3 differ')
  expect(planText(buildJobGraph(streamGraph), streamGraph)).toContain("; not chained: chaining is disabled for 'alone'")
  const off = buildJobGraph(streamGraph, { client: { 'pipeline.operator-chaining.enabled': 'false' } })
  expect(planText(off, streamGraph)).toContain('; not chained: chaining is off')
  expect(planText(off, streamGraph)).toContain('chaining:        off')
})

test('the JSON is Flink’s', () => {
  const jobGraph = buildJobGraph(wordCount())
  const ids = jobGraph.vertices.map(vertex => vertex.id)
  const node = { operator: '', operator_strategy: '', optimizer_properties: {} }
  expect(planJson('0'.repeat(32), jobGraph)).toEqual({
    jid: '0'.repeat(32),
    name: 'word count',
    type: 'STREAMING',
    nodes: [
      { ...node, id: ids[0], parallelism: 1, description: 'Source: words<br/>' },
      {
        ...node,
        id: ids[1],
        parallelism: 3,
        description: 'Flat Map<br/>',
        inputs: [{ num: 0, id: ids[0], ship_strategy: 'REBALANCE', exchange: 'pipelined_bounded' }],
      },
      {
        ...node,
        id: ids[2],
        parallelism: 1,
        description: 'sum<br/>:- Sink: a<br/>+- &lt;b&gt;<br/>   +- Sink: c<br/>',
        inputs: [{ num: 0, id: ids[1], ship_strategy: 'HASH', exchange: 'pipelined_bounded' }],
      },
    ],
  })
})
