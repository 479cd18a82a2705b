import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Catalogue } from '../../runtime/checkpoint/catalogue.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { ClusterSpec, FlinkJobSpec } from '../api/flink-job.ts'
import type { Action, Executor, ObservedCluster, ObservedJobManager, ObservedProgram, StatePlan, StatePlanQuestion } from './actions.ts'
import { type Child, startChild } from './child-processes.ts'
import { rescale } from './rescale.ts'
import { createStatePlans } from './state-plans.ts'

/**
 * Actions on this machine: JobManager and TaskManagers as child processes, the job over REST. Everything of one FlinkJob lies in one
 * directory, which is also the children's MILLRACE_DIR: run/ (notes and records of processes), log/, artefacts, the cluster's token.
 *
 * A child's record file appears when it is ready; where it listens stands in it.
 */
export interface LocalExecutorOptions {
  readonly directory: string
  readonly jobName: string
  /** How this program is started again: executable and first arguments. */
  readonly launcher: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  readonly rest: (address: string) => RestClient
  readonly programs: Programs
  /** Of jobs that run with these options over config.yaml. */
  readonly catalogue: (options: Readonly<Record<string, string>>) => Catalogue
  /** Of config.yaml: what a person has set is not chosen here. */
  readonly isConfigured: (key: string) => boolean
  /** Says something to the person in front of it. */
  readonly note: (text: string) => void
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
}

/** Bundles and plans, in a process of its own. Rejects with a `FlinkError` that says what the user did wrong. */
export interface Programs {
  prepare(spec: FlinkJobSpec, signal: AbortSignal): Promise<PreparedProgram>
}

