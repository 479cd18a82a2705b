import { createHash } from 'node:crypto'
import { optionTables } from '../../bin/option-tables.ts'
import type { FlinkJobSpec } from '../../operator/api/flink-job.ts'
import { createKubernetesExecutors } from '../../operator/effects/kubernetes/kubernetes-executors.ts'
import { names } from '../../operator/effects/kubernetes/objects.ts'
import { isReason, type KubeObject, type ObjectApi } from '../../operator/kube/object-api.ts'
import { configMaps, controllerRevisions, pods, secrets, services, statefulSets } from '../../operator/kube/resources.ts'
import { flinkJobController } from '../../operator/manager/flink-job-controller.ts'
import { flinkSnapshotController } from '../../operator/manager/flink-snapshot-controller.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { FakeFlinkCluster } from '../support/fake-flink-cluster.ts'
import { followPods, restOfPods } from '../support/pods-of-cluster.ts'
import { StubKubelet, type StubPod } from '../support/stub-kubelet.ts'
import { programs, teachPrograms } from './programs.ts'
import { RunningOperator } from './running-operator.ts'
import { jobOf, type ScenarioWorld } from './scenario.ts'

/**
 * A scenario in a namespace of a real API server, which has no nodes: a StubKubelet plays what stands behind it, a FakeFlinkCluster the processes in its pods and their
 * REST, and planner pods answer what programs.ts says of their program. What has lost its owner is collected here too.
 */
export interface KubernetesScenarioOptions {
  readonly server: ObjectApi
  readonly namespace: string
  /** As kubectl applies objects. */
  readonly apply: (object: KubeObject) => Promise<void>
  /** A pod gets its node by it. */
  readonly bind: (pod: KubeObject) => Promise<unknown>
}

const NAME = 'job'
const hash = (text: string) => createHash('sha256').update(text).digest('hex')

export async function kubernetesWorld({ server, namespace, apply, bind }: KubernetesScenarioOptions): Promise<ScenarioWorld & AsyncDisposable> {
  const cluster = new FakeFlinkCluster()
  teachPrograms(cluster)
  cluster.looksUntilFinished = undefined
  let isKilled = false
  const rest = (_address: string): RestClient => restOfPods(cluster, submittedSpec)
  const submittedSpec = async (): Promise<FlinkJobSpec> => {
    const { status } = (await jobOf(world)) ?? {}
    const revision = await server.get(controllerRevisions, namespace, status?.reconciliationStatus?.lastReconciledSpec ?? '')
    // Written by the operator from a spec.
    return revision['data'] as FlinkJobSpec
  }
  const run = async (running: readonly StubPod[]): Promise<void> => {
    const taskManagers = running.filter(({ component }) => component === 'taskmanager').length
    if (!isKilled || taskManagers >= cluster.taskManagers) return followPods(cluster, running)
    isKilled = false
    cluster.loseTaskManager()
  }
  const kubelet = new StubKubelet({ api: within(server, namespace), fate: fateOf, bind, collectsGarbage: true, onRunning: run })
  const executors = createKubernetesExecutors({
    api: server,
    settings: { image: 'example/millrace:1', hash },
    clock: systemClock,
    random: systemRandom,
    rest,
    catalogue: () => cluster.catalogueOfJobs(),
    stopTimeoutMs: 20_000,
    plannerDeadlineS: 120,
  })
  const operator = new RunningOperator({
    api: server,
    namespace,
    controllers: watched => {
      const parts = { api: server, clock: systemClock, random: systemRandom, log: noLog }
      return [
        flinkJobController({ ...parts, executors: watched(executors), optionTables, platform: 'kubernetes', rest: job => executors.restOf(job) }),
        flinkSnapshotController({
          ...parts,
          catalogue: () => cluster.catalogueOfJobs(),
          rest: job => {
            if (job === undefined) throw new FlinkError('NOT_FOUND', 'a snapshot without a job has no JobManager')
            return executors.restOf(job)
          },
        }),
      ]
    },
  })
  const world: ScenarioWorld & AsyncDisposable = {
    server,
    namespace,
    name: NAME,
    options: { 'execution.checkpointing.dir': 's3://state/checkpoints', 'execution.checkpointing.savepoint-dir': 's3://state/savepoints' },
    async apply(object) {
      await collectGarbage(world)
      await apply(object)
    },
    until: (look, about, limitMs) => operator.until(look, about, limitMs),
    witness: (look, about) => operator.witness(look, about),
    settled: () => operator.settled(world),
    async kill(what) {
      if (what === 'operator') return operator.restart()
      // A job may be RUNNING here before its pods are.
      const isThere = async () => (what === 'jobmanager' ? cluster.jobManager === 'ready' : cluster.taskManagers > 0)
      await operator.until(isThere, async () => `there is no ${what} that could be killed`)
      isKilled = what === 'taskmanager'
      const set = what === 'jobmanager' ? names.jobManager(NAME) : names.taskManager(NAME)
      await server.delete(pods, namespace, `${set}-0`, { isForced: true })
    },
    async savepoints(how) {
      cluster.savepointFailure = how === 'fail' ? 'Exception: the store is away' : undefined
    },
    hasCheckpointed: async () => true,
    starts: () => cluster.starts,
    violations: () => cluster.violations,
    async [Symbol.asyncDispose]() {
      await operator[Symbol.asyncDispose]()
      await kubelet[Symbol.asyncDispose]()
    },
  }
  return world
}

