import { spawn } from 'node:child_process'
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Clock, sleep } from '../common/clock.ts'
import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { RestClient } from '../rest/types.ts'
import type { ClusterProcesses, ProcessKind, ProcessRecord, StartedProcess } from './context.ts'

/**
 * `start-cluster` and `stop-cluster`: detached processes on this machine. Each is started with `--record <dir>/run/<id>.json` and writes
 * that file when it is ready; the file names its pid, and its own path stands in the process's command line, so that a pid that the
 * system has given to somebody else is never taken for ours.
 *
 * Starting: JobManager -> its record -> TaskManagers -> all registered. Whatever fails on the way ends everything that was started.
 * Stopping: the JobManager first, which cancels its jobs and tells its TaskManagers to end; then whoever is left; `SIGKILL` after 30 s.
 */
export interface LocalClusterOptions {
  /** `MILLRACE_DIR` */
  readonly directory: string
  readonly logDirectory: (configuration: Configuration) => string
  /** How this program is started again: executable and first arguments. */
  readonly launcher: readonly string[]
  readonly startTimeoutMs: number
  readonly clock: Clock
  /** Ctrl-C while the cluster starts: what was started is ended again. */
  readonly interrupted: AbortSignal
  readonly rest: (address: string, configuration: Configuration) => RestClient
}

type StartRequest = Parameters<ClusterProcesses['start']>[0]

const POLL_MS = 50
const STOP_TIMEOUT_MS = 30_000

export function createLocalCluster(options: LocalClusterOptions): ClusterProcesses {
  return { start: request => start(options, request), stop: () => stop(options) }
}

/** Of the processes that run now, the JobManager first. */
export function runningRecords(directory: string): { readonly path: string; readonly record: ProcessRecord }[] {
  const folder = recordFolder(directory)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => name.endsWith('.json'))
    .sort()
    .flatMap(name => {
      const path = join(folder, name)
      const record = readRecord(path)
      return record !== undefined && isRunning(record.pid, path) ? [{ path, record }] : []
    })
}

function recordFolder(directory: string): string {
  return join(resolve(directory), 'run')
}

function readRecord(path: string): ProcessRecord | undefined {
  try {
    // Written whole by our own process, renamed into place.
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessRecord
  } catch {
    return undefined
  }
}

async function start(options: LocalClusterOptions, request: StartRequest) {
  const running = runningRecords(options.directory)
  if (running.length > 0) {
    const names = running.map(({ record }) => `${record.id} (pid ${record.pid})`).join(', ')
    throw new FlinkError(
      'CONFLICT',
      `a cluster of ${options.directory} is running already: ${names}; end it with millrace stop-cluster, or set MILLRACE_DIR for another one`,
    )
  }
  rmSync(recordFolder(options.directory), { recursive: true, force: true })
  mkdirSync(recordFolder(options.directory), { recursive: true })
  mkdirSync(options.logDirectory(request.configuration), { recursive: true })
  const started: Child[] = []
  try {
    const jobManager = launch(options, request, 'jobmanager', 'jobmanager-0', {})
    started.push(jobManager)
    const record = await recordOf(options, jobManager)
    for (let index = 0; index < request.taskManagers; index++) {
      started.push(
        launch(options, request, 'taskmanager', `taskmanager-${index}`, {
          'jobmanager.rpc.address': record.rpcHost ?? 'localhost',
          'jobmanager.rpc.port': String(record.rpcPort ?? 0),
          'taskmanager.resource-id': `taskmanager-${index}`,
        }),
      )
    }
    const webAddress = record.webAddress ?? ''
    await registered(options, options.rest(webAddress, request.configuration), started, request.taskManagers)
    return { webAddress, started: started.map(({ kind, id, pid }) => ({ kind, id, pid })) }
  } catch (error) {
    await endAll(
      options,
      started.map(({ pid, recordPath }) => ({ pid, path: recordPath })),
    )
    throw error
  }
}

interface Child extends StartedProcess {
  readonly recordPath: string
  readonly logPath: string
  /** Size of the log before it wrote: what is there already is of earlier clusters. */
  readonly logStart: number
}

