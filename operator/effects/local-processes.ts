import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { ClusterSpec } from '../api/flink-job.ts'
import { LOG_LEVEL } from '../api/operator-options.ts'
import type { ClusterProcesses, ObservedCluster, ObservedJobManager, ProcessAction } from './actions.ts'
import { type Child, startChild } from './child-processes.ts'

/**
 * JobManager and TaskManagers as child processes of this machine. Everything of one cluster lies in one directory, which is also the children's MILLRACE_DIR: run/ (notes
 * and records of processes), log/, artefacts, the cluster's token.
 *
 * A child's record file appears when it is ready; where it listens stands in it.
 */
export interface LocalProcessesOptions {
  readonly directory: string
  /** How this program is started again: executable and first arguments. */
  readonly launcher: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly rest: (address: string) => RestClient
  /** Of config.yaml: what a person has set is not chosen here. */
  readonly isConfigured: (key: string) => boolean
  /** Says something to the person in front of it. */
  readonly note: (text: string) => void
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
}

export interface LocalProcesses extends ClusterProcesses {
  /** Where what the jobs print is found. */
  outputs(): readonly JobOutputFile[]
  /** Ends whatever still runs. */
  close(): Promise<void>
}

interface ProcessState {
  readonly id: string
  readonly child: Child
  readonly recordPath: string
  readonly logPath: string
  readonly startedMs: number
  wasReady: boolean
  tooSlow: boolean
}

interface JobManagerRecord {
  readonly webAddress: string
  readonly rpcHost: string
  readonly rpcPort: number
}

/** What the jobs on one TaskManager print to one of the two streams. */
export interface JobOutputFile {
  readonly id: string
  readonly path: string
  readonly stream: 'stdout' | 'stderr'
}

const DEFAULT_REST_PORT = 8081

export function createLocalProcesses(options: LocalProcessesOptions): LocalProcesses {
  let jobManager: ProcessState | undefined
  let taskManagers: ProcessState[] = []
  let portChosen = false
  let avoidDefaultPort = false
  const outputs: JobOutputFile[] = []

  const observeJobManager = (): ObservedJobManager => {
    if (jobManager === undefined) return { kind: 'missing' }
    const ended = endedMessage(options, jobManager)
    if (ended !== undefined && portChosen && !jobManager.wasReady && ended.includes(`port ${DEFAULT_REST_PORT}`)) {
      // Somebody took the port between our look and its listening: started again on another one.
      jobManager = undefined
      avoidDefaultPort = true
      return { kind: 'missing' }
    }
    if (ended !== undefined) return { kind: 'ended', message: ended }
    jobManager.wasReady ||= existsSync(jobManager.recordPath)
    const record = readRecord(jobManager)
    return record === undefined ? { kind: 'starting' } : { kind: 'ready', webAddress: record.webAddress }
  }

  const actions: { readonly [K in ProcessAction['kind']]: (action: Extract<ProcessAction, { kind: K }>) => Promise<void> } = {
    async startJobManager({ spec }) {
      if (jobManager !== undefined && jobManager.child.exit === undefined) return
      const port = await restPort(options, spec, avoidDefaultPort)
      portChosen = port['rest.port'] === String(DEFAULT_REST_PORT)
      writeLevel(options, spec)
      jobManager = launch(options, 'jobmanager', 'jobmanager-0', {
        ...port,
        ...unlessConfigured(options, { 'jobmanager.rpc.address': '127.0.0.1', 'jobmanager.rpc.port': '0', ...stateOptions(options) }),
        ...spec.flinkConfiguration,
      })
    },
    async startTaskManagers({ spec, replicas }) {
      const record = jobManager === undefined ? undefined : readRecord(jobManager)
      if (record === undefined) throw new FlinkError('CONFLICT', 'TaskManagers cannot be started before their JobManager')
      const running = new Set(taskManagers.filter(({ child }) => child.exit === undefined).map(({ id }) => id))
      for (let index = 0; index < replicas; index++) {
        const id = taskManagerId(index)
        if (running.has(id)) continue
        const state = launch(options, 'taskmanager', id, {
          ...unlessConfigured(options, { 'taskmanager.host': '127.0.0.1' }),
          ...spec.flinkConfiguration,
          'jobmanager.rpc.address': record.rpcHost,
          'jobmanager.rpc.port': String(record.rpcPort),
          'taskmanager.resource-id': id,
        })
        taskManagers = [...taskManagers.filter(other => other.id !== id), state]
        if (outputs.some(output => output.id === id)) continue
        for (const stream of ['stdout', 'stderr'] as const) outputs.push({ id, path: outputPath(options, id, stream), stream })
      }
    },
    async applyLive({ spec }) {
      writeLevel(options, spec)
    },
    async stopTaskManagers({ keep = 0 }) {
      const kept = new Set(Array.from({ length: keep }, (_, index) => taskManagerId(index)))
      const ending = taskManagers.filter(({ id }) => !kept.has(id))
      await Promise.all(ending.map(({ child }) => child.stop(options.clock, options.stopTimeoutMs)))
      taskManagers = taskManagers.filter(({ id }) => kept.has(id))
    },
    async stopJobManager() {
      await jobManager?.child.stop(options.clock, options.stopTimeoutMs)
      jobManager = undefined
    },
  }

  const rest = async (): Promise<RestClient> => {
    const record = jobManager === undefined ? undefined : readRecord(jobManager)
    if (record === undefined) throw new FlinkError('CONNECTION_REFUSED', 'the JobManager is not up')
    return options.rest(record.webAddress)
  }

  return {
    async observeCluster(): Promise<ObservedCluster> {
      const ended: { message: string; wasReady: boolean }[] = []
      let running = 0
      for (const state of taskManagers) {
        state.wasReady ||= existsSync(state.recordPath)
        const message = endedMessage(options, state)
        if (message === undefined) running++
        else ended.push({ message, wasReady: state.wasReady })
      }
      return { jobManager: observeJobManager(), taskManagers: { running, ended } }
    },
    // The action's kind picks the function that takes it; TypeScript cannot follow that over a union.
    execute: action => (actions[action.kind] as (action: ProcessAction) => Promise<void>)(action),
    rest,
    outputs: () => outputs,
    async close() {
      await actions.stopTaskManagers({ kind: 'stopTaskManagers' })
      await actions.stopJobManager({ kind: 'stopJobManager' })
    },
  }
}

