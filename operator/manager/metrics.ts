import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Clock } from '../../runtime/common/clock.ts'
import type { FlinkJobStatus } from '../api/flink-job.ts'
import type { KubeObject, ResourceType } from '../kube/object-api.ts'
import { flinkJobs } from '../kube/resources.ts'
import type { ManagerObserver } from './manager.ts'

/**
 * What the operator does, for Prometheus. Names begin with `millrace_operator_`; `kind` is that of the objects that a controller looks after.
 *
 * reconcile_duration_seconds, reconcile_errors_total{code}, workqueue_depth, workqueue_adds_total, workqueue_retries_total, workqueue_wait_seconds, jobs{lifecycle_state},
 * job_states{state}, time_to_stable_seconds (from the moment that a spec is carried out until its job is STABLE), leader.
 */
export interface MetricsSource {
  depth(kind: string): number
  list(type: ResourceType): readonly KubeObject[]
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const LONG_SECONDS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800]

export class OperatorMetrics implements ManagerObserver {
  readonly registry = new Registry()
  private readonly clock: Pick<Clock, 'nowMs'>
  private readonly duration: Histogram<'kind'>
  private readonly errors: Counter<'kind' | 'code'>
  private readonly adds: Counter<'kind'>
  private readonly retries: Counter<'kind'>
  private readonly waits: Histogram<'kind'>
  private readonly toStable: Histogram
  private readonly leader: Gauge
  private source: MetricsSource | undefined

  constructor(clock: Pick<Clock, 'nowMs'>, kinds: readonly string[]) {
    this.clock = clock
    const registers = [this.registry]
    const prefix = 'millrace_operator_'
    const labelNames = ['kind'] as const
    this.duration = new Histogram({
      name: `${prefix}reconcile_duration_seconds`,
      help: 'How long a pass took.',
      labelNames,
      buckets: SECONDS,
      registers,
    })
    this.errors = new Counter({ name: `${prefix}reconcile_errors_total`, help: 'Passes that failed.', labelNames: ['kind', 'code'], registers })
    this.adds = new Counter({ name: `${prefix}workqueue_adds_total`, help: 'Objects put into the queue.', labelNames, registers })
    this.retries = new Counter({
      name: `${prefix}workqueue_retries_total`,
      help: 'Passes that are made again after a failure.',
      labelNames,
      registers,
    })
    this.waits = new Histogram({
      name: `${prefix}workqueue_wait_seconds`,
      help: 'How long an object waited for its pass.',
      labelNames,
      buckets: SECONDS,
      registers,
    })
    this.toStable = new Histogram({
      name: `${prefix}time_to_stable_seconds`,
      help: 'From the moment that a spec is carried out until its job is STABLE.',
      buckets: LONG_SECONDS,
      registers,
    })
    this.leader = new Gauge({ name: `${prefix}leader`, help: 'Whether this operator leads.', registers })
    const source = () => this.source
    new Gauge({
      name: `${prefix}workqueue_depth`,
      help: 'Objects that wait for their pass.',
      labelNames,
      registers,
      collect() {
        for (const kind of kinds) this.set({ kind }, source()?.depth(kind) ?? 0)
      },
    })
    new Gauge({
      name: `${prefix}jobs`,
      help: 'FlinkJobs by their lifecycle state.',
      labelNames: ['lifecycle_state'],
      registers,
      collect() {
        this.reset()
        for (const { status } of source()?.list(flinkJobs) ?? [])
          this.inc({ lifecycle_state: (status as FlinkJobStatus | undefined)?.lifecycleState ?? 'CREATED' })
      },
    })
    new Gauge({
      name: `${prefix}job_states`,
      help: 'FlinkJobs by the state of their job.',
      labelNames: ['state'],
      registers,
      collect() {
        this.reset()
        for (const { status } of source()?.list(flinkJobs) ?? [])
          this.inc({ state: (status as FlinkJobStatus | undefined)?.jobStatus?.state ?? 'NONE' })
      },
    })
  }

  /** What gauges read when they are asked for. */
  attach(source: MetricsSource | undefined): void {
    this.source = source
    this.leader.set(source === undefined ? 0 : 1)
  }

  added(kind: string): void {
    this.adds.inc({ kind })
  }

  taken(kind: string, waitedMs: number): void {
    this.waits.observe({ kind }, waitedMs / 1_000)
  }

  retried(kind: string): void {
    this.retries.inc({ kind })
  }

  passed(kind: string, tookMs: number, failure: string | undefined): void {
    this.duration.observe({ kind }, tookMs / 1_000)
    if (failure !== undefined) this.errors.inc({ kind, code: failure })
  }

  /** A change that was seen. */
  observe(type: ResourceType, before: KubeObject | undefined, after: KubeObject | undefined): void {
    if (type !== flinkJobs || before === undefined || after?.status === undefined) return
    const [was, is] = [before.status as FlinkJobStatus | undefined, after.status as FlinkJobStatus]
    const since = is.reconciliationStatus?.reconciliationTimestamp
    if (is.lifecycleState !== 'STABLE' || was === undefined || was.lifecycleState === 'STABLE' || since === undefined) return
    this.toStable.observe(Math.max(0, this.clock.nowMs() - Date.parse(since)) / 1_000)
  }
}