function launch(options: LocalClusterOptions, request: StartRequest, kind: ProcessKind, id: string, extra: Readonly<Record<string, string>>): Child {
  const recordPath = join(recordFolder(options.directory), `${id}.json`)
  const logPath = join(options.logDirectory(request.configuration), `${id}.log`)
  const properties = Object.entries({ ...request.clientEntries, ...extra }).flatMap(([key, value]) => ['-D', `${key}=${value}`])
  const [executable = process.execPath, ...first] = options.launcher
  const log = openSync(logPath, 'a')
  const logStart = fstatSync(log).size
  try {
    const child = spawn(executable, [...first, kind, '--record', recordPath, ...properties], { detached: true, stdio: ['ignore', log, log] })
    // A start that fails has no pid, and is found missing like one that died.
    child.on('error', () => {})
    child.unref()
    return { kind, id, pid: child.pid ?? -1, recordPath, logPath, logStart }
  } finally {
    closeSync(log)
  }
}

async function recordOf(options: LocalClusterOptions, child: Child): Promise<ProcessRecord> {
  const deadlineMs = options.clock.monotonicMs() + options.startTimeoutMs
  for (;;) {
    const record = existsSync(child.recordPath) ? readRecord(child.recordPath) : undefined
    if (record !== undefined) return record
    requireAlive(child)
    if (options.clock.monotonicMs() > deadlineMs)
      throw new FlinkError('TIMEOUT', `${child.id} was not ready within ${options.startTimeoutMs} ms; its log is ${child.logPath}`)
    await sleep(options.clock, POLL_MS, options.interrupted)
  }
}

async function registered(options: LocalClusterOptions, rest: RestClient, children: readonly Child[], wanted: number): Promise<void> {
  const deadlineMs = options.clock.monotonicMs() + options.startTimeoutMs
  for (;;) {
    const { taskmanagers } = await rest.overview()
    if (taskmanagers >= wanted) return
    for (const child of children) requireAlive(child)
    if (options.clock.monotonicMs() > deadlineMs) {
      throw new FlinkError(
        'TIMEOUT',
        `${taskmanagers} of ${wanted} TaskManagers have registered within ${options.startTimeoutMs} ms; logs are beside ${children[0]?.logPath}`,
      )
    }
    await sleep(options.clock, POLL_MS, options.interrupted)
  }
}

function requireAlive(child: Child): void {
  if (child.pid > 0 && isRunning(child.pid, child.recordPath)) return
  throw new FlinkError('EXTERNAL_SYSTEM', `${child.id} ended while the cluster was starting; the end of its log ${child.logPath}:\n${tail(child)}`)
}

function tail({ logPath, logStart }: Child): string {
  try {
    return readFileSync(logPath).subarray(logStart).toString('utf8').trim().split('\n').slice(-10).join('\n')
  } catch {
    return '(there is none)'
  }
}

async function stop(options: LocalClusterOptions): Promise<readonly StartedProcess[]> {
  const running = runningRecords(options.directory)
  await endAll(
    options,
    running.map(({ record, path }) => ({ pid: record.pid, path })),
  )
  return running.map(({ record: { kind, id, pid } }) => ({ kind, id, pid }))
}

async function endAll(options: LocalClusterOptions, processes: readonly { readonly pid: number; readonly path: string }[]): Promise<void> {
  const deadlineMs = options.clock.monotonicMs() + STOP_TIMEOUT_MS
  for (const { pid, path } of processes) {
    let killed = false
    if (isRunning(pid, path)) signal(pid, 'SIGTERM')
    while (isRunning(pid, path)) {
      if (!killed && options.clock.monotonicMs() > deadlineMs) {
        signal(pid, 'SIGKILL')
        killed = true
      }
      await sleep(options.clock, POLL_MS)
    }
    rmSync(path, { force: true })
  }
}

/** Alive, no zombie, and ours: where /proc tells, its command line names the record. */
function isRunning(pid: number, recordPath: string): boolean {
  if (pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (!existsSync('/proc/self/cmdline')) return true
  try {
    // Between fork and exec the command line is still the parent's; an empty one is a zombie's.
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return commandLine !== '' && (commandLine.includes(recordPath) || commandLine.includes('start-cluster'))
  } catch {
    return false
  }
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself in between.
  }
}
