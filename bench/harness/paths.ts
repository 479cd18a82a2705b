import type { AggregatedMetric, JobInfo, Metric } from '../../runtime/rest/types.ts'
import { requestJson } from './request.ts'

/** Which way rows went through our operators; each counts its rows under one of three names. */
export const paths = { interpreted: 'rowsInterpreted', generated: 'rowsGenerated', columnar: 'rowsColumnar' } as const
export type Path = keyof typeof paths
export type PathCounts = Readonly<Record<Path, number>>

/** Metric scope of the operator -> rows per path, over all subtasks. */
export async function readPaths(address: string, job: JobInfo): Promise<Map<string, PathCounts>> {
  const counts = new Map<string, Record<Path, number>>()
  for (const vertex of job.vertices) {
    const url = `${address}/v1/jobs/${job.jid}/vertices/${vertex.id}/subtasks/metrics`
    const wanted = (await requestJson<Metric[]>(url)).flatMap(({ id }) => (pathOf(id) === undefined ? [] : [id]))
    if (wanted.length === 0) continue
    for (const { id, sum } of await requestJson<AggregatedMetric[]>(`${url}?agg=sum&get=${wanted.map(encodeURIComponent).join(',')}`)) {
      const found = pathOf(id)
      if (found === undefined) continue
      const operator = counts.get(found.operator) ?? { interpreted: 0, generated: 0, columnar: 0 }
      operator[found.path] += sum ?? 0
      counts.set(found.operator, operator)
    }
  }
  return counts
}

/** Why the hot operators did not run as the case says they do; undefined = they did, with all but one row of a hundred. */
export function pathProblem(counts: ReadonlyMap<string, PathCounts>, expected: Readonly<Record<string, Path>>): string | undefined {
  for (const [name, path] of Object.entries(expected)) {
    const operators = [...counts].filter(([operator]) => operator === name || operator.startsWith(`${name}[`))
    if (operators.length === 0) return `operator ${name} has no path counters; counted are: ${[...counts.keys()].join(', ') || 'none'}`
    for (const [operator, found] of operators) {
      // Rows of a generated loop may come in columns too.
      const total = found.interpreted + Math.max(found.generated, found.columnar)
      if (total === 0) return `operator ${operator} counted no row`
      if (found[path] < total * 0.99) return `operator ${operator} ran ${describePath(found)}, not ${path}`
    }
  }
  return undefined
}

export function describePath(counts: PathCounts): string {
  return (Object.keys(paths) as Path[])
    .filter(path => counts[path] > 0)
    .map(path => `${path} ${counts[path]}`)
    .join(', ')
}

function pathOf(id: string): { readonly operator: string; readonly path: Path } | undefined {
  for (const path of Object.keys(paths) as Path[]) {
    const suffix = `.${paths[path]}`
    if (id.endsWith(suffix)) return { operator: id.slice(0, -suffix.length), path }
  }
  return undefined
}
