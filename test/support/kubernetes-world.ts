import { createHash } from 'node:crypto'
import { followedClusters } from '../../operator/effects/kubernetes/followed-clusters.ts'
import { createKubernetesExecutor, type KubernetesExecutor } from '../../operator/effects/kubernetes/kubernetes-executor.ts'
import type { ClusterOwner } from '../../operator/effects/kubernetes/objects.ts'
import { LocalApiServer } from '../../operator/kube/local-api-server.ts'
import type { ObjectApi } from '../../operator/kube/object-api.ts'
import { ReflectorCaches } from '../../operator/manager/caches.ts'
import { type Clock, systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { FakeFlinkCluster } from './fake-flink-cluster.ts'
import { followPods, plannerFate, restOfPods } from './pods-of-cluster.ts'
import { StubKubelet, type StubPod } from './stub-kubelet.ts'

type Fate = ReturnType<ConstructorParameters<typeof StubKubelet>[0]['fate']>

/**
 * A FlinkJob on an API server with a StubKubelet behind it. The pods' processes are a FakeFlinkCluster: it has a JobManager while a pod of one runs, as many TaskManagers
 * as pods of those run, and REST is answered for who has the token. What must never be is noted in its `violations`.
 */
export class KubernetesWorld implements AsyncDisposable {
  readonly api: ObjectApi
  readonly cluster = new FakeFlinkCluster()
  readonly kubelet: StubKubelet
  readonly clock: Clock
  readonly owner: ClusterOwner
  /** Of pods by the start of their name; what is not here runs. */
  readonly fates = new Map<string, Fate>()
  /** What planners say, by what the arguments of their container contain. */
  readonly answers = new Map<string, object>()
  podsMax: number | undefined
  readonly server: ObjectApi
  private readonly ahead: { ms: number }
  private readonly ending = new AbortController()
  private caches: ReflectorCaches | undefined
  /** Each draws numbers of its own. */
  private operators = 0
  /** While it is there, nothing comes to the caches. */
  private held: PromiseWithResolvers<void> | undefined

  private constructor(server: ObjectApi, { through = api => api, kubelet = {} }: WorldOptions, clock: Clock, ahead: { ms: number }, uid: string) {
    this.server = server
    this.api = through(server)
    this.clock = clock
    this.ahead = ahead
    this.owner = { ...OWNER, uid }
    this.kubelet = new StubKubelet({
      ...kubelet,
      api: server,
      fate: pod => this.fateOf(pod),
      podsMax: () => this.podsMax,
      onRunning: running => followPods(this.cluster, running),
    })
  }

  static async start(options: WorldOptions = {}): Promise<KubernetesWorld> {
    const ahead = { ms: 0 }
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + ahead.ms, monotonicMs: () => systemClock.monotonicMs() + ahead.ms }
    const server = options.server ?? new LocalApiServer({ clock, random: seededRandom(1) })
    const { apiVersion, kind, name, namespace } = OWNER
    const { metadata } = await server.create({
      apiVersion,
      kind,
      metadata: { name, namespace },
      spec: { job: { script: 'export default () => {}' } },
    })
    const world = new KubernetesWorld(server, options, clock, ahead, metadata.uid ?? '')
    if (options.isCached === true) await world.follow()
    return world
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort()
    this.release()
    await this.kubelet[Symbol.asyncDispose]()
  }

  advance(ms: number): void {
    this.ahead.ms += ms
  }

  /** What happens from now on is not seen. */
  hold(): void {
    this.held ??= Promise.withResolvers()
  }

  release(): void {
    this.held?.resolve()
    this.held = undefined
  }

  private async follow(): Promise<void> {
    const { server } = this
    const gate = () => this.held?.promise
    const watch: ObjectApi['watch'] = async function* (...given) {
      for await (const event of server.watch(...given)) {
        await gate()
        yield event
      }
    }
    const api: ObjectApi = { ...server, list: (...given) => server.list(...given), watch }
    const random = seededRandom(3)
    this.caches = new ReflectorCaches({
      api,
      clock: systemClock,
      random,
      log: noLog,
      followed: followedClusters('FlinkJob'),
      namespaces: undefined,
      onChange: () => {},
    })
    await this.caches.run(this.ending.signal).synced
  }

  /** As a new operator, which remembers nothing. `isCached`: it looks into the caches, if there are some. */
  executor(isCached = true): KubernetesExecutor {
    return createKubernetesExecutor({
      api: this.api,
      owner: this.owner,
      settings: { image: 'example/millrace:1', hash: text => createHash('sha256').update(text).digest('hex') },
      caches: () => (isCached ? this.caches : undefined),
      clock: this.clock,
      random: seededRandom(2 + this.operators++),
      rest: (address, token) => this.rest(address, token),
      catalogue: options => this.catalogueOf(options),
      stopTimeoutMs: 200,
      plannerDeadlineS: 120,
    })
  }

  /** All options that catalogues were asked for with. */
  readonly catalogueOptions: Readonly<Record<string, string>>[] = []
  private catalogueOf(options: Readonly<Record<string, string>>) {
    this.catalogueOptions.push(options)
    return this.cluster.catalogueOfJobs()
  }

  private rest(address: string, token: string): RestClient {
    if (address !== 'http://words-rest.jobs.svc:8081' || !/^[0-9a-f]{64}$/.test(token))
      throw new Error(`${address} is asked with the token '${token}'`)
    return restOfPods(this.cluster)
  }

  private fateOf({ name, component, object }: StubPod): Fate {
    for (const [start, fate] of this.fates) if (name.startsWith(start)) return fate
    return component === 'planner' ? plannerFate({ name, component, object }, this.answers) : { kind: 'runs' }
  }
}

interface WorldOptions {
  /** Default: one in memory. */
  readonly server?: ObjectApi
  /** What stands between the executor and the server. */
  readonly through?: (api: ObjectApi) => ObjectApi
  /** The executors look at pods and StatefulSets in caches. */
  readonly isCached?: boolean
  readonly kubelet?: Partial<ConstructorParameters<typeof StubKubelet>[0]>
}

const OWNER = { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', name: 'words', namespace: 'jobs' } as const
