import { type Execution, type ExecutionGraph, finishedVertices } from './execution-graph.ts'
import type { JobEdge, JobGraph } from './job-graph.ts'

/**
 * Which vertices may start. Eager: all at once, for their exchanges are pipelined and everyone must be there. Lazy from sources: a
 * vertex behind a blocking exchange starts when its producers have finished; behind a pipelined one, together with its producers.
 */
export function startableVertices(jobGraph: JobGraph, finished: ReadonlySet<string>, started: ReadonlySet<string>): readonly string[] {
  if (jobGraph.scheduling === 'eager') return jobGraph.vertices.map(vertex => vertex.id).filter(id => !started.has(id))
  const running = new Set([...started, ...finished])
  const startable: string[] = []
  // Vertices are in topological order, so a pipelined producer is decided before its consumers.
  for (const { id } of jobGraph.vertices) {
    if (running.has(id)) continue
    const inputs = jobGraph.edges.filter(edge => edge.target.vertexId === id)
    const ready = inputs.every(edge => (edge.exchange === 'blocking' ? finished : running).has(edge.source.vertexId))
    if (!ready) continue
    running.add(id)
    startable.push(id)
  }
  return startable
}

/**
 * The whole order in which a job is run: a stage is everything that may start when all before it has finished, so its pipelined exchanges are inside it
 * and its blocking ones lead into later stages. Eager: one stage.
 */
export function schedulingStages(jobGraph: JobGraph): readonly (readonly string[])[] {
  const stages: (readonly string[])[] = []
  let done: ReadonlySet<string> = new Set()
  for (let stage = startableVertices(jobGraph, done, done); stage.length > 0; stage = startableVertices(jobGraph, done, done)) {
    stages.push(stage)
    done = new Set([...done, ...stage])
  }
  return stages
}

/** The vertices of one stage, as a graph: what slots are planned for. */
export function stageGraph(jobGraph: JobGraph, stage: readonly string[]): JobGraph {
  return { ...jobGraph, vertices: jobGraph.vertices.filter(({ id }) => stage.includes(id)) }
}

/** The first stage that has not finished; as many as there are stages when all have. */
export function currentStage(graph: ExecutionGraph): number {
  const finished = finishedVertices(graph)
  const stages = schedulingStages(graph.jobGraph)
  const index = stages.findIndex(stage => !stage.every(id => finished.has(id)))
  return index < 0 ? stages.length : index
}

/** Finished executions whose blocking results have been read to their end by all of their readers: nobody needs them any more. */
export function consumedResults(graph: ExecutionGraph): readonly Execution[] {
  const finished = finishedVertices(graph)
  return resultsOf(graph, edges => edges.every(({ target }) => finished.has(target.vertexId)))
}

/** Finished executions whose blocking results some reader still needs: lost with their TaskManager, they must be made again. */
export function neededResults(graph: ExecutionGraph): readonly Execution[] {
  const finished = finishedVertices(graph)
  return resultsOf(graph, edges => edges.some(({ target }) => !finished.has(target.vertexId)))
}

/** All executions of which a TaskManager may hold blocking results, finished or not. */
export function storedResults({ jobGraph, executions }: ExecutionGraph): readonly Execution[] {
  return executions.filter(({ vertexId, state }) => 'location' in state && blockingEdgesOf(jobGraph, vertexId).length > 0)
}

function resultsOf(graph: ExecutionGraph, matches: (edges: readonly JobEdge[]) => boolean): readonly Execution[] {
  return storedResults(graph).filter(({ vertexId, state }) => state.name === 'FINISHED' && matches(blockingEdgesOf(graph.jobGraph, vertexId)))
}

function blockingEdgesOf({ edges }: JobGraph, vertexId: string): readonly JobEdge[] {
  return edges.filter(edge => edge.source.vertexId === vertexId && edge.exchange === 'blocking')
}
