import { assert } from '../common/assert.ts'
import type { SerializedError } from '../common/errors.ts'
import type { JobGraph, JobVertex } from './job-graph.ts'
import { pipelinedRegions } from './regions.ts'

/**
 * ExecutionGraph: one execution (attempt of a subtask) per parallel subtask of a JobGraph, as data. The JobMaster holds the current
 * value and replaces it by what `transition` answers; logging, deploying and cancelling are its own.
 *
 * Invariants: executions stand in vertex order, then subtask order; state changes follow `executionTransitions`; terminal states are
 * final. Behind a failure the executions of whole regions are replaced by new ones (`withNewAttempts`).
 */
export interface ExecutionGraph {
  readonly jobId: string
  readonly jobGraph: JobGraph
  /** Of each execution, in their order (regions.ts). */
  readonly regions: readonly number[]
  readonly executions: readonly Execution[]
}

export interface Execution {
  /** 32 hex. */
  readonly executionId: string
  readonly vertexId: string
  readonly subtaskIndex: number
  /** How often its region was deployed before. */
  readonly attempt: number
  readonly state: ExecutionState
  /** When each state was entered, epoch ms; what REST shows as timestamps. */
  readonly enteredMs: Readonly<Partial<Record<ExecutionStateName, number>>>
}

/** Where a subtask runs. */
export interface ExecutionLocation {
  readonly allocationId: string
  readonly taskManagerId: string
  readonly host: string
  readonly dataPort: number
}

export type ExecutionState =
  | { readonly name: 'CREATED' | 'SCHEDULED' }
  | { readonly name: 'DEPLOYING' | 'INITIALIZING' | 'RUNNING'; readonly location: ExecutionLocation }
  | { readonly name: 'CANCELING'; readonly location: ExecutionLocation }
  /** `location` is undefined when it ended before it was deployed. */
  | { readonly name: 'FINISHED' | 'CANCELED'; readonly location: ExecutionLocation | undefined }
  | { readonly name: 'FAILED'; readonly location: ExecutionLocation | undefined; readonly error: SerializedError }

export type ExecutionStateName = ExecutionState['name']

/** Flink's order of states, and its edges. A task may finish or fail while it is being cancelled: the message crosses the cancel call. */
export const executionTransitions = {
  CREATED: ['SCHEDULED', 'CANCELED', 'FAILED'],
  SCHEDULED: ['DEPLOYING', 'CANCELED', 'FAILED'],
  DEPLOYING: ['INITIALIZING', 'RUNNING', 'FINISHED', 'CANCELING', 'CANCELED', 'FAILED'],
  INITIALIZING: ['RUNNING', 'FINISHED', 'CANCELING', 'CANCELED', 'FAILED'],
  RUNNING: ['FINISHED', 'CANCELING', 'CANCELED', 'FAILED'],
  CANCELING: ['FINISHED', 'CANCELED', 'FAILED'],
  FINISHED: [],
  CANCELED: [],
  FAILED: [],
} as const satisfies Record<ExecutionStateName, readonly ExecutionStateName[]>

export const executionStateNames = Object.keys(executionTransitions) as readonly ExecutionStateName[]

export function createExecutionGraph(
  jobId: string,
  jobGraph: JobGraph,
  options: { readonly attempt: number; readonly nowMs: number; readonly newExecutionId: () => string },
): ExecutionGraph {
  const { attempt, nowMs, newExecutionId } = options
  const executions = jobGraph.vertices.flatMap(vertex =>
    Array.from({ length: vertex.parallelism }, (_, subtaskIndex) => newExecution(vertex.id, subtaskIndex, attempt, nowMs, newExecutionId())),
  )
  return { jobId, jobGraph, regions: pipelinedRegions(jobGraph), executions }
}

/** The graph with new executions, not scheduled yet, for all subtasks of these regions. */
export function withNewAttempts(
  graph: ExecutionGraph,
  regions: ReadonlySet<number>,
  options: { readonly nowMs: number; readonly newExecutionId: () => string },
): ExecutionGraph {
  const executions = graph.executions.map((execution, index): Execution => {
    if (!regions.has(graph.regions[index] ?? -1)) return execution
    const { vertexId, subtaskIndex, attempt } = execution
    return newExecution(vertexId, subtaskIndex, attempt + 1, options.nowMs, options.newExecutionId())
  })
  return { ...graph, executions }
}

export function executionsIn(graph: ExecutionGraph, regions: ReadonlySet<number>): readonly Execution[] {
  return graph.executions.filter((_, index) => regions.has(graph.regions[index] ?? -1))
}

