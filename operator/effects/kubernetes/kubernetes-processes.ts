import { FlinkError } from '../../../runtime/common/errors.ts'
import { hex } from '../../../runtime/common/ids.ts'
import type { Random } from '../../../runtime/common/random.ts'
import type { RestClient } from '../../../runtime/rest/types.ts'
import type { ClusterSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { ingresses, pods, secrets, statefulSets } from '../../kube/resources.ts'
import { fenced } from '../../manager/pass.ts'
import type { ClusterProcesses, ObservedCluster, ObservedJobManager, ProcessAction, ProcessProblem } from '../actions.ts'
import { KeptCertificates } from './cluster-certificates.ts'
import type { ClusterScope } from './cluster-scope.ts'
import { LostPods } from './lost-pods.ts'
import {
  type ClusterInput,
  hasTls,
  jobManagerObjects,
  liveObjects,
  names,
  START,
  selectorLabels,
  taskManagerObjects,
  tokenSecret,
  webAddress,
} from './objects.ts'
import { observeSets } from './observe-cluster.ts'
import { asPod, ordinalOf, replicasOf } from './pods.ts'
import { hasStandby } from './standby.ts'
import { leaderLease, standbyObjects } from './standby-objects.ts'

/**
 * JobManager and TaskManagers on Kubernetes (decision 0029): objects are applied and deleted, other controllers and the kubelets carry them out. Everything that an action
 * names is there already or is made so: repeated after a crash it changes nothing.
 *
 * Nothing is remembered that the API server does not know, but for the token, which was read there, and how long pods take to end.
 */
export interface KubernetesProcessesOptions {
  readonly scope: ClusterScope
  readonly random: Random
  readonly rest: (address: string, token: string) => RestClient
  /** How long an action waits for pods to end before it says which do not. */
  readonly stopTimeoutMs: number
  /** Of pods of the owner that are no processes. */
  readonly problemsOf?: (others: readonly KubeObject[]) => readonly ProcessProblem[]
}

export interface KubernetesProcesses extends ClusterProcesses {
  /** Once a JobManager was observed to be ready. */
  restAt(address: string): RestClient
  /** Of a cluster that runs, or is about to: its certificates are renewed before they end, and JobManagers that stand by have a Lease, and pods in the place of those that are lost. */
  keep(spec: ClusterSpec): Promise<void>
}

const TOKEN_BYTES = 32
const START_BYTES = 8

export function createKubernetesProcesses({ scope, random, rest, stopTimeoutMs, problemsOf }: KubernetesProcessesOptions): KubernetesProcesses {
  const { owner, settings, clock, objects, seen } = scope
  const { name } = owner
  const lost = new LostPods(clock)
  const inputOf = (spec: ClusterSpec): ClusterInput => ({ owner, spec, settings })
  const certificates = new KeptCertificates({ objects, owner, clock, random })
  let token: string | undefined
  let isReady = false

  const readToken = async (): Promise<string> => {
    if (token !== undefined) return token
    const secret = await objects.find(secrets, names.token(name))
    if (secret === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager is not up: its cluster has no token')
    if (!objects.isOurs(secret)) throw new FlinkError('EXTERNAL_SYSTEM', objects.foreignMessage(secret))
    const data = secret['data'] as { readonly token?: string } | undefined
    token = Buffer.from(data?.token ?? '', 'base64').toString()
    return token
  }

  /** Pods of nodes that do not answer hold their names; what they still do is fenced. */
  const removeLostPods = async (component: 'jobmanager' | 'taskmanager') => {
    for (const pod of await seen.pods(false))
      if (pod.metadata.labels?.['app.kubernetes.io/component'] === component && lost.has(asPod(pod))) await objects.removeExactly(pods, pod, true)
  }

  const stopPods = async (component: 'jobmanager' | 'taskmanager', keep: number) => {
    await removeLostPods(component)
    await objects.podsGone(selectorLabels(owner, component), pod => ordinalOf(pod) >= keep && !lost.has(pod), stopTimeoutMs)
  }

  const ownSet = async (setName: string): Promise<KubeObject | undefined> => {
    const set = await objects.find(statefulSets, setName)
    return set !== undefined && objects.isOurs(set) ? set : undefined
  }

  /** A start is what we decide: one that was begun goes on with what it has, pods that are replaced as well. Only its StatefulSet says which it is, which is there whole or not at all. */
  const startOf = async (spec: ClusterSpec): Promise<Pick<ClusterInput, 'startId'>> => {
    if (!hasStandby(spec)) return {}
    const { annotations, deletionTimestamp } = (await ownSet(names.jobManager(name)))?.metadata ?? {}
    const begun = deletionTimestamp === undefined ? annotations?.[START] : undefined
    return { startId: begun ?? hex(random.bytes(START_BYTES)) }
  }

  const actions: { readonly [K in ProcessAction['kind']]: (action: Extract<ProcessAction, { kind: K }>) => Promise<void> } = {
    async startJobManager({ spec }) {
      const input = { ...inputOf(spec), ...(await startOf(spec)) }
      await removeLostPods('jobmanager')
      const fresh = hex(random.bytes(TOKEN_BYTES))
      if (await objects.createOnce(tokenSecret(owner, Buffer.from(fresh).toString('base64')))) token = fresh
      if (hasTls(spec)) {
        certificates.forget()
        await certificates.keep()
      }
      for (const object of standbyObjects(owner, spec)) await objects.apply(object)
      if (hasStandby(spec)) await objects.createOnce(leaderLease(owner))
      for (const object of jobManagerObjects(input)) await objects.apply(object)
      if (spec.ingress === undefined) await objects.remove(ingresses, names.ingress(name))
    },
    async startTaskManagers({ spec, replicas }) {
      const jobManager = await seen.set(names.jobManager(name))
      if (jobManager === undefined || !objects.isOurs(jobManager))
        throw new FlinkError('CONFLICT', 'TaskManagers cannot be started before their JobManager')
      await removeLostPods('taskmanager')
      const running = await ownSet(names.taskManager(name))
      const wanted = Math.max(replicas, running === undefined ? 0 : replicasOf(running))
      for (const object of taskManagerObjects(inputOf(spec), wanted)) await objects.apply(object)
    },
    async applyLive({ spec }) {
      for (const object of liveObjects(inputOf(spec))) await objects.apply(object)
      if (spec.ingress === undefined) await objects.remove(ingresses, names.ingress(name))
    },
    async stopTaskManagers({ keep = 0 }) {
      const set = await ownSet(names.taskManager(name))
      if (set !== undefined && keep === 0) await objects.removeExactly(statefulSets, set)
      if (set !== undefined && keep > 0 && replicasOf(set) > keep) await objects.scale(set, keep)
      await stopPods('taskmanager', keep)
    },
    async stopJobManager() {
      const set = await ownSet(names.jobManager(name))
      if (set !== undefined) await objects.removeExactly(statefulSets, set)
      await stopPods('jobmanager', 0)
    },
  }

  return {
    async observeCluster(): Promise<ObservedCluster> {
      const cluster = await observeSets({ objects, seen, lost }, name, clock.nowMs())
      const jobManager: ObservedJobManager =
        cluster.jobManager.kind === 'ready' ? { kind: 'ready', webAddress: webAddress(owner) } : cluster.jobManager
      isReady = jobManager.kind === 'ready'
      if (isReady) await readToken()
      const problems = [...cluster.problems, ...(problemsOf?.(cluster.planners) ?? [])]
      return { jobManager, taskManagers: cluster.taskManagers, ...(problems.length === 0 ? {} : { problems }) }
    },
    // The action's kind picks the function that takes it; TypeScript cannot follow that over a union.
    execute: action => (actions[action.kind] as (action: ProcessAction) => Promise<void>)(action),
    async keep(spec) {
      if (hasTls(spec)) await certificates.keep()
      if (!hasStandby(spec)) return
      await removeLostPods('jobmanager')
      // Without it nobody can lead, nor make it.
      if (!isReady) await objects.createOnce(leaderLease(owner))
    },
    rest: async () => fenced(rest(webAddress(owner), await readToken())),
    restAt(address) {
      if (token === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager was not seen yet')
      return rest(address, token)
    },
  }
}
