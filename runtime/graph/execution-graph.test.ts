import { expect, test } from 'vitest'
import { StreamGraphBuilder } from '../../test/support/stream-graph-builder.ts'
import {
  countStates,
  createExecutionGraph,
  type Execution,
  type ExecutionGraph,
  type ExecutionState,
  executionOfSubtask,
  executionTransitions,
  finishedVertices,
  isTerminal,
  mayTransition,
  taskName,
  transition,
  transitionText,
  vertexState,
} from './execution-graph.ts'
import { buildJobGraph } from './job-graph-builder.ts'

const location = { allocationId: 'a', taskManagerId: 'tm-1', host: 'host-1', dataPort: 6121 }

function wordCount(): ExecutionGraph {
  const graph = new StreamGraphBuilder()
  graph.source('words').keyed('sum')
  let next = 0
  return createExecutionGraph('job', buildJobGraph(graph.build({ parallelism: 2 })), { attempt: 0, nowMs: 100, newExecutionId: () => `e${next++}` })
}

function after(graph: ExecutionGraph, executionId: string, ...states: ExecutionState[]): ExecutionGraph {
  return states.reduce((current, state, i) => {
    const step = transition(current, executionId, state, 200 + i)
    if (step === undefined) throw new Error(`no edge to ${state.name}`)
    return step.graph
  }, graph)
}

test('has one execution per subtask, created at a time', () => {
  const graph = wordCount()
  expect(graph.executions.map(execution => taskName(graph.jobGraph, execution))).toEqual([
    'Source: words (1/2)',
    'Source: words (2/2)',
    'sum (1/2)',
    'sum (2/2)',
  ])
  expect(graph.executions[0]).toMatchObject({ executionId: 'e0', attempt: 0, state: { name: 'CREATED' }, enteredMs: { CREATED: 100 } })
})

test('a transition answers a new graph and leaves the old one as it was', () => {
  const graph = wordCount()
  const step = transition(graph, 'e1', { name: 'SCHEDULED' }, 250)
  expect(step?.after).toMatchObject({ executionId: 'e1', state: { name: 'SCHEDULED' }, enteredMs: { CREATED: 100, SCHEDULED: 250 } })
  expect(countStates(graph.executions).SCHEDULED).toBe(0)
  expect(countStates(step?.graph.executions ?? [])).toMatchObject({ CREATED: 3, SCHEDULED: 1 })
})

test('late, doubled and foreign messages are answered with undefined', () => {
  const graph = after(
    wordCount(),
    'e0',
    { name: 'SCHEDULED' },
    { name: 'DEPLOYING', location },
    { name: 'RUNNING', location },
    { name: 'FINISHED', location },
  )
  expect(transition(graph, 'e0', { name: 'FINISHED', location }, 300)).toBeUndefined()
  expect(transition(graph, 'e0', { name: 'INITIALIZING', location }, 300)).toBeUndefined()
  expect(transition(graph, 'of an earlier attempt', { name: 'SCHEDULED' }, 300)).toBeUndefined()
})

test('every state but the terminal ones can be cancelled and can fail', () => {
  for (const [name, next] of Object.entries(executionTransitions)) {
    const from = name as keyof typeof executionTransitions
    expect(isTerminal(from)).toBe(next.length === 0)
    if (isTerminal(from)) continue
    expect(mayTransition(from, 'FAILED')).toBe(true)
    expect(mayTransition(from, 'CANCELED') || mayTransition(from, 'CANCELING')).toBe(true)
  }
})

test('the text of a transition is Flink’s', () => {
  const graph = after(wordCount(), 'e1', { name: 'SCHEDULED' }, { name: 'DEPLOYING', location }, { name: 'RUNNING', location })
  const error = { name: 'Error', code: 'INTERNAL' as const, message: 'boom', stack: '', cause: undefined }
  const step = transition(graph, 'e1', { name: 'FAILED', location, error }, 300)
  if (step === undefined) throw new Error('RUNNING may fail')
  expect(transitionText(graph.jobGraph, step.before, step.after)).toBe(
    'Source: words (2/2) (e1) switched from RUNNING to FAILED on tm-1 @ host-1 (dataPort=6121).',
  )
  const scheduled = transition(wordCount(), 'e0', { name: 'SCHEDULED' }, 1)
  if (scheduled === undefined) throw new Error('CREATED may be scheduled')
  expect(transitionText(graph.jobGraph, scheduled.before, scheduled.after)).toBe('Source: words (1/2) (e0) switched from CREATED to SCHEDULED.')
})

test.each([
  [['RUNNING', 'FAILED', 'CANCELING'], 'FAILED'],
  [['RUNNING', 'CANCELED', 'CANCELING'], 'CANCELING'],
  [['FINISHED', 'CANCELED'], 'CANCELED'],
  [['RUNNING', 'INITIALIZING'], 'INITIALIZING'],
  [['RUNNING', 'SCHEDULED'], 'RUNNING'],
  [['FINISHED', 'SCHEDULED'], 'RUNNING'],
  [['FINISHED', 'FINISHED'], 'FINISHED'],
  [['SCHEDULED', 'DEPLOYING'], 'CREATED'],
] as const)('a vertex with subtasks %o is %s', (states, expected) => {
  const executions = states.map(name => ({ state: { name } }) as unknown as Execution)
  expect(vertexState(executions)).toBe(expected)
})

test('a vertex has finished when all of its subtasks have', () => {
  const run: ExecutionState[] = [
    { name: 'SCHEDULED' },
    { name: 'DEPLOYING', location },
    { name: 'INITIALIZING', location },
    { name: 'RUNNING', location },
  ]
  const graph = wordCount()
  const source = executionOfSubtask(graph, graph.jobGraph.vertices[0]?.id ?? '', 1)
  const half = after(graph, 'e0', ...run, { name: 'FINISHED', location })
  expect(finishedVertices(half)).toEqual(new Set())
  expect(finishedVertices(after(half, source.executionId, ...run, { name: 'FINISHED', location }))).toEqual(new Set([source.vertexId]))
})
