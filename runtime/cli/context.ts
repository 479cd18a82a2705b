import type { Clock } from '../common/clock.ts'
import type { Configuration } from '../common/config.ts'
import type { SerializedError } from '../common/errors.ts'
import type { Random } from '../common/random.ts'
import type { RestClient } from '../rest/types.ts'

/** All that the command line knows of the world. `bin/millrace.ts` makes the real one, tests make theirs. */
export interface CliContext {
  /** Writes a line. */
  readonly stdout: (line: string) => void
  readonly stderr: (line: string) => void
  readonly clock: Clock
  readonly random: Random
  readonly version: string
  readonly commit: string
  readonly cpuCores: number
  /** IANA name; dates of `list` are shown in it. */
  readonly timeZone: string
  /** Aborts on Ctrl-C and SIGTERM. */
  readonly interrupted: AbortSignal
  /** `config.yaml` below, the client's entries on top; throws all problems as one INVALID_CONFIGURATION; warnings are printed by it. */
  loadConfiguration(clientEntries: Readonly<Record<string, string>>): Configuration
  rest(address: string, configuration: Configuration): RestClient
  fileExists(path: string): boolean
  /** The module with its imports and the files it declares, content-addressed. `fileName` ends in `.mjs`. */
  bundle(request: ProgramRequest): Promise<{ readonly bytes: Uint8Array; readonly fileName: string }>
  /** Runs the program in a child process; nothing is submitted. */
  plan(request: ProgramRequest): Promise<{ readonly json: string; readonly text: string }>
  /** What a cluster for the program has to have; of a job's id also what becomes of the state of its newest checkpoint. Rejects where the program is refused. */
  summarize(request: ProgramRequest, stateOf: string | undefined, allowNonRestoredState: boolean): Promise<ProgramSummary>
  /** Appears whole; its folder is made. */
  writeFile(path: string, bytes: Uint8Array): Promise<void>
  /** What a savepoint holds. */
  showState(path: string, configuration: Configuration): Promise<{ readonly json: string; readonly text: string }>
  /** What would become of it in the program, which is planned as by `plan`. */
  planState(
    path: string,
    request: ProgramRequest,
    ignoresUnclaimedState: boolean,
  ): Promise<{ readonly json: string; readonly text: string; readonly restorable: boolean }>
  /** JobManager and one TaskManager in this process, until the job has ended and everything is closed. Aborting the signal cancels the job. */
  runLocal(request: ProgramRequest, events: { readonly onSubmitted: (jobId: string) => void; readonly signal: AbortSignal }): Promise<JobOutcome>
  readonly cluster: ClusterProcesses
  /** Runs one process kind in the foreground until it ends; answers the exit code. */
  runProcess(kind: ProcessKind, request: ProcessRequest): Promise<number>
}

export type ProcessKind = 'jobmanager' | 'taskmanager'

export interface ProcessRequest {
  /** `-D` entries of the command line. */
  readonly clientEntries: Readonly<Record<string, string>>
  readonly configuration: Configuration
  readonly logFormat: 'pretty' | 'json'
  /** End when stdin ends: the parent holds the other side, and its death in whatever way is noticed. */
  readonly endWithStdin: boolean
  /** Where the process describes itself once it is ready (`ProcessRecord`), until its orderly end. */
  readonly recordPath: string | undefined
}

export interface ProgramRequest {
  /** Of a file, or `s3://`. */
  readonly modulePath: string
  /** `sha256:…` of what lies at an address; another one is refused. */
  readonly moduleDigest?: string
  readonly entry: string
  readonly args: readonly string[]
  /** `-p`. */
  readonly parallelism: number | undefined
  /** What an operator gets that nobody gave a parallelism: CPU cores under `-t local`. */
  readonly defaultParallelism: number
  readonly configuration: Configuration
  readonly clientEntries: Readonly<Record<string, string>>
}

export type ProgramSummary =
  | {
      readonly kind: 'ready'
      readonly jobName: string
      readonly slotsNeeded: number
      readonly slotsPerTaskManager: number
      /** By vertex id. */
      readonly parallelisms: Readonly<Record<string, number>>
      /** Where the job would keep its checkpoints; absent = nowhere. */
      readonly checkpointDirectory?: string
      /** What the program says itself about where its state lies. */
      readonly configuration: Readonly<Record<string, string>>
      readonly statePlan?: { readonly restorePoint: string | undefined; readonly states: readonly { readonly outcome: string }[] }
    }
  | { readonly kind: 'invalid'; readonly message: string }

export interface JobOutcome {
  readonly jobId: string
  readonly name: string
  readonly state: 'FINISHED' | 'FAILED' | 'CANCELED'
  readonly runtimeMs: number
  readonly failure: SerializedError | undefined
}

/** The content of a record file: how a process that runs in the background is found, reached and stopped. */
export interface ProcessRecord {
  readonly kind: ProcessKind
  readonly id: string
  readonly pid: number
  /** JobManager only: where REST and TaskManagers reach it. */
  readonly webAddress?: string
  readonly rpcHost?: string
  readonly rpcPort?: number
}

/** A cluster of detached processes on this machine, described by pid files. */
export interface ClusterProcesses {
  start(request: {
    readonly taskManagers: number
    readonly slots: number
    readonly clientEntries: Readonly<Record<string, string>>
    readonly configuration: Configuration
  }): Promise<{
    readonly webAddress: string
    readonly started: readonly StartedProcess[]
  }>
  /** Answers what it stopped, in order; empty when there was nothing. */
  stop(): Promise<readonly StartedProcess[]>
}

export interface StartedProcess {
  readonly kind: ProcessKind
  readonly id: string
  readonly pid: number
}

/** Bad arguments: the message on stdout, a hint, exit 1. */
export class CliArgsError extends Error {
  override name = 'CliArgsError'
}
