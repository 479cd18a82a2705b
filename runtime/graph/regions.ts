import { consumersOf, distributionPattern } from './channels.ts'
import type { JobEdge, JobGraph } from './job-graph.ts'

/**
 * Pipelined regions, as in Flink: subtasks that exchange rows while they run fail and come back together. They are the connected components of a job's
 * subtasks over its pipelined edges; blocking edges separate them, because a result that is whole can be read again. Regions are numbered in the order of
 * their first subtasks; subtasks stand in vertex order, then by index, as the executions of an ExecutionGraph do. Pure.
 */

/** The region of each subtask. */
export function pipelinedRegions(jobGraph: JobGraph): readonly number[] {
  const subtasks = new Subtasks(jobGraph)
  const links = Array.from({ length: subtasks.count }, (_, index) => index)
  const root = (of: number): number => {
    let index = of
    while (links[index] !== index) {
      // Each look shortens the way of the next one.
      links[index] = links[links[index] ?? index] ?? index
      index = links[index] ?? index
    }
    return index
  }
  for (const edge of jobGraph.edges) {
    if (edge.exchange === 'blocking') continue
    for (const [producer, consumer] of subtasks.joinedBy(edge)) {
      const [first, second] = [root(producer), root(consumer)]
      links[Math.max(first, second)] = Math.min(first, second)
    }
  }
  const numbers = new Map<number, number>()
  return links.map((_, index) => {
    const first = root(index)
    const number = numbers.get(first) ?? numbers.size
    numbers.set(first, number)
    return number
  })
}

/**
 * What has to run again when these regions have failed: they themselves; behind them, who reads their results, for those come out differently; in front of
 * them, who makes a result that they read and that is lost. `isLost` is asked for producers of blocking edges, by their places among the subtasks.
 */
export function regionsToRestart(
  jobGraph: JobGraph,
  regions: readonly number[],
  failed: ReadonlySet<number>,
  isLost: (subtask: number) => boolean,
): ReadonlySet<number> {
  const subtasks = new Subtasks(jobGraph)
  const between = jobGraph.edges.filter(({ exchange }) => exchange === 'blocking').flatMap(edge => subtasks.readersOf(edge))
  const restarted = new Set(failed)
  for (const region of restarted) {
    for (const [producer, consumer] of between) {
      const [from, to] = [regions[producer], regions[consumer]]
      if (from === region && to !== undefined) restarted.add(to)
      if (to === region && from !== undefined && isLost(producer)) restarted.add(from)
    }
  }
  return restarted
}

type Link = readonly [producer: number, consumer: number]

class Subtasks {
  readonly count: number
  private readonly vertices = new Map<string, { readonly first: number; readonly parallelism: number }>()

  constructor({ vertices }: JobGraph) {
    let first = 0
    for (const { id, parallelism } of vertices) {
      this.vertices.set(id, { first, parallelism })
      first += parallelism
    }
    this.count = first
  }

  /** Enough of them to connect all that the edge connects. */
  joinedBy(edge: JobEdge): readonly Link[] {
    const { producers, consumers } = this.ends(edge)
    if (distributionPattern(edge.partitioner) === 'POINTWISE') return this.readersOf(edge)
    const all = [...range(producers), ...range(consumers)]
    return all.map(subtask => [producers.first, subtask])
  }

  /** Each producer with each of its consumers. */
  readersOf(edge: JobEdge): readonly Link[] {
    const { producers, consumers } = this.ends(edge)
    return range(producers).flatMap((producer, index) =>
      consumersOf(edge.partitioner, index, producers.parallelism, consumers.parallelism).map(
        (consumer): Link => [producer, consumers.first + consumer],
      ),
    )
  }

  private ends({ source, target }: JobEdge) {
    const none = { first: 0, parallelism: 0 }
    return { producers: this.vertices.get(source.vertexId) ?? none, consumers: this.vertices.get(target.vertexId) ?? none }
  }
}

function range({ first, parallelism }: { readonly first: number; readonly parallelism: number }): readonly number[] {
  return Array.from({ length: parallelism }, (_, index) => first + index)
}
