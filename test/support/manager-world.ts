import { optionTables } from '../../bin/option-tables.ts'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { Action, ClusterProcesses, Executor } from '../../operator/effects/actions.ts'
import { createExecutor } from '../../operator/effects/executor.ts'
import { createSessionProcesses, programsOfSession } from '../../operator/effects/session-processes.ts'
import { LocalApiServer } from '../../operator/kube/local-api-server.ts'
import { KubeError, type KubeObject, type ObjectApi, type Reason } from '../../operator/kube/object-api.ts'
import { flinkJobs, typeOf } from '../../operator/kube/resources.ts'
import { EventRecorder } from '../../operator/manager/events.ts'
import { flinkJobController } from '../../operator/manager/flink-job-controller.ts'
import { flinkSessionController } from '../../operator/manager/flink-session-controller.ts'
import { flinkSnapshotController } from '../../operator/manager/flink-snapshot-controller.ts'
import { Manager, type ManagerOptions } from '../../operator/manager/manager.ts'
import type { SessionView } from '../../operator/session/view.ts'
import { type ErrorCode, FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { FakeFlinkCluster } from './fake-flink-cluster.ts'
import { FakeSessionCluster } from './fake-session-cluster.ts'
import { SimClock } from './sim-clock.ts'

/**
 * The whole operator on simulated time: an API server in memory, the manager with its controllers, a fake cluster for each FlinkJob. Every call of the operator to the API
 * server, to a cluster or to its REST has a number; one of them, or some, may go wrong, and the operator's process may die at it. Another one begins a second later.
 */
export const callFaults = [
  'crash-before',
  'crash-after',
  /** It was done, and the answer did not come. */
  'lost',
  'conflict',
  'throttled',
  'error',
  /** Not done, and no answer for as long as a call may take. */
  'hang',
] as const
export type CallFault = (typeof callFaults)[number]

type Admit = NonNullable<ConstructorParameters<typeof LocalApiServer>[0]['admit']>

const CALL_TIMEOUT_MS = 30_000

interface Incarnation {
  alive: boolean
  readonly stopping: AbortController
  /** Of jobs on the session, by their uid. */
  readonly shared: Map<string, { readonly executor: Executor; readonly now: { job: FlinkJob; session: SessionView } }>
}

export class ManagerWorld {
  readonly clock = new SimClock()
  readonly server: LocalApiServer
  readonly clusters = new Map<string, FakeFlinkCluster>()
  /** Of all FlinkSessions. */
  readonly session = new FakeSessionCluster()
  /** Calls that change something, of all incarnations. */
  writes = 0
  calls = 0
  restCalls = 0
  incarnations = 0
  /** Names of calls, for whoever wants to see them. */
  readonly trace: string[] = []
  /** What executors were told to keep, since it was last looked at. */
  readonly kept = new Set<string>()
  private readonly faults: ReadonlyMap<number, CallFault>
  private readonly options: Partial<ManagerOptions>
  private current: Incarnation | undefined
  /** Of the last incarnation. */
  manager: Manager | undefined
  private readonly quietLookMs: number
  /** What an action of an executor takes. */
  private readonly actionMs: number
  private readonly prepare: (cluster: FakeFlinkCluster, name: string) => void

  constructor(
    faults: ReadonlyMap<number, CallFault> = new Map(),
    options: Partial<ManagerOptions> & {
      readonly prepare?: (cluster: FakeFlinkCluster, name: string) => void
      readonly quietLookMs?: number
      readonly admit?: Admit
      readonly actionMs?: number
    } = {},
  ) {
    const { prepare = () => {}, quietLookMs = 0, actionMs = 0, admit, ...managerOptions } = options
    this.actionMs = actionMs
    this.quietLookMs = quietLookMs
    this.faults = faults
    this.options = managerOptions
    this.prepare = prepare
    this.server = new LocalApiServer({ clock: this.clock, random: seededRandom(4711), ...(admit === undefined ? {} : { admit }) })
  }

  /** The operator's process begins. */
  start(): void {
    const incarnation: Incarnation = { alive: true, stopping: new AbortController(), shared: new Map() }
    this.current = incarnation
    const random = seededRandom(++this.incarnations)
    const api = this.faultyApi(incarnation)
    const { clock } = this
    const rest = (job: FlinkJob | undefined) => () => this.faultyRest(incarnation, job)
    const recorder = new EventRecorder({ api, clock, log: noLog, identity: `operator-${this.incarnations}` })
    const manager = new Manager({
      api,
      clock,
      random,
      log: noLog,
      controllers: [
        flinkJobController({
          api,
          executors: {
            of: (job, session) =>
              session === undefined
                ? this.faultyExecutor(incarnation, this.clusterOf(job.metadata.name))
                : this.sharedExecutor(incarnation, job, session),
            keep: async ({ kind, metadata }) => void this.kept.add(`${kind} ${metadata.name}`),
            release: async ({ name }) => this.clusterOf(name).claims.forget(),
          },
          optionTables,
          rest,
          clock,
          random,
          log: noLog,
          quietLookMs: this.quietLookMs,
        }),
        flinkSessionController({
          api,
          executors: {
            of: () => this.faultyProcesses(incarnation),
            keep: async ({ kind, metadata }) => void this.kept.add(`${kind} ${metadata.name}`),
            release: async () => {},
          },
          optionTables,
          platform: 'local',
          rest: () => () => this.faulty(incarnation, this.session.rest()),
          clock,
          log: noLog,
          quietLookMs: this.quietLookMs,
        }),
        flinkSnapshotController({
          api,
          catalogue: job => this.clusterOf(job?.metadata.name ?? '').catalogueOfJobs(),
          rest,
          clock,
          random,
          log: noLog,
        }),
      ],
      onChange: (_type, before, after) => recorder.observe(before, after),
      ...this.options,
    })
    this.manager = manager
    void manager.run(incarnation.stopping.signal)
  }

  /** It dies where it is: what it has under way is neither finished nor answered. */
  kill(): void {
    if (this.current === undefined) return
    this.current.alive = false
    this.current.stopping.abort()
    this.current = undefined
  }

  /** Another one begins a second later, unless one has by then. */
  dieAndReturn(): void {
    this.kill()
    this.clock.schedule(1_000, () => {
      if (this.current === undefined) this.start()
    })
  }

  clusterOf(name: string): FakeFlinkCluster {
    const known = this.clusters.get(name)
    if (known !== undefined) return known
    const made = new FakeFlinkCluster()
    made.looksUntilFinished = undefined
    this.prepare(made, name)
    this.clusters.set(name, made)
    return made
  }

  /** As a person's kubectl. */
  apply(object: KubeObject): Promise<KubeObject> {
    return this.server.apply(object, 'kubectl')
  }

  async job(name = 'job'): Promise<FlinkJob | undefined> {
    return (await this.server.get(flinkJobs, 'default', name).catch(() => undefined)) as unknown as FlinkJob | undefined
  }

  async annotate(annotations: Readonly<Record<string, string | null>>, name = 'job'): Promise<void> {
    const { resourceVersion: _version, ...metadata } = (await this.server.get(flinkJobs, 'default', name)).metadata
    await this.server.patchMetadata({ apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', metadata }, { annotations })
  }

  remove(object: KubeObject): Promise<void> {
    return this.server.delete(typeOf(object), 'default', object.metadata.name)
  }

  /** Rejects with what the object says when it is not reached. */
  async until(reached: (job: FlinkJob | undefined) => boolean, name = 'job', limitMs = 3_600_000): Promise<FlinkJob | undefined> {
    const endMs = this.clock.monotonicMs() + limitMs
    for (;;) {
      const job = await this.job(name)
      if (reached(job)) return job
      if (this.clock.monotonicMs() > endMs) throw new Error(`not reached: ${JSON.stringify({ metadata: job?.metadata, status: job?.status })}`)
      await this.clock.run(50)
    }
  }

  private async call<T>(
    incarnation: Incarnation,
    name: string,
    isWrite: boolean,
    work: () => Promise<T>,
    failure: (how: CallFault) => Error,
  ): Promise<T> {
    if (!incarnation.alive) return new Promise<never>(() => {})
    const fault = this.faults.get(this.calls++)
    this.trace.push(name)
    const die = () => {
      this.dieAndReturn()
      return new Promise<never>(() => {})
    }
    if (fault === 'crash-before') return die()
    if (fault === 'hang') {
      await new Promise<void>(resolve => this.clock.schedule(CALL_TIMEOUT_MS, resolve))
      throw failure(fault)
    }
    if (fault === 'conflict' || fault === 'throttled' || fault === 'error') throw failure(fault)
    if (isWrite) this.writes++
    const result = await work()
    if (fault === 'crash-after') return die()
    if (fault === 'lost') throw failure(fault)
    return incarnation.alive ? result : new Promise<never>(() => {})
  }

  private faultyApi(incarnation: Incarnation): ObjectApi {
    const { server } = this
    const call = <T>(name: string, isWrite: boolean, work: () => Promise<T>) =>
      this.call(incarnation, name, isWrite, work, how => new KubeError(reasonOf(how, isWrite), `${name}: ${how}`))
    return {
      get: (type, namespace, name) => call(`get ${type.kind}`, false, () => server.get(type, namespace, name)),
      list: (type, selection) => call(`list ${type.kind}`, false, () => server.list(type, selection)),
      watch: (type, from, signal) => server.watch(type, from, AbortSignal.any([signal, incarnation.stopping.signal])),
      create: object => call(`create ${object.kind}`, true, () => server.create(object)),
      apply: (object, manager) => call(`apply ${object.kind}`, true, () => server.apply(object, manager)),
      updateStatus: object => call(`updateStatus ${object.kind}`, true, () => server.updateStatus(object)),
      patchMetadata: (object, change) => call(`patchMetadata ${object.kind}`, true, () => server.patchMetadata(object, change)),
      delete: (type, namespace, name, options) => call(`delete ${type.kind}`, true, () => server.delete(type, namespace, name, options)),
    }
  }

  private faultyExecutor(incarnation: Incarnation, cluster: FakeFlinkCluster): Executor {
    return {
      observeCluster: () => cluster.observeCluster(),
      observeProgram: spec => cluster.observeProgram(spec),
      observeStatePlan: question => cluster.observeStatePlan(question),
      catalogue: spec => cluster.catalogue(spec),
      execute: action =>
        this.call(
          incarnation,
          action.kind,
          true,
          () => this.slowly(incarnation, () => cluster.execute(action)),
          how => actionFailure(action.kind, how),
        ),
    }
  }

  private faultyProcesses(incarnation: Incarnation): ClusterProcesses {
    const { processes } = this.session
    return { ...processes, execute: action => this.call(incarnation, `session ${action.kind}`, true, () => processes.execute(action), restFailure) }
  }

  /** Of this incarnation: what it remembers of the job on its session dies with it. */
  private sharedExecutor(incarnation: Incarnation, job: FlinkJob, session: SessionView): Executor {
    const known = incarnation.shared.get(job.metadata.uid)
    const now = { job, session }
    if (known !== undefined) {
      Object.assign(known.now, now)
      return known.executor
    }
    const rest = this.faulty(incarnation, this.session.rest())
    const processes = createSessionProcesses({
      session: () => now.session,
      jobId: () => now.job.status?.jobStatus?.jobId,
      rest: () => rest,
      clock: this.clock,
      stopTimeoutMs: 10_000,
    })
    const programs = this.session.programs(submit => this.call(incarnation, 'submitJob', true, async () => submit(), restFailure))
    const executor = createExecutor(
      processes,
      programsOfSession(programs, () => now.session),
    )
    incarnation.shared.set(job.metadata.uid, { executor, now })
    return executor
  }

  private async slowly<T>(incarnation: Incarnation, work: () => Promise<T>): Promise<T> {
    if (this.actionMs > 0) await new Promise<void>(resolve => this.clock.schedule(this.actionMs, resolve))
    return incarnation.alive ? work() : new Promise<never>(() => {})
  }

  private faultyRest(incarnation: Incarnation, job: FlinkJob | undefined): RestClient {
    if (job?.spec.sessionName !== undefined) return this.faulty(incarnation, this.session.rest())
    return this.faulty(incarnation, this.clusterOf(job?.metadata.name ?? '').rest())
  }

  private faulty(incarnation: Incarnation, rest: RestClient): RestClient {
    const client = rest as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    return new Proxy(client, {
      get: (target, key) => {
        const method = target[String(key)]
        if (typeof method !== 'function') return method
        return (...args: unknown[]) => {
          this.restCalls++
          return this.call(incarnation, `REST ${String(key)}`, false, () => method(...args), restFailure)
        }
      },
    }) as unknown as RestClient
  }
}

function reasonOf(how: CallFault, isWrite: boolean): Reason {
  if (how === 'conflict') return isWrite ? 'Conflict' : 'Unreachable'
  if (how === 'throttled') return 'TooManyRequests'
  return isWrite ? 'OutcomeUnknown' : 'Unreachable'
}

/** Processes are started and stopped by writes to the API server, jobs over REST. */
function actionFailure(kind: Action['kind'], how: CallFault): FlinkError {
  return how === 'conflict' && /^(start|stop).*Manager/.test(kind) ? new KubeError('Conflict', `${kind}: ${how}`) : restFailure(how)
}

function restFailure(how: CallFault): FlinkError {
  const codes: Partial<Record<CallFault, ErrorCode>> = { lost: 'CONNECTION_LOST', hang: 'TIMEOUT' }
  return new FlinkError(codes[how] ?? 'EXTERNAL_SYSTEM', `answered ${how}`)
}
