import type { RestClient } from '../../../runtime/rest/types.ts'
import type { ClusterSpec, FlinkJob, FlinkJobSpec } from '../../api/flink-job.ts'
import type { SessionView } from '../../session/view.ts'
import type { Executor } from '../actions.ts'
import { createExecutor } from '../executor.ts'
import { createSessionProcesses, programsOfSession } from '../session-processes.ts'
import { type ScopeOptions, scopeOf } from './cluster-scope.ts'
import { createKubernetesProcesses, type KubernetesProcessesOptions } from './kubernetes-processes.ts'
import { createKubernetesPrograms, type KubernetesProgramsOptions } from './kubernetes-programs.ts'
import { names } from './objects.ts'
import { standbyOptions } from './standby.ts'

/** FlinkJobs on Kubernetes: each on a cluster of its own, or on that of a session. */
export type KubernetesExecutorOptions = ScopeOptions &
  Pick<KubernetesProcessesOptions, 'random' | 'rest' | 'stopTimeoutMs'> &
  Pick<KubernetesProgramsOptions, 'catalogue' | 'plannerDeadlineS'>

export interface KubernetesExecutor extends Executor {
  /** Once a JobManager was observed to be ready. */
  rest(address: string): RestClient
  /** Of a job with a cluster of its own that runs: see KubernetesProcesses. */
  keep?(spec: FlinkJobSpec): Promise<void>
}

export function createKubernetesExecutor(options: KubernetesExecutorOptions): KubernetesExecutor {
  const scope = scopeOf(options)
  const programs = createKubernetesPrograms({ ...options, scope })
  const processes = createKubernetesProcesses({ ...options, scope, problemsOf: others => programs.problems(others) })
  return { ...createExecutor(processes, programs), rest: address => processes.restAt(address), keep: spec => processes.keep(spec) }
}

export interface SharedExecutorOptions extends KubernetesExecutorOptions {
  /** As the last pass has seen them. */
  readonly job: () => FlinkJob
  readonly session: () => SessionView
  /** Of the JobManager of the session, once it was observed to be ready. */
  readonly restOfSession: (address: string) => RestClient
}

/** The session is one for good: `sessionName` does not change. */
export function createSharedExecutor(options: SharedExecutorOptions): KubernetesExecutor {
  const { session, restOfSession } = options
  const scope = scopeOf(options)
  const complete = (spec: FlinkJobSpec): FlinkJobSpec => {
    const shared: ClusterSpec = session().spec ?? { flinkConfiguration: {} }
    const { flinkConfiguration, ingress: _, taskManager: _theirs, restartNonce: _itsOwn, jobManager, ...ofPods } = shared
    const { replicas: _sessions, ...ofJobManager } = jobManager ?? {}
    const cluster = { namespace: options.owner.namespace, name: session().name }
    return {
      ...ofPods,
      ...(jobManager === undefined ? {} : { jobManager: ofJobManager }),
      ...spec,
      flinkConfiguration: { ...flinkConfiguration, ...standbyOptions(cluster, shared), ...spec.flinkConfiguration },
    }
  }
  const programs = createKubernetesPrograms({ ...options, scope, session: { tokenName: names.token(session().name), complete } })
  const processes = createSessionProcesses({
    session,
    jobId: () => options.job().status?.jobStatus?.jobId,
    rest: restOfSession,
    clock: options.clock,
    stopTimeoutMs: options.stopTimeoutMs,
  })
  const executor = createExecutor(processes, programsOfSession(programs, session))
  return {
    ...executor,
    async observeCluster() {
      const cluster = await executor.observeCluster()
      const problems = [...(cluster.problems ?? []), ...programs.problems(await scope.seen.pods(true))]
      return { ...cluster, ...(problems.length === 0 ? {} : { problems }) }
    },
    rest: restOfSession,
  }
}
