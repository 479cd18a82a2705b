import type { JobGraph } from './job-graph.ts'

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

/** The whole order, as if each stage finished before the next begins: for plans. */
export function schedulingStages(jobGraph: JobGraph): readonly (readonly string[])[] {
  const stages: (readonly string[])[] = []
  let done: ReadonlySet<string> = new Set()
  for (let stage = startableVertices(jobGraph, done, done); stage.length > 0; stage = startableVertices(jobGraph, done, done)) {
    stages.push(stage)
    done = new Set([...done, ...stage])
  }
  return stages
}
