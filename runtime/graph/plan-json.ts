import type { JobEdge, JobGraph } from './job-graph.ts'
import { operatorTree } from './plan-text.ts'

/** Flink's PLAN, as `/jobs/:id` and `/jobs/:id/plan` answer it and `millrace info` prints it. The autoscaler and the web UI read it. */
export interface PlanJson {
  readonly jid: string
  readonly name: string
  readonly type: 'STREAMING' | 'BATCH'
  readonly nodes: readonly PlanNodeJson[]
}

export interface PlanNodeJson {
  readonly id: string
  readonly parallelism: number
  readonly operator: ''
  readonly operator_strategy: ''
  readonly description: string
  /** Absent for sources, as in Flink. */
  readonly inputs?: readonly PlanInputJson[]
  readonly optimizer_properties: Readonly<Record<string, never>>
}

export interface PlanInputJson {
  readonly num: number
  /** Vertex id of the producer. */
  readonly id: string
  readonly ship_strategy: JobEdge['partitioner']
  readonly exchange: JobEdge['exchange']
}

export function planJson(jobId: string, jobGraph: JobGraph): PlanJson {
  return {
    jid: jobId,
    name: jobGraph.jobName,
    type: jobGraph.runtimeMode,
    nodes: jobGraph.vertices.map(vertex => {
      const inputs = jobGraph.edges
        .filter(edge => edge.target.vertexId === vertex.id)
        .map((edge, num) => ({ num, id: edge.source.vertexId, ship_strategy: edge.partitioner, exchange: edge.exchange }))
      return {
        id: vertex.id,
        parallelism: vertex.parallelism,
        operator: '',
        operator_strategy: '',
        description: operatorTree(vertex.operators)
          .map(({ spec, prefix }) => `${prefix}${escapeHtml(spec.name)}<br/>`)
          .join(''),
        ...(inputs.length === 0 ? {} : { inputs }),
        optimizer_properties: {},
      }
    }),
  }
}

/** The web UI shows descriptions as HTML, and names are the user's. */
function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
