import { FlinkError } from '../common/errors.ts'
import type { JobGraph, JobVertex } from './job-graph.ts'
import { slotsRequired } from './slot-assignment.ts'

/** What a vertex may run with, both counted; Flink's `resource-requirements`. */
export interface ParallelismBounds {
  readonly lowerBound: number
  readonly upperBound: number
}

/** By vertex id; all vertices of the job. */
export type ResourceRequirements = Readonly<Record<string, ParallelismBounds>>

export function requirementsOf({ vertices }: JobGraph): ResourceRequirements {
  return Object.fromEntries(vertices.map(({ id, parallelism }) => [id, { lowerBound: 1, upperBound: parallelism }]))
}

/** Refuses what no number of slots could satisfy, with the vertex. */
export function checkRequirements({ vertices }: JobGraph, requirements: ResourceRequirements): void {
  const wrong = (why: string) => new FlinkError('INVALID_ARGUMENT', `resource requirements: ${why}`)
  for (const id of Object.keys(requirements)) if (!vertices.some(vertex => vertex.id === id)) throw wrong(`the job has no vertex ${id}`)
  for (const { id, name, maxParallelism } of vertices) {
    const bounds = requirements[id]
    if (bounds === undefined) throw wrong(`vertex '${name}' (${id}) is missing; all vertices must be named`)
    const { lowerBound, upperBound } = bounds
    if (
      !Number.isSafeInteger(lowerBound) ||
      !Number.isSafeInteger(upperBound) ||
      lowerBound < 1 ||
      lowerBound > upperBound ||
      upperBound > maxParallelism
    )
      throw wrong(
        `vertex '${name}': expected 1 <= lowerBound <= upperBound <= ${maxParallelism} (its max parallelism), got ${lowerBound} and ${upperBound}`,
      )
  }
}

/** The same, refused where there is no room. */
export function rescaleTarget(graph: JobGraph, requirements: ResourceRequirements, slots: number): JobGraph {
  const target = rescaled(graph, requirements, slots)
  if (target !== undefined) return target
  throw new FlinkError('CONFLICT', `job ${graph.jobName} cannot be rescaled: there are ${slots} slots for it, fewer than its lower bounds need`)
}

/** By the name of the vertex. */
export function parallelismsOf({ vertices }: JobGraph): Readonly<Record<string, number>> {
  return Object.fromEntries(vertices.map(({ name, parallelism }) => [name, parallelism]))
}

/** By the id of the vertex. */
export function parallelismsById({ vertices }: JobGraph): Readonly<Record<string, number>> {
  return Object.fromEntries(vertices.map(({ id, parallelism }) => [id, parallelism]))
}

/** Vertices that are not named stay as they are. */
export function withParallelisms(graph: JobGraph, parallelisms: Readonly<Record<string, number>>): JobGraph {
  const vertices = graph.vertices.map(vertex => ({ ...vertex, parallelism: parallelisms[vertex.id] ?? vertex.parallelism }))
  return { ...graph, vertices, parallelism: Math.max(...vertices.map(({ parallelism }) => parallelism)) }
}

/** Of one job. */
export function sameParallelisms(a: JobGraph, b: JobGraph): boolean {
  return a.vertices.every(({ parallelism }, i) => parallelism === b.vertices[i]?.parallelism)
}

/** The graph at the largest parallelisms within bounds that so many slots have room for; undefined = there is no room even for the smallest. */
export function rescaled(graph: JobGraph, requirements: ResourceRequirements, slots: number): JobGraph | undefined {
  // One cap for all, which is what slot sharing asks for: subtask i of each vertex is in slot i.
  const largest = Math.max(...Object.values(requirements).map(({ upperBound }) => upperBound))
  for (let cap = largest; cap >= 1; cap--) {
    const parallelismOf = ({ id, parallelism }: JobVertex) => {
      const bounds = requirements[id] ?? { lowerBound: parallelism, upperBound: parallelism }
      return Math.max(bounds.lowerBound, Math.min(bounds.upperBound, cap))
    }
    const candidate = withParallelisms(graph, Object.fromEntries(graph.vertices.map(vertex => [vertex.id, parallelismOf(vertex)])))
    if (slotsRequired(candidate) > slots) continue
    checkForward(candidate)
    return candidate
  }
  return undefined
}

/** Rows of a FORWARD edge stay in their subtask: both ends have the same number of them. */
function checkForward({ vertices, edges }: JobGraph): void {
  const byId = new Map(vertices.map(vertex => [vertex.id, vertex]))
  for (const { partitioner, source, target } of edges) {
    const producer = byId.get(source.vertexId)
    const consumer = byId.get(target.vertexId)
    if (partitioner !== 'FORWARD' || producer === undefined || consumer === undefined || producer.parallelism === consumer.parallelism) continue
    throw new FlinkError(
      'INVALID_ARGUMENT',
      `resource requirements: '${producer.name}' (${producer.parallelism}) sends FORWARD to '${consumer.name}' (${consumer.parallelism}); both need the same parallelism`,
    )
  }
}
