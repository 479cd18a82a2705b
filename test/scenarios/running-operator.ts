import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { Executor } from '../../operator/effects/actions.ts'
import type { ObjectApi } from '../../operator/kube/object-api.ts'
import { flinkJobs } from '../../operator/kube/resources.ts'
import { EventRecorder } from '../../operator/manager/events.ts'
import type { Executors } from '../../operator/manager/flink-job-controller.ts'
import { type Controller, Manager } from '../../operator/manager/manager.ts'
import { sleep, systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { jobOf, type ScenarioWorld, type Sight, type StartFrom } from './scenario.ts'
import { Sights } from './sights.ts'

/** An operator in this process that looks after one namespace in real time, and what it was seen to do. */
export interface RunningOperatorOptions {
  readonly api: ObjectApi
  readonly namespace: string
  readonly controllers: (executors: (executors: Executors) => Executors) => readonly Controller[]
}

const LOOK_MS = 25
const LIMIT_MS = 120_000
const LOOKS_UNTIL_SETTLED = 4
const SETTLED_MS = 4_000
/** How long nobody is there after the operator has died. */
const AWAY_MS = 1_000

export class RunningOperator implements AsyncDisposable {
  readonly starts: { readonly jobId: string; readonly from: StartFrom }[] = []
  private readonly options: RunningOperatorOptions
  private looks = 0
  /** A JobManager was started since the last submission. */
  private isFresh = false
  private stopping = new AbortController()
  private running: Promise<void> = Promise.resolve()
  private events: EventRecorder | undefined

  private readonly sights: Sights

  constructor(options: RunningOperatorOptions) {
    this.options = options
    this.sights = new Sights(options.api, options.namespace)
    this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.sights[Symbol.asyncDispose]()
  }

  /** Another one begins a moment later. */
  async restart(): Promise<void> {
    await this.stop()
    systemClock.schedule(AWAY_MS, () => this.start())
  }

  async until(look: () => Promise<boolean>, about: () => Promise<string>, limitMs = LIMIT_MS): Promise<void> {
    for (const endMs = systemClock.monotonicMs() + limitMs; !(await look()); await sleep(systemClock, LOOK_MS))
      if (systemClock.monotonicMs() > endMs) throw new Error(await about())
  }

  async witness(look: (sight: Sight) => Promise<boolean>, about: () => Promise<string>): Promise<void> {
    await this.until(async () => {
      for (const sight of this.sights.after()) if (await look(sight)) return true
      return false
    }, about)
  }

  /** It has looked at the job again and again, or has no reason to. */
  async settled(world: ScenarioWorld): Promise<void> {
    if ((await jobOf(world)) === undefined) return
    const [endMs, looks] = [systemClock.monotonicMs() + SETTLED_MS, this.looks]
    while (this.looks < looks + LOOKS_UNTIL_SETTLED && systemClock.monotonicMs() < endMs) await sleep(systemClock, LOOK_MS)
  }

  private start(): void {
    const { api, namespace, controllers } = this.options
    this.stopping = new AbortController()
    const events = new EventRecorder({ api, clock: systemClock, log: noLog, identity: 'operator' })
    this.events = events
    const manager = new Manager({
      api,
      clock: systemClock,
      random: systemRandom,
      log: noLog,
      namespaces: [namespace],
      controllers: controllers(executors => this.watched(executors)),
      onChange: (_type, before, after) => events.observe(before, after),
    })
    this.running = manager.run(this.stopping.signal)
  }

  private async stop(): Promise<void> {
    this.stopping.abort()
    await this.running
    await this.events?.flushed()
  }

  private watched(executors: Executors): Executors {
    return {
      ...executors,
      of: (job, session, caches) => this.watchedExecutor(job, executors.of(job, session, caches)),
      release: key => executors.release(key),
    }
  }

  private watchedExecutor(job: FlinkJob, executor: Executor): Executor {
    return {
      observeCluster: () => {
        this.looks++
        return executor.observeCluster()
      },
      observeProgram: spec => executor.observeProgram(spec),
      observeStatePlan: question => executor.observeStatePlan(question),
      catalogue: spec => executor.catalogue(spec),
      execute: async action => {
        if (action.kind === 'startJobManager') this.isFresh = true
        await executor.execute(action)
        if (action.kind !== 'submitJob' || !this.isFresh) return
        this.isFresh = false
        const { jobId } = action
        const now = await this.options.api.get(flinkJobs, job.metadata.namespace, job.metadata.name)
        this.starts.push({ jobId, from: (now as unknown as FlinkJob).status?.restore?.kind ?? 'none' })
      },
    }
  }
}