/** Only what is in the namespace. */
function within(server: ObjectApi, namespace: string): ObjectApi {
  return {
    get: (...given) => server.get(...given),
    list: (type, selection) => server.list(type, { ...selection, namespace }),
    watch: (type, from, signal) => server.watch(type, { ...from, namespace }, signal),
    create: object => server.create(object),
    apply: (...given) => server.apply(...given),
    updateStatus: object => server.updateStatus(object),
    patchMetadata: (...given) => server.patchMetadata(...given),
    delete: (...given) => server.delete(...given),
  }
}

/** As the controller of a cluster does it some time after the owner has gone. */
async function collectGarbage(world: ScenarioWorld): Promise<void> {
  const owner = (await jobOf(world))?.metadata.uid
  for (const type of [configMaps, controllerRevisions, pods, secrets, services, statefulSets])
    for (const { metadata } of (await world.server.list(type, { namespace: world.namespace })).items)
      if (metadata.ownerReferences?.some(({ kind, uid }) => kind === 'FlinkJob' && uid !== owner) === true)
        await world.server.delete(type, world.namespace, metadata.name).catch((error: unknown) => {
          if (!isReason(error, 'NotFound')) throw error
        })
}

type Fate = ReturnType<ConstructorParameters<typeof StubKubelet>[0]['fate']>

function fateOf({ component, object }: StubPod): Fate {
  if (component !== 'planner') return { kind: 'runs' }
  const { containers, volumes } = object.spec as {
    readonly containers: readonly { readonly args: readonly string[] }[]
    readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[]
  }
  const { args = [] } = containers[0] ?? {}
  const text = volumes.find(({ name }) => name === 'program')?.configMap?.name ?? ''
  const answer = answerTo(text, args)
  return { kind: 'ends', exitCode: answer.kind === 'ready' ? 0 : 1, message: JSON.stringify(answer) }
}

function answerTo(configMap: string, args: readonly string[]) {
  const program = Object.values<Known>(programs).find(({ script, sql }) => configMap.endsWith(hash(script ?? sql ?? '').slice(0, 10)))
  if (program === undefined) throw new Error(`no program of scenarios lies in ${configMap}`)
  const { invalid, states = [] } = program
  if (invalid !== undefined) return { kind: 'invalid', message: invalid } as const
  const parallelism = Number(args[args.indexOf('--parallelism') + 1] ?? 1)
  const slotsNeeded = args.includes('--parallelism') ? parallelism : 1
  return {
    kind: 'ready',
    jobName: 'fake',
    slotsNeeded,
    slotsPerTaskManager: 1,
    parallelisms: { source: slotsNeeded, sink: slotsNeeded },
    checkpointDirectory: 's3://state/checkpoints',
    configuration: {},
    ...(args.includes('--stateOf') ? { statePlan: statePlan(args, states) } : {}),
  } as const
}

interface Known {
  readonly script?: string
  readonly sql?: string
  readonly invalid?: string
  readonly states?: readonly object[]
}

function statePlan(args: readonly string[], states: readonly object[]) {
  return { kind: 'ready', restorePoint: 'a checkpoint', ignoresUnclaimedState: args.includes('--allowNonRestoredState'), states }
}
