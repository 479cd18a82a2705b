import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import { OperatorFleet } from '../../test/support/operator-fleet.ts'
import type { OperatorCase } from '../cases.ts'
import { createCpuGroup, pssBytes } from './cgroup.ts'
import { Neighbours } from './machine.ts'
import { root } from './millrace.ts'

/** Many FlinkJobs at once on `millrace operator`, until all run; then idle time. Where everything is, `OperatorFleet` says; API server, etcd, kubelets and JobManagers share the machine. */
export interface OperatorFigures {
  readonly jobs: number
  readonly secondsToStable: number
  /** Of the operator's process, until then. */
  readonly cpuSeconds: number
  /** Of a pass, with what its actions wait for. */
  readonly passP50Seconds: number
  readonly passP99Seconds: number
  /** What a pass was waited for. */
  readonly waitP99Seconds: number
  readonly passesPerJob: number
  readonly readsPerJob: number
  readonly writesPerJob: number
  readonly restCallsPerJob: number
  /** Proportional set size of the operator's process. */
  readonly pssBytesBusy: number
  readonly idle: IdleFigures
  readonly problems: readonly string[]
  readonly othersShare: number
}

interface IdleFigures {
  readonly seconds: number
  readonly writes: number
  readonly reads: number
  readonly restCallsPerJobIn10s: number
  readonly pssBytes: number
  /** Of one core. */
  readonly cpuShare: number
}

export interface OperatorOptions {
  readonly scale: number
  readonly idleSeconds: number
  readonly folder: string
  readonly say: (line: string) => void
}

const QUIET_MS = 15_000
const PASSES = 'millrace_operator_reconcile_duration_seconds'
const WAITS = 'millrace_operator_workqueue_wait_seconds'

export async function runOperator(bench: OperatorCase, { scale, idleSeconds, folder, say }: OperatorOptions): Promise<OperatorFigures> {
  mkdirSync(folder, { recursive: true })
  const jobs = Math.max(1, Math.round(bench.jobs * scale))
  const own = createCpuGroup('bench', ['/proc'])
  own.adopt(process.pid)
  const neighbours = new Neighbours(() => own.cpuSeconds())
  await using operator = await OperatorFleet.start([join(root, 'bin/millrace')], folder)
  const working = createCpuGroup('operator', ['/proc'])
  working.adopt(operator.pid)
  const before = { cpu: working.cpuSeconds(), rest: operator.fleet.restCalls, calls: operator.calls() }
  neighbours.start()
  const startMs = systemClock.monotonicMs()
  await operator.createJobs(jobs, join(folder, 'state'))
  await operator.untilStable(jobs)
  const secondsToStable = (systemClock.monotonicMs() - startMs) / 1_000
  const metrics = await operator.metrics()
  const [calls, rest, cpuSeconds, pssBytesBusy] = [
    operator.calls(),
    operator.fleet.restCalls - before.rest,
    working.cpuSeconds() - before.cpu,
    pssBytes([operator.pid]),
  ]
  say(`${jobs} jobs are stable after ${secondsToStable.toFixed(1)} s; calls: ${breakdown(calls.byRequest, jobs)}`)
  const wrong = await operator.wrongObjects(jobs)
  await operator.untilQuiet(QUIET_MS)
  const idle = await idleOf(operator, () => working.cpuSeconds(), { jobs, idleSeconds })
  neighbours.stop()
  const failed = Number(/^millrace_operator_reconcile_errors_total\{.*\} (\d+)$/m.exec(metrics)?.[1] ?? 0)
  if (failed > 0) say(`${failed} passes failed, and were made again`)
  return {
    jobs,
    secondsToStable,
    cpuSeconds,
    passP50Seconds: quantile(metrics, PASSES, 0.5),
    passP99Seconds: quantile(metrics, PASSES, 0.99),
    waitP99Seconds: quantile(metrics, WAITS, 0.99),
    passesPerJob: countOf(metrics, PASSES) / jobs,
    readsPerJob: (calls.reads - before.calls.reads) / jobs,
    writesPerJob: (calls.writes - before.calls.writes) / jobs,
    restCallsPerJob: rest / jobs,
    pssBytesBusy,
    idle,
    problems: [...wrong, ...operator.fleet.failures].slice(0, 10),
    othersShare: neighbours.share,
  }
}

async function idleOf(
  operator: OperatorFleet,
  cpuSeconds: () => number,
  { jobs, idleSeconds }: { readonly jobs: number; readonly idleSeconds: number },
): Promise<IdleFigures> {
  const before = { ...operator.calls(), rest: operator.fleet.restCalls, cpu: cpuSeconds() }
  const startMs = systemClock.monotonicMs()
  await delay(idleSeconds * 1_000)
  const after = operator.calls()
  const seconds = (systemClock.monotonicMs() - startMs) / 1_000
  return {
    seconds: Math.round(seconds),
    writes: after.writes - before.writes,
    reads: after.reads - before.reads,
    restCallsPerJobIn10s: ((operator.fleet.restCalls - before.rest) / jobs / seconds) * 10,
    pssBytes: pssBytes([operator.pid]),
    cpuShare: (cpuSeconds() - before.cpu) / seconds,
  }
}

function breakdown(byRequest: Readonly<Record<string, number>>, jobs: number): string {
  const all = Object.entries(byRequest).sort(([, a], [, b]) => b - a)
  return all.map(([name, count]) => `${name} ${(count / jobs).toFixed(1)}`).join(', ')
}

function countOf(metrics: string, name: string): number {
  return Number(new RegExp(`^${name}_count\\{kind="FlinkJob"\\} (\\S+)$`, 'm').exec(metrics)?.[1] ?? Number.NaN)
}

/** As histogram_quantile of Prometheus: even within a bucket. */
export function quantile(metrics: string, name: string, share: number): number {
  const buckets = [...metrics.matchAll(new RegExp(`^${name}_bucket\\{le="([^"]+)",kind="FlinkJob"\\} (\\d+)$`, 'gm'))].map(([, le, count]) => ({
    le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le),
    count: Number(count),
  }))
  const rank = share * (buckets.at(-1)?.count ?? Number.NaN)
  let [low, counted] = [0, 0]
  for (const { le, count } of buckets) {
    if (count >= rank) return le === Number.POSITIVE_INFINITY ? low : low + ((le - low) * (rank - counted)) / (count - counted)
    ;[low, counted] = [le, count]
  }
  return Number.NaN
}
