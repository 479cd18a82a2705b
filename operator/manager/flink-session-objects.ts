import type { OptionTable } from '../../runtime/common/config.ts'
import { canonicalJson } from '../../runtime/common/json.ts'
import type { ClusterSpec } from '../api/flink-job.ts'
import type { Platform } from '../api/flink-job-refused.ts'
import { type FlinkSession, type FlinkSessionSpec, type FlinkSessionStatus, flinkSessionStatusSchema } from '../api/flink-session.ts'
import type { KubeObject, ObjectApi } from '../kube/object-api.ts'
import { flinkSessions } from '../kube/resources.ts'
import { checkFlinkSession, problemsText } from '../validation/problems.ts'
import type { Caches } from './caches.ts'

/**
 * FlinkSessions between the API server, where they are as people write them, and the rules, which know checked specs. What was carried out last goes on under a spec that
 * does not hold; a status that is none counts as missing.
 */
export interface ReadFlinkSession {
  readonly session: FlinkSession
  /** What is wrong with its spec. */
  readonly invalid: string | undefined
}

export type SessionReader = (object: KubeObject) => ReadFlinkSession

export function createSessionReader(optionTables: readonly OptionTable[], platform: Platform): SessionReader {
  /** By uid: a spec is checked once a generation, not in every pass. */
  const checked = new Map<string, { readonly generation: number; readonly result: ReturnType<typeof checkFlinkSession> }>()
  return object => {
    const { uid = '', generation = 0, name, namespace } = object.metadata
    const known = checked.get(uid)
    const document = { apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace }, spec: object.spec }
    const result = known?.generation === generation ? known.result : checkFlinkSession(document, optionTables, platform)
    checked.set(uid, { generation, result })
    const { status: _, ...rest } = object
    const status = flinkSessionStatusSchema.safeParse(object.status).success ? (object.status as FlinkSessionStatus) : undefined
    const spec = result.kind === 'valid' ? result.object.spec : carriedOut(status)
    return {
      session: { ...rest, spec, ...(status === undefined ? {} : { status }) } as unknown as FlinkSession,
      invalid: result.kind === 'valid' ? undefined : problemsText(result.problems),
    }
  }
}

/** As it is, for as long as nobody says how it is to be. */
function carriedOut(status: FlinkSessionStatus | undefined): FlinkSessionSpec {
  // Written by the rules from a ClusterSpec.
  const cluster: ClusterSpec = status?.lastReconciledSpec === undefined ? { flinkConfiguration: {} } : JSON.parse(status.lastReconciledSpec)
  const replicas = status?.taskManager?.replicas ?? 0
  return {
    cluster,
    slotsPerTaskManager: Number(cluster.flinkConfiguration['taskmanager.numberOfTaskSlots'] ?? 1),
    minTaskManagers: replicas,
    maxTaskManagers: Math.max(1, replicas),
    idleTimeoutMs: 60_000,
    deletionTimeoutMs: 300_000,
    deletionPolicy: 'Wait',
  }
}

/** Written only when it says something new; CONFLICT when somebody has written since the object was read. */
export async function writeSessionStatus(api: ObjectApi, caches: Caches, object: KubeObject, status: FlinkSessionStatus): Promise<KubeObject> {
  const next = JSON.parse(JSON.stringify(status))
  if (object.status !== undefined && canonicalJson(object.status as never) === canonicalJson(next)) return object
  const saved = await api.updateStatus({ ...object, status: next })
  caches.seen(saved, flinkSessions)
  return saved
}