/** The regions of those that are of this graph. */
export function regionsOf(graph: ExecutionGraph, executions: readonly Execution[]): ReadonlySet<number> {
  const ids = new Set(executions.map(({ executionId }) => executionId))
  return new Set(graph.regions.filter((_, index) => ids.has(graph.executions[index]?.executionId ?? '')))
}

function newExecution(vertexId: string, subtaskIndex: number, attempt: number, nowMs: number, executionId: string): Execution {
  return { executionId, vertexId, subtaskIndex, attempt, state: { name: 'CREATED' }, enteredMs: { CREATED: nowMs } }
}

export function isTerminal(state: ExecutionState | ExecutionStateName): boolean {
  const name = typeof state === 'string' ? state : state.name
  return executionTransitions[name].length === 0
}

export function mayTransition(from: ExecutionStateName, to: ExecutionStateName): boolean {
  const allowed: readonly ExecutionStateName[] = executionTransitions[from]
  return allowed.includes(to)
}

/**
 * The graph with one execution in its next state, and what changed; undefined when the message is late or doubled: unknown execution
 * (an earlier attempt's), same state, or no such edge. The caller drops such a message, for the network may repeat and reorder them.
 */
export function transition(
  graph: ExecutionGraph,
  executionId: string,
  next: ExecutionState,
  nowMs: number,
): { readonly graph: ExecutionGraph; readonly before: Execution; readonly after: Execution } | undefined {
  const index = graph.executions.findIndex(execution => execution.executionId === executionId)
  const before = graph.executions[index]
  if (before === undefined || !mayTransition(before.state.name, next.name)) return undefined
  const after: Execution = { ...before, state: next, enteredMs: { ...before.enteredMs, [next.name]: nowMs } }
  return { graph: { ...graph, executions: graph.executions.with(index, after) }, before, after }
}

export function executionOf(graph: ExecutionGraph, executionId: string): Execution | undefined {
  return graph.executions.find(execution => execution.executionId === executionId)
}

export function executionOfSubtask(graph: ExecutionGraph, vertexId: string, subtaskIndex: number): Execution {
  const found = graph.executions.find(execution => execution.vertexId === vertexId && execution.subtaskIndex === subtaskIndex)
  assert(found !== undefined, `subtask ${subtaskIndex} of vertex ${vertexId} is in the execution graph`)
  return found
}

export function executionsOfVertex(graph: ExecutionGraph, vertexId: string): readonly Execution[] {
  return graph.executions.filter(execution => execution.vertexId === vertexId)
}

export function vertexById(jobGraph: JobGraph, vertexId: string): JobVertex {
  const vertex = jobGraph.vertices.find(candidate => candidate.id === vertexId)
  assert(vertex !== undefined, `vertex ${vertexId} is in the job graph`)
  return vertex
}

/** How many executions are in each state; every state is there. */
export function countStates(executions: readonly Execution[]): Record<ExecutionStateName, number> {
  const counts = Object.fromEntries(executionStateNames.map(name => [name, 0])) as Record<ExecutionStateName, number>
  for (const execution of executions) counts[execution.state.name]++
  return counts
}

/** One state for a whole vertex, by Flink's rule: trouble first, then progress; FINISHED only when all are. */
export function vertexState(executions: readonly Execution[]): ExecutionStateName {
  const counts = countStates(executions)
  for (const name of ['FAILED', 'CANCELING', 'CANCELED', 'INITIALIZING', 'RUNNING'] as const) if (counts[name] > 0) return name
  if (counts.FINISHED > 0) return counts.FINISHED === executions.length ? 'FINISHED' : 'RUNNING'
  return 'CREATED'
}

/** Vertices all of whose subtasks have finished: what lazy scheduling waits for. */
export function finishedVertices(graph: ExecutionGraph): ReadonlySet<string> {
  const open = new Set(graph.executions.filter(execution => execution.state.name !== 'FINISHED').map(execution => execution.vertexId))
  return new Set(graph.jobGraph.vertices.map(vertex => vertex.id).filter(id => !open.has(id)))
}

/** `Flat Map (2/4)`. */
export function taskName(jobGraph: JobGraph, execution: Execution): string {
  const vertex = vertexById(jobGraph, execution.vertexId)
  return `${vertex.name} (${execution.subtaskIndex + 1}/${vertex.parallelism})`
}

/** `<task> (2/4) (<execution id>) switched from RUNNING to FAILED on <tm> @ <host> (dataPort=<p>).`, as Flink logs it. */
export function transitionText(jobGraph: JobGraph, before: Execution, after: Execution): string {
  const location = 'location' in after.state ? after.state.location : undefined
  const where = location === undefined ? '' : ` on ${location.taskManagerId} @ ${location.host} (dataPort=${location.dataPort})`
  return `${taskName(jobGraph, after)} (${after.executionId}) switched from ${before.state.name} to ${after.state.name}${where}.`
}
