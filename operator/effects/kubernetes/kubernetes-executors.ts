import { FlinkError } from '../../../runtime/common/errors.ts'
import type { RestClient } from '../../../runtime/rest/types.ts'
import { type ClusterSpec, type FlinkJob, KIND } from '../../api/flink-job.ts'
import { type FlinkSession, SESSION_KIND } from '../../api/flink-session.ts'
import type { Caches } from '../../manager/caches.ts'
import type { Executors } from '../../manager/flink-job-controller.ts'
import type { SessionExecutors } from '../../manager/flink-session-controller.ts'
import type { SessionView } from '../../session/view.ts'
import { scopeOf } from './cluster-scope.ts'
import { followedClusters } from './followed-clusters.ts'
import { createKubernetesExecutor, createSharedExecutor, type KubernetesExecutor, type KubernetesExecutorOptions } from './kubernetes-executor.ts'
import { createKubernetesProcesses, type KubernetesProcesses } from './kubernetes-processes.ts'
import { type NetworkPolicySettings, networkPolicyOf, standbyPolicyOf } from './network-policy.ts'
import { createRecentWarnings } from './recent-warnings.ts'
import { hasStandby } from './standby.ts'

/**
 * The executors of FlinkJobs and FlinkSessions on Kubernetes, by the object: another one of the same name has another cluster. Nothing runs here: what goes with the object
 * its owner references see to.
 */
export interface KubernetesExecutors extends Executors {
  /** `caches`: of the manager whose passes these are; the same ones always. */
  of(job: FlinkJob, session?: SessionView, caches?: Caches): KubernetesExecutor
  /** REST of the cluster that a job runs on; CONNECTION_REFUSED before its JobManager was seen. */
  restOf(job: FlinkJob): (address: string) => RestClient
  readonly sessions: SessionExecutors & { restOf(session: FlinkSession): (address: string) => RestClient }
}

interface OfJob {
  readonly uid: string
  readonly executor: KubernetesExecutor
  /** What the last pass has seen. */
  see(job: FlinkJob, session: SessionView | undefined): void
}

interface OfSession {
  readonly uid: string
  readonly processes: KubernetesProcesses
}

export interface KubernetesExecutorsOptions extends Omit<KubernetesExecutorOptions, 'owner' | 'caches' | 'warnings'> {
  /** Undefined: no NetworkPolicies are made; those that are there stay until their objects go. */
  readonly networkPolicies?: NetworkPolicySettings
}

export function createKubernetesExecutors(options: KubernetesExecutorsOptions): KubernetesExecutors {
  let known: Caches | undefined
  const warnings = createRecentWarnings(options.api, options.clock)
  const jobs = new Map<string, OfJob>()
  const sessions = new Map<string, OfSession>()
  const keyOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }) => `${namespace}/${name}`
  const optionsOf = ({ apiVersion, kind, metadata: { namespace, name, uid } }: FlinkJob | FlinkSession) => ({
    ...options,
    caches: () => known,
    warnings,
    owner: { apiVersion, kind, name, namespace, uid },
  })

  /** Whose NetworkPolicies are there, by what they belong to: applied once, with the settings of this operator. */
  const guarded = new Map<string, string>()
  const guard = async (object: FlinkJob | FlinkSession, cluster: ClusterSpec, sessionName?: string) => {
    const { networkPolicies } = options
    const standsBy = sessionName === undefined && hasStandby(cluster)
    const [key, what] = [`${object.kind} ${keyOf(object.metadata)}`, `${object.metadata.uid} ${standsBy}`]
    if (networkPolicies === undefined || guarded.get(key) === what) return
    const of = optionsOf(object)
    const { objects } = scopeOf(of)
    await objects.apply(networkPolicyOf(of.owner, networkPolicies, sessionName))
    if (standsBy) await objects.apply(standbyPolicyOf(of.owner, networkPolicies))
    guarded.set(key, what)
  }

  const restAt = (namespace: string, name: string) => (address: string) => {
    const session = sessions.get(keyOf({ namespace, name }))
    if (session === undefined) throw new FlinkError('CONNECTION_REFUSED', `the JobManager of FlinkSession ${name} was not seen yet`)
    return session.processes.restAt(address)
  }

  const made = (job: FlinkJob, session: SessionView | undefined): OfJob => {
    const { namespace, uid } = job.metadata
    if (session === undefined) return { uid, executor: createKubernetesExecutor(optionsOf(job)), see: () => {} }
    const now = { job, session }
    const executor = createSharedExecutor({
      ...optionsOf(job),
      job: () => now.job,
      session: () => now.session,
      restOfSession: restAt(namespace, session.name),
    })
    return { uid, executor, see: (seenJob, seen = session) => Object.assign(now, { job: seenJob, session: seen }) }
  }

  return {
    related: followedClusters(KIND),
    of(job, session, caches = known) {
      known = caches
      const key = keyOf(job.metadata)
      const before = jobs.get(key)
      const entry = before?.uid === job.metadata.uid ? before : made(job, session)
      jobs.set(key, entry)
      entry.see(job, session)
      return entry.executor
    },
    restOf: job => address => {
      const { sessionName } = job.spec
      if (sessionName !== undefined) return restAt(job.metadata.namespace, sessionName)(address)
      const entry = jobs.get(keyOf(job.metadata))
      if (entry === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager was not seen yet')
      return entry.executor.rest(address)
    },
    prepare: job => guard(job, job.spec, job.spec.sessionName),
    async keep(job) {
      await jobs.get(keyOf(job.metadata))?.executor.keep?.(job.spec)
    },
    async release(key) {
      guarded.delete(`${KIND} ${keyOf(key)}`)
      jobs.delete(keyOf(key))
    },
    sessions: {
      related: followedClusters(SESSION_KIND),
      of(session, caches = known) {
        known = caches
        const key = keyOf(session.metadata)
        const before = sessions.get(key)
        if (before?.uid === session.metadata.uid) return before.processes
        const of = optionsOf(session)
        const processes = createKubernetesProcesses({ ...of, scope: scopeOf(of) })
        sessions.set(key, { uid: session.metadata.uid, processes })
        return processes
      },
      restOf: ({ metadata }) => restAt(metadata.namespace, metadata.name),
      prepare: session => guard(session, session.spec.cluster),
      async keep(session) {
        await sessions.get(keyOf(session.metadata))?.processes.keep(session.spec.cluster)
      },
      async release(key) {
        guarded.delete(`${SESSION_KIND} ${keyOf(key)}`)
        sessions.delete(keyOf(key))
      },
    },
  }
}