function levelPath({ directory }: Pick<LocalProcessesOptions, 'directory'>): string {
  return join(directory, 'run', 'log-level')
}

/** Appears whole: processes look at it meanwhile. */
function writeLevel(options: LocalProcessesOptions, { flinkConfiguration }: ClusterSpec): void {
  const path = levelPath(options)
  const level = flinkConfiguration[LOG_LEVEL]
  if (level === undefined) return rmSync(path, { force: true })
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.part`, `${level}\n`)
  renameSync(`${path}.part`, path)
}

function taskManagerId(index: number): string {
  return `taskmanager-${index}`
}

function launch(
  options: LocalProcessesOptions,
  kind: 'jobmanager' | 'taskmanager',
  id: string,
  properties: Readonly<Record<string, string>>,
): ProcessState {
  const recordPath = join(options.directory, 'run', `${id}.json`)
  const logPath = join(options.directory, 'log', `${id}.log`)
  rmSync(recordPath, { force: true })
  const child = startChild({
    command: [
      ...options.launcher,
      kind,
      '--end-with-stdin',
      '--record',
      recordPath,
      '-D',
      `${LOG_LEVEL}-file=${levelPath(options)}`,
      ...Object.entries(properties).flatMap(([key, value]) => ['-D', `${key}=${value}`]),
    ],
    env: { ...options.env, MILLRACE_DIR: options.directory },
    // What user code writes to the console stands among what the job prints.
    stdoutPath: kind === 'taskmanager' ? outputPath(options, id, 'stdout') : logPath,
    stderrPath: logPath,
    notePath: join(options.directory, 'run', `${id}.pid`),
  })
  return { id, child, recordPath, logPath, startedMs: options.clock.monotonicMs(), wasReady: false, tooSlow: false }
}

function outputPath(options: LocalProcessesOptions, id: string, stream: JobOutputFile['stream']): string {
  return join(options.directory, 'log', `${id}.${stream === 'stdout' ? 'out' : 'err'}`)
}

function endedMessage(options: LocalProcessesOptions, state: ProcessState): string | undefined {
  const { id, child, logPath } = state
  if (child.exit !== undefined) return `${id} ${child.exit.description}${logTail(logPath)}`
  const ready = state.wasReady || existsSync(state.recordPath)
  if (!ready && options.clock.monotonicMs() - state.startedMs > options.startTimeoutMs) {
    return `${id} was not ready within ${options.startTimeoutMs} ms${logTail(logPath)}`
  }
  return undefined
}

function logTail(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-10)
    return lines.join('').trim() === '' ? '' : `; the end of its log ${path}:\n${lines.map(line => `  ${line}`).join('\n')}`
  } catch {
    return ''
  }
}

function readRecord(state: ProcessState): JobManagerRecord | undefined {
  try {
    // Written whole by our own process, renamed into place.
    return JSON.parse(readFileSync(state.recordPath, 'utf8')) as JobManagerRecord
  } catch {
    return undefined
  }
}

/** What was configured wins; else Flink's port, and any other one while somebody else has that. */
async function restPort(options: LocalProcessesOptions, spec: ClusterSpec, avoidDefault: boolean): Promise<Record<string, string>> {
  if ('rest.port' in spec.flinkConfiguration || options.isConfigured('rest.port')) return {}
  if (!avoidDefault && (await isFree(DEFAULT_REST_PORT))) return { 'rest.port': String(DEFAULT_REST_PORT) }
  options.note(`port ${DEFAULT_REST_PORT} is taken, the JobManager takes another one`)
  return { 'rest.port': '0' }
}

/** Upgrades need a place for the state, which outlives the JobManager: beside the object, where nobody has said another. */
export function stateOptions({ directory }: Pick<LocalProcessesOptions, 'directory'>): Record<string, string> {
  return {
    ...placesOfState(directory),
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    'job-result-store.storage-path': `${stateFolder(directory)}/results`,
    'job-result-store.delete-on-commit': 'false',
  }
}

/** Of one job: of one on a session they lie in its own directory, for its session may go and come back. */
export function placesOfState(directory: string): Record<string, string> {
  const folder = stateFolder(directory)
  return { 'execution.checkpointing.dir': `${folder}/checkpoints`, 'execution.checkpointing.savepoint-dir': `${folder}/savepoints` }
}

function stateFolder(directory: string): string {
  return pathToFileURL(join(directory, 'state')).href
}

export function unlessConfigured(
  options: Pick<LocalProcessesOptions, 'isConfigured'>,
  entries: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).filter(([key]) => !options.isConfigured(key)))
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
