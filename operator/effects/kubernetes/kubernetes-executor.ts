import type { Catalogue } from '../../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../../runtime/common/clock.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import { hex } from '../../../runtime/common/ids.ts'
import type { Random } from '../../../runtime/common/random.ts'
import type { RestClient } from '../../../runtime/rest/types.ts'
import type { ClusterSpec, FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject, ObjectApi } from '../../kube/object-api.ts'
import { configMaps, ingresses, pods, secrets, statefulSets } from '../../kube/resources.ts'
import type { Caches } from '../../manager/caches.ts'
import { fenced } from '../../manager/pass.ts'
import type { Action, Executor, ObservedCluster, ObservedJobManager } from '../actions.ts'
import { rescale } from '../rescale.ts'
import { SeenCluster } from './followed-clusters.ts'
import { LostPods } from './lost-pods.ts'
import {
  type ClusterInput,
  type ClusterOwner,
  type ClusterSettings,
  DEFAULT_OPTIONS,
  jobManagerObjects,
  names,
  podParts,
  readObjects,
  selectorLabels,
  taskManagerObjects,
  tokenSecret,
  webAddress,
} from './objects.ts'
import { observeSets } from './observe-cluster.ts'
import { OwnedObjects } from './owned-objects.ts'
import type { ReadyProgram } from './planner-answer.ts'
import { PlannerPods } from './planner-pods.ts'
import { jarIdOf } from './pod-specs.ts'
import { asPod, ordinalOf, replicasOf } from './pods.ts'

/**
 * Actions on Kubernetes (decision 0029): objects are applied and deleted, other controllers and the kubelets carry them out, and the job is reached over REST. Everything that
 * an action names is there already or is made so: repeated after a crash it changes nothing.
 *
 * Nothing is remembered that the API server does not know, but for what was read there (the token, what planners have answered), and how long pods take to end.
 */
export interface KubernetesExecutorOptions {
  readonly api: ObjectApi
  readonly owner: ClusterOwner
  readonly settings: ClusterSettings
  /** Of pods and StatefulSets; without, all is asked of the API server. */
  readonly caches?: () => Caches | undefined
  readonly clock: Clock
  readonly random: Random
  readonly rest: (address: string, token: string) => RestClient
  /** Of jobs that run with these options. */
  readonly catalogue: (options: Readonly<Record<string, string>>) => Catalogue
  /** How long an action waits for pods to end before it says which do not. */
  readonly stopTimeoutMs: number
  /** How long a program may take to be planned, its image fetched. */
  readonly plannerDeadlineS: number
}

export interface KubernetesExecutor extends Executor {
  /** Once a JobManager was observed to be ready. */
  rest(address: string): RestClient
}

const TOKEN_BYTES = 32

