import { FlinkError } from '../common/errors.ts'
import type { JobGraph } from './job-graph.ts'

/** Names of operators that have state and no uid: their id depends on the graph around them, and a savepoint finds them by it. */
export function withoutUid({ vertices }: Pick<JobGraph, 'vertices'>): readonly string[] {
  return vertices.flatMap(({ operators }) => operators.filter(({ uid, states }) => uid === undefined && states.length > 0).map(({ name }) => name))
}

/** `pipeline.auto-generate-uids: false`. */
export function requireUids(jobGraph: Pick<JobGraph, 'vertices'>): void {
  const missing = withoutUid(jobGraph)
  if (missing.length === 0) return
  const names = missing.map(name => `'${name}'`).join(', ')
  throw new FlinkError(
    'INVALID_PROGRAM',
    `Auto generated UIDs have been disabled (option pipeline.auto-generate-uids), but no uid has been assigned to ${names}: call .uid(…) on each`,
  )
}
