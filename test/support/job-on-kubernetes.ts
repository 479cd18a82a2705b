import { createHash } from 'node:crypto'
import { optionTables } from '../../bin/option-tables.ts'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import { createKubernetesExecutors } from '../../operator/effects/kubernetes/kubernetes-executors.ts'
import { KubeApi } from '../../operator/kube/kube-api.ts'
import { withToken } from '../../operator/kube/kube-auth.ts'
import { LeaderElection } from '../../operator/kube/leader-election.ts'
import { isReason, type KubeObject, type ObjectApi } from '../../operator/kube/object-api.ts'
import { flinkJobs, pods, statefulSets } from '../../operator/kube/resources.ts'
import { EventRecorder } from '../../operator/manager/events.ts'
import { flinkJobController } from '../../operator/manager/flink-job-controller.ts'
import { flinkSnapshotController } from '../../operator/manager/flink-snapshot-controller.ts'
import { Manager } from '../../operator/manager/manager.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { FakeFlinkCluster } from './fake-flink-cluster.ts'
import { HurriedClock } from './hurried-clock.ts'
import type { KubeControlPlane } from './kube-control-plane.ts'
import { followPods, plannerFate, restOfPods } from './pods-of-cluster.ts'
import { StubKubelet } from './stub-kubelet.ts'

/** Longer than the operator waits for pods that a list from long ago still has. */
const PATIENCE_MS = 150_000

/**
 * One FlinkJob in a namespace of its own of a real kube-apiserver: a StubKubelet runs its pods, whose processes are a FakeFlinkCluster, and whole operators look after it, in
 * this process, on a clock that goes faster. What a person does, and what runs, goes to the server straight; operators come through whatever stands at the URL they get.
 */
export class JobOnKubernetes implements AsyncDisposable {
  readonly namespace: string
  readonly cluster: FakeFlinkCluster
  /** As the person who has the job. */
  readonly api: KubeApi
  private readonly plane: KubeControlPlane
  private readonly kubelet: StubKubelet
  private readonly operators: RunningOperator[] = []