export interface PreparedProgram {
  readonly bytes: Uint8Array
  readonly jobName: string
  readonly slotsNeeded: number
  /** Of the manifest, else of config.yaml. */
  readonly slotsPerTaskManager: number
  /** By vertex id. */
  readonly parallelisms: Readonly<Record<string, number>>
  readonly entry: string
  /** Where a cluster with the spec's options keeps its checkpoints; undefined = nowhere that outlives a JobManager. */
  readonly checkpointDirectory: string | undefined
  /** What becomes of the state of the job's newest checkpoint in this program: read at the store, no user code runs. */
  planState(jobId: string): Promise<StatePlan>
  /** What the program says itself, over everything else. */
  readonly configuration: Readonly<Record<string, string>>
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

export interface LocalExecutor extends Executor {
  /** Where what the jobs print is found. */
  outputs(): readonly JobOutputFile[]
  /** Ends whatever still runs. */
  close(): Promise<void>
}

const DEFAULT_REST_PORT = 8081
const PROGRAMS_KEPT = 2

interface Program {
  readonly key: string
  readonly prepared: Promise<PreparedProgram>
  observed: ObservedProgram
}

export function createLocalExecutor(options: LocalExecutorOptions): LocalExecutor {
  let jobManager: ProcessState | undefined
  let taskManagers: ProcessState[] = []
  /** The program that runs and the one that an edit leads to. */
  let programs: Program[] = []
  const closing = new AbortController()
  let portChosen = false
  let avoidDefaultPort = false
  const outputs: JobOutputFile[] = []

  const programOf = (spec: FlinkJobSpec) => {
    const key = JSON.stringify(spec)
    const known = programs.find(program => program.key === key)
    if (known !== undefined) return known
    // As its cluster sees it, which is told more than the spec says.
    const flinkConfiguration = { ...unlessConfigured(options, stateOptions(options)), ...spec.flinkConfiguration }
    const prepared = options.programs.prepare({ ...spec, flinkConfiguration }, closing.signal)
    const made: Program = { key, prepared, observed: { kind: 'pending' } }
    prepared.then(
      ({ jobName, slotsNeeded, slotsPerTaskManager, parallelisms }) => {
        made.observed = { kind: 'ready', jobName, slotsNeeded, slotsPerTaskManager, parallelisms }
      },
      (error: unknown) => {
        made.observed = { kind: 'invalid', message: error instanceof Error ? error.message : String(error) }
      },
    )
    programs = [...programs.slice(1 - PROGRAMS_KEPT), made]
    return made
  }

  const statePlans = createStatePlans(options.clock)
  const planState = async ({ jobId, before, after }: StatePlanQuestion): Promise<StatePlan> => {
    const to = await programOf(after).prepared
    // One that cannot be made any more says nothing about where it kept its state.
    const from = await programOf(before).prepared.catch(() => to)
    if (from.checkpointDirectory === to.checkpointDirectory) return to.planState(jobId)
    const plan = await from.planState(jobId)
    if (plan.restorePoint === undefined) return plan
    const why = `it lies in ${from.checkpointDirectory}, and the edited job looks for it in ${to.checkpointDirectory ?? 'no store'}: execution.checkpointing.dir of a job with state cannot change`
    return { ...plan, states: [{ operator: to.jobName, name: '', outcome: 'incompatible', why }] }
  }

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

  const actions: { readonly [K in Action['kind']]: (action: Extract<Action, { kind: K }>) => Promise<void> } = {
    async startJobManager({ spec }) {
      if (jobManager !== undefined && jobManager.child.exit === undefined) return
      const port = await restPort(options, spec, avoidDefaultPort)
      portChosen = port['rest.port'] === String(DEFAULT_REST_PORT)
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
    async submitJob({ spec, jobId, initialSavepointPath, allowNonRestoredState: isApproved }) {
      const { bytes, entry } = await programOf(spec).prepared
      const rest = jobManagerRest()
      // The name of the upload is the job's, unless the program or pipeline.name gives it another one.
      const jarId = await rest.uploadJar(`${options.jobName}.mjs`, bytes)
      const { args, parallelism, allowNonRestoredState = isApproved } = spec.job
      await rest.runJar(jarId, {
        entryClass: entry,
        programArgsList: args,
        jobId,
        ...(parallelism === undefined ? {} : { parallelism }),
        ...(allowNonRestoredState === undefined ? {} : { allowNonRestoredState }),
        ...(initialSavepointPath === undefined ? {} : { savepointPath: initialSavepointPath }),
      })
      // The cluster keeps the artefact by its digest; an upload that stays behind is only untidy.
      await rest.deleteJar(jarId).catch(() => {})
    },
    async forgetResult({ spec, jobId }) {
      await (await plannedCatalogue(spec)).forgetResult(jobId)
    },
    async removeState({ spec, jobId }) {
      await (await plannedCatalogue(spec)).removeJob(jobId)
    },
    async cancelJob({ jobId }) {
      await jobManagerRest().cancelJob(jobId)
    },
    async rescaleJob(action) {
      await rescale(jobManagerRest(), action)
    },
    async stopJob({ jobId, triggerId }) {
      await jobManagerRest().stopWithSavepoint(jobId, { drain: false, triggerId })
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

  const catalogueOf = async (spec: FlinkJobSpec) => {
    return programOf(spec).observed.kind === 'pending' ? undefined : plannedCatalogue(spec)
  }
  const plannedCatalogue = async (spec: FlinkJobSpec) => {
    // A program that cannot be planned says nothing: what the manifest says counts.
    const { configuration } = await programOf(spec).prepared.catch(() => ({ configuration: {} }))
    return options.catalogue({ ...unlessConfigured(options, stateOptions(options)), ...spec.flinkConfiguration, ...configuration })
  }

  const jobManagerRest = (): RestClient => {
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
    // Looked at, not waited for: a program may take a minute to build its graph, and Ctrl-C must not.
    observeProgram: async spec => programOf(spec).observed,
    observeStatePlan: async question => statePlans.observe(JSON.stringify(question), () => planState(question)),
    catalogue: catalogueOf,
    // The action's kind picks the function that takes it; TypeScript cannot follow that over a union.
    execute: action => (actions[action.kind] as (action: Action) => Promise<void>)(action),
    outputs: () => outputs,
    async close() {
      closing.abort(new FlinkError('CANCELLED', 'stopped while the program was planned'))
      await Promise.all(programs.map(({ prepared }) => prepared.catch(() => {})))
      await statePlans.settled()
      await actions.stopTaskManagers({ kind: 'stopTaskManagers' })
      await actions.stopJobManager({ kind: 'stopJobManager' })
    },
  }
}

function taskManagerId(index: number): string {
  return `taskmanager-${index}`
}

function launch(
  options: LocalExecutorOptions,
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

function outputPath(options: LocalExecutorOptions, id: string, stream: JobOutputFile['stream']): string {
  return join(options.directory, 'log', `${id}.${stream === 'stdout' ? 'out' : 'err'}`)
}

function endedMessage(options: LocalExecutorOptions, state: ProcessState): string | undefined {
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
async function restPort(options: LocalExecutorOptions, spec: ClusterSpec, avoidDefault: boolean): Promise<Record<string, string>> {
  if ('rest.port' in spec.flinkConfiguration || options.isConfigured('rest.port')) return {}
  if (!avoidDefault && (await isFree(DEFAULT_REST_PORT))) return { 'rest.port': String(DEFAULT_REST_PORT) }
  options.note(`port ${DEFAULT_REST_PORT} is taken, the JobManager takes another one`)
  return { 'rest.port': '0' }
}

/** Upgrades need a place for the state, which outlives the JobManager: beside the object, where nobody has said another. */
function stateOptions({ directory }: LocalExecutorOptions): Record<string, string> {
  const folder = pathToFileURL(join(directory, 'state')).href
  return {
    'execution.checkpointing.dir': `${folder}/checkpoints`,
    'execution.checkpointing.savepoint-dir': `${folder}/savepoints`,
    'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
    'job-result-store.storage-path': `${folder}/results`,
    'job-result-store.delete-on-commit': 'false',
  }
}

function unlessConfigured(options: LocalExecutorOptions, entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).filter(([key]) => !options.isConfigured(key)))
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
