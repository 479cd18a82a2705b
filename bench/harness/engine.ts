import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../runtime/common/clock.ts'
import { createRestClient } from '../../runtime/rest/client.ts'
import type { JobInfo, RestClient } from '../../runtime/rest/types.ts'
import { type CpuGroup, createCpuGroup, pssBytes } from './cgroup.ts'
import type { Sample } from './measure.ts'

/**
 * A session cluster of real processes, ours or Apache Flink's: one JobManager, TaskManagers, all in one CPU group. Both speak the same
 * REST API, and both get their jobs by it (upload once, run by entry), so that no client's start is in the figures.
 */
export interface ClusterSpec {
  readonly name: string
  readonly folder: string
  readonly restPort: number
  readonly taskManagers: number
  readonly commands: readonly { readonly id: string; readonly command: readonly string[]; readonly environment: Readonly<Record<string, string>> }[]
}

export interface JobRequest {
  /** As the engine's upload knows it: an export's name, a class. */
  readonly entry: string
  readonly args: readonly string[]
  readonly parallelism: number
  readonly savepointPath?: string
}

export interface FinishedJob extends Sample {
  readonly info: JobInfo
}

const START_TIMEOUT_MS = 120_000
const STOP_TIMEOUT_MS = 20_000
/** Requests are work of the cluster and so in its figures: seldom, and as often for both. */
const POLL_MS = 50

const running = new Set<Cluster>()
/** Whatever ends this process, no process of a cluster outlives it. */
process.once('exit', () => {
  for (const cluster of running) cluster.kill()
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

export class Cluster implements AsyncDisposable {
  readonly name: string
  readonly rest: RestClient
  readonly group: CpuGroup
  /** From the first process's start until all TaskManagers had registered. */
  startSample: Sample = { wallSeconds: 0, cpuSeconds: 0 }
  private readonly spec: ClusterSpec
  private readonly children: { readonly id: string; readonly child: ChildProcess }[] = []

  private constructor(spec: ClusterSpec) {
    this.spec = spec
    this.name = spec.name
    this.group = createCpuGroup(spec.name)
    const address = `127.0.0.1:${spec.restPort}`
    this.rest = createRestClient({ address, token: undefined, requestTimeoutMs: 60_000, attemptsMax: 1, retryDelayMs: 100, clock: systemClock })
  }

  static async start(spec: ClusterSpec): Promise<Cluster> {
    const cluster = new Cluster(spec)
    running.add(cluster)
    try {
      await cluster.launch()
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
    return cluster
  }

  private async launch(): Promise<void> {
    const startMs = systemClock.monotonicMs()
    mkdirSync(this.spec.folder, { recursive: true })
    for (const { id } of this.spec.commands) this.startProcess(id)
    await this.registered(this.spec.taskManagers)
    this.startSample = { wallSeconds: (systemClock.monotonicMs() - startMs) / 1000, cpuSeconds: this.group.cpuSeconds() }
  }

  private startProcess(id: string): void {
    const spec = this.spec.commands.find(one => one.id === id)
    if (spec === undefined) throw new Error(`${this.name} has no process ${id}`)
    const log = openSync(this.logPath(id), 'a')
    const [executable = '', ...args] = this.group.wrap(spec.command)
    const child = spawn(executable, args, { cwd: this.spec.folder, env: { ...process.env, ...spec.environment }, stdio: ['ignore', log, log] })
    closeSync(log)
    if (child.pid !== undefined) this.group.adopt(child.pid)
    this.children.push({ id, child })
  }

  /** `kill -9` of one that is not missed: no process of ours or Flink's has children. */
  killProcess(id: string): void {
    const at = this.children.findIndex(one => one.id === id)
    const killed = this.children[at]
    if (killed === undefined) throw new Error(`${this.name} has no process ${id}`)
    this.children.splice(at, 1)
    killed.child.kill('SIGKILL')
  }

  private async registered(taskManagers: number): Promise<void> {
    const startMs = systemClock.monotonicMs()
    for (;;) {
      const registered = await this.rest.overview().then(
        overview => overview.taskmanagers,
        () => 0,
      )
      if (registered >= taskManagers) return
      this.requireAlive()
      if (systemClock.monotonicMs() - startMs > START_TIMEOUT_MS) throw new Error(`${this.name} did not start; its logs are in ${this.spec.folder}`)
      await delay(POLL_MS)
    }
  }

  async upload(fileName: string, bytes: Uint8Array): Promise<string> {
    return this.rest.uploadJar(fileName, bytes)
  }

  /** Runs a job to its end. CPU of the whole tree from the request to the end; wall the same. */
  async run(jarId: string, request: JobRequest): Promise<FinishedJob> {
    const startMs = systemClock.monotonicMs()
    const startCpu = this.group.cpuSeconds()
    const jobId = await this.submit(jarId, request)
    await this.finished(jobId)
    const wallSeconds = (systemClock.monotonicMs() - startMs) / 1000
    const cpuSeconds = this.group.cpuSeconds() - startCpu
    return { wallSeconds, cpuSeconds, info: await this.rest.job(jobId) }
  }

  async submit(jarId: string, { entry, args, parallelism, savepointPath }: JobRequest): Promise<string> {
    const request = { entryClass: entry, programArgsList: args, parallelism }
    return this.rest.runJar(jarId, savepointPath === undefined ? request : { ...request, savepointPath })
  }

  async finished(jobId: string): Promise<void> {
    while ((await this.requireSound(jobId)) !== 'FINISHED') await delay(POLL_MS)
  }

  /** The job's status, unless it or a process of the cluster has come to a bad end. */
  async requireSound(jobId: string): Promise<string> {
    const status = await this.rest.jobStatus(jobId)
    if (status === 'FAILED' || status === 'CANCELED') throw new Error(`job of ${this.name} is ${status}: ${await this.causeOf(jobId)}`)
    this.requireAlive()
    return status
  }

  pssBytes(): number {
    return pssBytes(this.group.pids())
  }

  private async causeOf(jobId: string): Promise<string> {
    const { exceptionHistory } = await this.rest.jobExceptions(jobId)
    return exceptionHistory.entries[0]?.stacktrace ?? 'no exception is recorded'
  }

  private logPath(id: string): string {
    return join(this.spec.folder, `${id}.log`)
  }

  private requireAlive(): void {
    for (const { id, child } of this.children) {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) continue
      const log = readFileSync(this.logPath(id), 'utf8').trim().split('\n').slice(-15).join('\n')
      throw new Error(`${id} of ${this.name} has ended:\n${log}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const alive = this.children.filter(({ child }) => child.exitCode === null && child.signalCode === null && child.pid !== undefined)
    const ends = alive.map(({ child }) => new Promise<void>(resolve => child.once('exit', () => resolve())))
    // TaskManagers first: a JobManager of Flink's waits for nobody.
    for (const { child } of alive.reverse()) child.kill('SIGTERM')
    await Promise.race([Promise.all(ends), delay(STOP_TIMEOUT_MS, undefined, { ref: false })])
    this.kill()
    await Promise.all(ends)
    this.group.close()
    running.delete(this)
  }

  /** What is left in the group was started by this cluster, and by nobody else. */
  kill(): void {
    for (const pid of this.group.pids()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended meanwhile.
      }
    }
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('a TCP server has a port'))))
    })
  })
}