export function createKubernetesExecutor(options: KubernetesExecutorOptions): KubernetesExecutor {
  const { owner, settings, clock, caches } = options
  const { name, namespace } = owner
  const objects: OwnedObjects = new OwnedObjects(fenced(options.api), owner, clock, object => seen.written(object))
  const seen = new SeenCluster({
    objects,
    caches,
    namespace,
    clusterName: name,
    labels: selectorLabels(name),
    monotonicMs: () => clock.monotonicMs(),
  })
  const lost = new LostPods(clock)
  const inputOf = <Spec extends ClusterSpec>(spec: Spec): ClusterInput & { readonly spec: Spec } => ({ owner, spec, settings })
  let token: string | undefined

  const catalogueOf = (spec: FlinkJobSpec, configuration: Readonly<Record<string, string>>) =>
    fenced(options.catalogue({ ...DEFAULT_OPTIONS, ...spec.flinkConfiguration, ...configuration }))
  const planners = new PlannerPods({
    objects,
    seen,
    input: inputOf,
    clock,
    deadlineS: options.plannerDeadlineS,
    newestOf: async (spec: FlinkJobSpec, { configuration }: ReadyProgram, jobId: string) =>
      (await catalogueOf(spec, configuration).newest(jobId))?.location,
  })
  const plannedCatalogue = async (spec: FlinkJobSpec) => {
    const answer = await planners.answer(spec)
    // A program that cannot be planned says nothing: what the manifest says counts.
    return answer === undefined ? undefined : catalogueOf(spec, answer.kind === 'ready' ? answer.configuration : {})
  }

  const requireCatalogue = async (spec: FlinkJobSpec) => {
    const catalogue = await plannedCatalogue(spec)
    if (catalogue === undefined)
      throw new FlinkError('EXTERNAL_SYSTEM', 'where the job keeps its state is not known yet: its program is being planned')
    return catalogue
  }

  const readToken = async (): Promise<string> => {
    if (token !== undefined) return token
    const secret = await objects.find(secrets, names.token(name))
    if (secret === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager is not up: its cluster has no token')
    if (!objects.isOurs(secret)) throw new FlinkError('EXTERNAL_SYSTEM', objects.foreignMessage(secret))
    const data = secret['data'] as { readonly token?: string } | undefined
    token = Buffer.from(data?.token ?? '', 'base64').toString()
    return token
  }
  const jobManagerRest = async () => fenced(options.rest(webAddress(owner), await readToken()))

  /** Pods of nodes that do not answer hold their names; what they still do is fenced. */
  const removeLostPods = async (component: 'jobmanager' | 'taskmanager') => {
    for (const pod of await seen.pods(false))
      if (pod.metadata.labels?.['app.kubernetes.io/component'] === component && lost.has(asPod(pod))) await objects.removeExactly(pods, pod, true)
  }

  const stopPods = async (component: 'jobmanager' | 'taskmanager', keep: number) => {
    await removeLostPods(component)
    await objects.podsGone(selectorLabels(name, component), pod => ordinalOf(pod) >= keep && !lost.has(pod), options.stopTimeoutMs)
  }

  const ownSet = async (setName: string): Promise<KubeObject | undefined> => {
    const set = await objects.find(statefulSets, setName)
    return set !== undefined && objects.isOurs(set) ? set : undefined
  }

  /** ConfigMaps of programs and options that nothing starts with any more. */
  const removeOutdated = async (wanted: readonly KubeObject[]) => {
    const maps = await objects.list(configMaps, selectorLabels(name))
    await planners.removeOutdated(maps)
    const kept = new Set(wanted.map(({ metadata }) => metadata.name))
    for (const map of maps)
      if (objects.isOurs(map) && !kept.has(map.metadata.name) && map.metadata.labels?.['app.kubernetes.io/component'] === undefined)
        await objects.removeExactly(configMaps, map)
  }

  const actions: { readonly [K in Action['kind']]: (action: Extract<Action, { kind: K }>) => Promise<void> } = {
    async startJobManager({ spec }) {
      const input = inputOf(spec)
      await removeLostPods('jobmanager')
      const fresh = hex(options.random.bytes(TOKEN_BYTES))
      if (await objects.createOnce(tokenSecret(owner, Buffer.from(fresh).toString('base64')))) token = fresh
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
    async submitJob({ spec, jobId, initialSavepointPath, allowNonRestoredState: isApproved }) {
      const rest = await jobManagerRest()
      const { args, parallelism, allowNonRestoredState = isApproved, entryClass } = spec.job
      // Bundled by the JobManager's pod, from the program that its StatefulSet was made with.
      await rest.runJar(jarIdOf(podParts(inputOf(spec))), {
        entryClass,
        programArgsList: args,
        jobId,
        ...(parallelism === undefined ? {} : { parallelism }),
        ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
        ...(initialSavepointPath === undefined ? {} : { savepointPath: initialSavepointPath }),
      })
      // The job is submitted whatever comes of this; what is left goes with the next one.
      await removeOutdated(readObjects(inputOf(spec))).catch((error: unknown) => {
        if (!(error instanceof FlinkError)) throw error
      })
    },
    async forgetResult({ spec, jobId }) {
      await (await requireCatalogue(spec)).forgetResult(jobId)
    },
    async removeState({ spec, jobId }) {
      await (await requireCatalogue(spec)).removeJob(jobId)
    },
    async cancelJob({ jobId }) {
      await (await jobManagerRest()).cancelJob(jobId)
    },
    async rescaleJob(action) {
      await rescale(await jobManagerRest(), action)
    },
    async stopJob({ jobId, triggerId }) {
      await (await jobManagerRest()).stopWithSavepoint(jobId, { drain: false, triggerId })
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
      if (jobManager.kind === 'ready') await readToken()
      const problems = [...cluster.problems, ...planners.problems(cluster.planners)]
      return { jobManager, taskManagers: cluster.taskManagers, ...(problems.length === 0 ? {} : { problems }) }
    },
    observeProgram: spec => planners.program(spec),
    observeStatePlan: question => planners.statePlan(question),
    catalogue: plannedCatalogue,
    // The action's kind picks the function that takes it; TypeScript cannot follow that over a union.
    execute: action => (actions[action.kind] as (action: Action) => Promise<void>)(action),
    rest(address) {
      if (token === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager was not seen yet')
      return options.rest(address, token)
    },
  }
}
