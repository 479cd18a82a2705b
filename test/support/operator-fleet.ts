import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { FlinkJobStatus } from '../../operator/api/flink-job.ts'
import { KubeApi } from '../../operator/kube/kube-api.ts'
import { withToken } from '../../operator/kube/kube-auth.ts'
import type { KubeObject } from '../../operator/kube/object-api.ts'
import { flinkJobs, pods, secrets, services, statefulSets } from '../../operator/kube/resources.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { freePorts } from './guarded-process.ts'
import { type AuditedRequest, KubeControlPlane } from './kube-control-plane.ts'
import { StubFleet } from './stub-fleet.ts'

/**
 * `millrace operator`, as it is run, with many FlinkJobs on a real kube-apiserver; kubelets and JobManagers are a StubFleet. What it asks of the API server is noted down there,
 * and counted here without what holds its Lease.
 */
export interface OperatorCalls {
  readonly reads: number
  readonly writes: number
  /** `get pods`: how many. */
  readonly byRequest: Readonly<Record<string, number>>
}

const NAMESPACE = 'default'

export class OperatorFleet implements AsyncDisposable {
  readonly api: KubeApi
  readonly fleet: StubFleet
  private readonly plane: KubeControlPlane
  private readonly child: ChildProcess
  private readonly exited: Promise<unknown>
  private readonly port: number

  private constructor(parts: { plane: KubeControlPlane; api: KubeApi; fleet: StubFleet; child: ChildProcess; port: number }) {
    this.plane = parts.plane
    this.api = parts.api
    this.fleet = parts.fleet
    this.child = parts.child
    this.port = parts.port
    this.exited = new Promise(resolve => parts.child.on('close', resolve))
  }

  /** Answers when the operator leads. */
  static async start(launcher: readonly string[], folder: string): Promise<OperatorFleet> {
    mkdirSync(folder, { recursive: true })
    const plane = await KubeControlPlane.start({ isAudited: true })
    await plane.installDefinitions()
    const api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock: systemClock, random: systemRandom })
    const fleet = await StubFleet.start(api)
    const [port = 0] = await freePorts(1)
    writeFileSync(join(folder, 'token'), plane.operatorToken)
    writeFileSync(join(folder, 'ca.crt'), plane.ca)
    const kube = ['--kube-url', plane.url, '--token-file', join(folder, 'token'), '--ca-file', join(folder, 'ca.crt')]
    const [command = '', ...given] = launcher
    const args = [
      ...given,
      'operator',
      '--image',
      'example/millrace:1',
      ...kube,
      '--leader-election-namespace',
      NAMESPACE,
      '--probe-address',
      `127.0.0.1:${port}`,
    ]
    const child = spawn(command, args, { env: { ...process.env, ...fleet.proxy, MILLRACE_DIR: folder }, stdio: ['ignore', 'pipe', 'pipe'] })
    const log = createWriteStream(join(folder, 'operator.log'))
    for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false })
    const made = new OperatorFleet({ plane, api, fleet, child, port })
    await made.until(async () =>
      (await made.metrics().catch(() => '')).includes('millrace_operator_leader 1') ? undefined : 'the operator does not lead',
    )
    return made
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGTERM')
    await this.exited
    await this.fleet[Symbol.asyncDispose]()
    this.api.close()
    await this.plane[Symbol.asyncDispose]()
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** All at once. `state`: the folder where their checkpoints would lie. */
  async createJobs(count: number, state: string): Promise<void> {
    const places = { 'execution.checkpointing.dir': `file://${state}`, 'execution.checkpointing.savepoint-dir': `file://${state}` }
    const script = 'export default env => { env.fromElements(1).print() }'
    const job = (name: string): KubeObject => ({
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'FlinkJob',
      metadata: { name, namespace: NAMESPACE },
      spec: { job: { script, upgradeMode: 'savepoint' }, flinkConfiguration: { ...places, 'execution.checkpointing.interval': '10 s' } },
    })
    await Promise.all(Array.from({ length: count }, (_, index) => this.api.create(job(`job-${String(index).padStart(3, '0')}`))))
  }

  /** Answers when all jobs are STABLE, RUNNING and Ready. */
  async untilStable(count: number): Promise<void> {
    await this.until(async () => {
      // It is asked cheaply whether asking is worth it: lists of many objects would be most of what the API server does.
      const stable = Number(/^millrace_operator_jobs\{lifecycle_state="STABLE"\} (\d+)$/m.exec(await this.metrics())?.[1] ?? 0)
      if (stable < count) return `${stable} of ${count} jobs are stable`
      const { items } = await this.api.list(flinkJobs, { namespace: NAMESPACE })
      const other = items.find(item => !isStable(item))
      return other === undefined && items.length === count ? undefined : `${other?.metadata.name}: ${JSON.stringify(other?.status)}`
    })
  }

  /** Answers when the operator has written nothing for `quietMs`. */
  async untilQuiet(quietMs: number): Promise<void> {
    for (let before = -1; ; ) {
      const { writes } = this.calls()
      if (writes === before) return
      before = writes
      await delay(quietMs)
    }
  }

  calls(): OperatorCalls {
    const counted = this.plane.audited().filter(({ verb, objectRef }) => verb !== 'watch' && objectRef?.resource !== 'leases')
    const writes = counted.filter(({ verb }) => verb !== 'get' && verb !== 'list').length
    const byRequest: Record<string, number> = {}
    for (const request of counted) byRequest[nameOf(request)] = (byRequest[nameOf(request)] ?? 0) + 1
    return { reads: counted.length - writes, writes, byRequest }
  }

  /** What there is beside what there should be, of each job the same. */
  async wrongObjects(count: number): Promise<readonly string[]> {
    const names = Array.from({ length: count }, (_, index) => `job-${String(index).padStart(3, '0')}`)
    const expected = [
      [pods, ['jm-0', 'tm-0']],
      [statefulSets, ['jm', 'tm']],
      [services, ['jobmanager', 'rest']],
      [secrets, ['token', 'ca', 'jm-tls', 'tm-tls']],
    ] as const
    const wrong: string[] = []
    for (const [type, suffixes] of expected) {
      const found = new Set(
        (await this.api.list(type, { namespace: NAMESPACE, labels: { 'app.kubernetes.io/managed-by': 'millrace' } })).items.map(
          ({ metadata }) => metadata.name,
        ),
      )
      for (const name of names)
        for (const suffix of suffixes) if (!found.delete(`${name}-${suffix}`)) wrong.push(`${type.kind} ${name}-${suffix} is missing`)
      for (const name of found) wrong.push(`${type.kind} ${name} is too many`)
    }
    return wrong
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text()
  }

  private async until(problem: () => Promise<string | undefined>): Promise<void> {
    for (const endMs = Date.now() + LIMIT_MS; ; await delay(LOOK_MS)) {
      const found = await problem()
      if (found === undefined) return
      if (Date.now() > endMs || this.child.exitCode !== null) throw new Error(`${found}; ${this.fleet.failures.slice(0, 3).join('; ')}`)
    }
  }
}

const LIMIT_MS = 300_000
const LOOK_MS = 250

function isStable({ status, metadata }: KubeObject): boolean {
  const { lifecycleState, jobStatus, observedGeneration, conditions = [] } = (status ?? {}) as Partial<FlinkJobStatus>
  const isReady = conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True')
  return isReady && lifecycleState === 'STABLE' && jobStatus?.state === 'RUNNING' && observedGeneration === metadata.generation
}

function nameOf({ verb, objectRef: { resource, subresource } = { resource: 'other' } }: AuditedRequest): string {
  return `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`
}
