import type { ClusterSpec } from '../api/flink-job.ts'
import { type FlinkSession, type FlinkSessionStatus, SESSION_KIND } from '../api/flink-session.ts'
import type { Eviction, ProcessProblem } from '../effects/actions.ts'

/** What the FlinkJobs of a session see of it, from its object alone: its JobManager is where the status says. */
export interface SessionView {
  readonly name: string
  readonly cluster: /** No JobManager runs: no job does. */
    | { readonly kind: 'gone'; readonly message: string }
    /** One may run, and cannot be asked. */
    | { readonly kind: 'starting'; readonly message: string }
    | { readonly kind: 'ready'; readonly webAddress: string }
  /** What its processes are started with; undefined = nobody knows. */
  readonly spec: ClusterSpec | undefined
  /** Why no job can be started there now. */
  readonly unavailable: string | undefined
  readonly problem: Pick<ProcessProblem, 'reason' | 'message'> | undefined
  readonly evicts: Eviction | undefined
}

export function viewOf(name: string, session: FlinkSession | undefined): SessionView {
  if (session === undefined) return absent(name, 'SessionNotFound', `${SESSION_KIND} ${name} does not exist in this namespace`)
  const { status, spec, metadata } = session
  const { cluster: clusterSpec } = spec
  const known = { name, spec: clusterSpec, evicts: evictionOf(status) }
  const cluster = clusterOf(name, session)
  const problem = cluster.kind === 'ready' ? undefined : { reason: 'SessionNotReady', message: cluster.message }
  if (metadata.deletionTimestamp === undefined) return { ...known, cluster, unavailable: problem?.message, problem }
  const leaving = `${SESSION_KIND} ${name} is being deleted, and takes no jobs`
  return { ...known, cluster, unavailable: leaving, problem: { reason: 'SessionDeleting', message: leaving } }
}

function evictionOf(status: FlinkSessionStatus | undefined): Eviction | undefined {
  if (status?.evicting === true) return 'deletion'
  return status?.waits === undefined ? undefined : 'restart'
}

function clusterOf(name: string, { status }: FlinkSession): SessionView['cluster'] {
  const deployed = status?.jobManagerDeploymentStatus ?? 'MISSING'
  const address = status?.clusterInfo?.['web-address']
  const message = `the JobManager of ${SESSION_KIND} ${name} is ${deployed}${status?.error === undefined ? '' : `: ${status.error}`}`
  if (deployed === 'MISSING') return { kind: 'gone', message }
  if (deployed === 'READY' && status?.restart === undefined && status?.lifecycleState !== 'DELETED' && address !== undefined)
    return { kind: 'ready', webAddress: address }
  return { kind: 'starting', message }
}

/** The session is not there, or cannot be one. */
export function absent(name: string, reason: string, message: string): SessionView {
  const cluster = { kind: 'gone', message } as const
  return { name, cluster, spec: undefined, unavailable: message, problem: { reason, message }, evicts: undefined }
}