  private constructor(plane: KubeControlPlane, namespace: string, cluster: FakeFlinkCluster) {
    this.plane = plane
    this.cluster = cluster
    this.namespace = namespace
    this.cluster.looksUntilFinished = undefined
    const clock = new HurriedClock(1)
    this.api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock, random: seededRandom(1) })
    const bind = async ({ metadata: { name } }: KubeObject) => {
      const target = { apiVersion: 'v1', kind: 'Node', name: 'node-1' }
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target }
      await plane.call('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, binding)
    }
    this.kubelet = new StubKubelet({
      api: within(this.api, namespace),
      fate: pod => (pod.component === 'planner' ? plannerFate(pod) : { kind: 'runs' }),
      onRunning: running => followPods(this.cluster, running),
      bind,
      collectsGarbage: true,
    })
  }

  static async start(plane: KubeControlPlane, namespace: string, cluster = new FakeFlinkCluster()): Promise<JobOnKubernetes> {
    await plane.kubectl(['create', 'namespace', namespace])
    return new JobOnKubernetes(plane, namespace, cluster)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const operator of this.operators) operator.kill()
    await this.kubelet[Symbol.asyncDispose]()
    this.api.close()
  }

  operator(url: string, options: Omit<OperatorOptions, 'url' | 'job' | 'token' | 'seed'> = {}): RunningOperator {
    const operator = new RunningOperator({ ...options, url, job: this, token: this.plane.token, seed: this.operators.length + 2 })
    this.operators.push(operator)
    return operator
  }

  apply(job: object, spec: object = {}): Promise<KubeObject> {
    return this.api.apply(
      {
        apiVersion: 'millrace.dev/v1alpha1',
        kind: 'FlinkJob',
        metadata: { name: 'job', namespace: this.namespace },
        spec: {
          job: { script: 'export default () => 1', upgradeMode: 'savepoint', ...job },
          flinkConfiguration: this.cluster.options,
          ...spec,
        },
      },
      'kubectl',
    )
  }

  async annotate(annotations: Readonly<Record<string, string>>): Promise<void> {
    const metadata = { name: 'job', namespace: this.namespace }
    await this.api.patchMetadata({ apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', metadata }, { annotations })
  }

  remove(): Promise<void> {
    return this.api.delete(flinkJobs, this.namespace, 'job')
  }

  async find(): Promise<FlinkJob | undefined> {
    try {
      // As the CRD has it.
      return (await this.api.get(flinkJobs, this.namespace, 'job')) as unknown as FlinkJob
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  /** Follows the object; rejects with what it says when it does not come to that. */
  async until(reached: (job: FlinkJob | undefined) => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs)
    let last: FlinkJob | undefined
    while (!signal.aborted) {
      try {
        const { items, resourceVersion } = await this.api.list(flinkJobs, { namespace: this.namespace })
        last = items[0] as unknown as FlinkJob | undefined
        if (reached(last)) return
        for await (const event of this.api.watch(flinkJobs, { namespace: this.namespace, resourceVersion }, signal)) {
          if (event.type === 'BOOKMARK') continue
          last = event.type === 'DELETED' ? undefined : (event.object as unknown as FlinkJob)
          if (reached(last)) return
        }
      } catch (error) {
        // A server that is started again.
        if (!isReason(error, 'Unreachable', 'Expired', 'TooManyRequests')) throw error
      }
    }
    throw new Error(`not reached: ${JSON.stringify({ metadata: last?.metadata, status: last?.status })}`)
  }

  /** Pods and StatefulSets. */
  async processes(): Promise<readonly string[]> {
    const lists = await Promise.all([pods, statefulSets].map(type => this.api.list(type, { namespace: this.namespace })))
    return lists.flatMap(({ items }) => items.map(({ kind, metadata }) => `${kind} ${metadata.name}`))
  }
}

interface OperatorOptions {
  readonly url: string
  readonly token: string
  readonly job: JobOnKubernetes
  readonly seed: number
  readonly clock?: HurriedClock
  /** Leads only while it has a lease of these times. */
  readonly lease?: { readonly leaseDurationMs: number; readonly renewDeadlineMs: number; readonly retryPeriodMs: number }
}

/** All that `millrace operator` runs, but for its process. */
export class RunningOperator {
  readonly clock: HurriedClock
  /** It led, and was told that it does no more: the process ends. */
  readonly lost: Promise<void>
  /** Looks at the job over REST. */
  looks = 0
  isLeading = false
  private readonly stopping = new AbortController()
  private readonly api: KubeApi

  constructor({ url, token, job, seed, clock = new HurriedClock(HURRY), lease }: OperatorOptions) {
    this.clock = clock
    const random = seededRandom(seed)
    // A call that hangs is given up early.
    const api = new KubeApi({ auth: withToken(url, token, undefined), clock, random, requestTimeoutMs: 4_000 })
    this.api = api
    const { signal } = this.stopping
    const lost = Promise.withResolvers<void>()
    this.lost = lost.promise
    const lead = (leading: AbortSignal) => {
      this.isLeading = true
      leading.addEventListener('abort', () => {
        if (leading.reason !== 'lost') return
        this.kill()
        lost.resolve()
      })
      return this.manager(api, job).run(leading)
    }
    const election = { api, namespace: job.namespace, name: 'millrace-operator', identity: `operator-${seed}`, clock, random, log: noLog, ...lease }
    const running = lease === undefined ? lead(signal) : new LeaderElection(election).run(lead, signal)
    // One that was killed ends in whatever way.
    void running.catch(() => {})
  }

  private manager(api: ObjectApi, { cluster, namespace }: JobOnKubernetes): Manager {
    const { clock } = this
    const [random, log] = [seededRandom(7), noLog]
    const rest = restOfPods(cluster)
    const looked = {
      ...rest,
      job: (jobId: string) => {
        this.looks++
        return rest.job(jobId)
      },
    }
    const executors = createKubernetesExecutors({
      api,
      settings: { image: 'example/millrace:1', hash: text => createHash('sha256').update(text).digest('hex') },
      clock,
      random,
      rest: () => looked,
      catalogue: () => cluster.catalogueOfJobs(),
      stopTimeoutMs: 60_000,
      plannerDeadlineS: 120,
    })
    const recorder = new EventRecorder({ api, clock, log, identity: 'operator' })
    return new Manager({
      api,
      clock,
      random,
      log,
      namespaces: [namespace],
      controllers: [
        flinkJobController({
          api,
          executors,
          optionTables,
          platform: 'kubernetes',
          rest: found => address => executors.of(found).rest(address),
          clock,
          random,
          log,
        }),
        flinkSnapshotController({
          api,
          catalogue: () => cluster.catalogueOfJobs(),
          rest: found => address => {
            if (found === undefined) throw new FlinkError('NOT_FOUND', 'a snapshot without a job has no JobManager')
            return executors.of(found).rest(address)
          },
          clock,
          random,
          log,
        }),
      ],
      onChange: (_type, before, after) => recorder.observe(before, after),
    })
  }

  /** Where it is: nothing that is under way goes on. */
  kill(): void {
    this.isLeading = false
    this.stopping.abort()
    this.clock.freeze()
    this.api.close()
  }
}

const HURRY = 4

/** Looks until it is so. */
export async function eventually(look: () => boolean | Promise<boolean>, timeoutMs = PATIENCE_MS): Promise<void> {
  for (const endMs = performance.now() + timeoutMs; !(await look()); ) {
    if (performance.now() > endMs) throw new Error(`not so within ${timeoutMs} ms: ${look}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** The same server, and nothing of it but one namespace. */
function within(api: ObjectApi, namespace: string): ObjectApi {
  return {
    get: (...given) => api.get(...given),
    list: (type, selection) => api.list(type, { ...selection, namespace }),
    watch: (type, from, signal) => api.watch(type, { ...from, namespace }, signal),
    create: object => api.create(object),
    apply: (...given) => api.apply(...given),
    updateStatus: object => api.updateStatus(object),
    patchMetadata: (...given) => api.patchMetadata(...given),
    delete: (...given) => api.delete(...given),
  }
}
