import type { FlinkJob } from '../../api/flink-job.ts'
import type { Executors } from '../../manager/flink-job-controller.ts'
import { createKubernetesExecutor, type KubernetesExecutor, type KubernetesExecutorOptions } from './kubernetes-executor.ts'

/** The executors of FlinkJobs on Kubernetes, by the object: another one of the same name has another cluster. Nothing runs here: what goes with the object its owner references see to. */
export interface KubernetesExecutors extends Executors {
  of(job: FlinkJob): KubernetesExecutor
}

export function createKubernetesExecutors(options: Omit<KubernetesExecutorOptions, 'owner'>): KubernetesExecutors {
  const executors = new Map<string, { readonly uid: string; readonly executor: KubernetesExecutor }>()
  return {
    of({ apiVersion, kind, metadata: { namespace, name, uid } }) {
      const key = `${namespace}/${name}`
      const known = executors.get(key)
      if (known?.uid === uid) return known.executor
      const executor = createKubernetesExecutor({ ...options, owner: { apiVersion, kind, name, namespace, uid } })
      executors.set(key, { uid, executor })
      return executor
    },
    async release({ namespace, name }) {
      executors.delete(`${namespace}/${name}`)
    },
  }
}
