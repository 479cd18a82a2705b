import type { FlinkJob } from '../../api/flink-job.ts'
import type { Caches } from '../../manager/caches.ts'
import type { Executors } from '../../manager/flink-job-controller.ts'
import type { SessionView } from '../../session/view.ts'
import { followedClusters } from './followed-clusters.ts'
import { createKubernetesExecutor, type KubernetesExecutor, type KubernetesExecutorOptions } from './kubernetes-executor.ts'

/** The executors of FlinkJobs on Kubernetes, by the object: another one of the same name has another cluster. Nothing runs here: what goes with the object its owner references see to. */
export interface KubernetesExecutors extends Executors {
  /** `caches`: of the manager whose passes these are; the same ones always. */
  of(job: FlinkJob, session?: SessionView, caches?: Caches): KubernetesExecutor
}

export function createKubernetesExecutors(options: Omit<KubernetesExecutorOptions, 'owner' | 'caches'>): KubernetesExecutors {
  let known: Caches | undefined
  const executors = new Map<string, { readonly uid: string; readonly executor: KubernetesExecutor }>()
  return {
    related: followedClusters,
    of({ apiVersion, kind, metadata: { namespace, name, uid } }, _session, caches = known) {
      known = caches
      const key = `${namespace}/${name}`
      const made = executors.get(key)
      if (made?.uid === uid) return made.executor
      const executor = createKubernetesExecutor({ ...options, caches: () => known, owner: { apiVersion, kind, name, namespace, uid } })
      executors.set(key, { uid, executor })
      return executor
    },
    async release({ namespace, name }) {
      executors.delete(`${namespace}/${name}`)
    },
  }
}
