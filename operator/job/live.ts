import type { ClusterSpec } from '../api/flink-job.ts'
import { LOG_LEVEL } from '../api/operator-options.ts'

/**
 * What of a spec is carried out beside processes that run: its Ingress, and how much they log. The status says what was carried out last, and is written behind the action, which
 * changes nothing when it is done once more.
 */
export function liveOf({ ingress, flinkConfiguration }: ClusterSpec): string | undefined {
  const level = flinkConfiguration[LOG_LEVEL]
  if (ingress === undefined && level === undefined) return undefined
  return JSON.stringify({ ...(ingress === undefined ? {} : { ingress }), ...(level === undefined ? {} : { level }) })
}
