import { FlinkError, type SerializedError } from '../common/errors.ts'
import { processOptions } from '../common/options.ts'
import type { JobGraph } from '../graph/job-graph.ts'

/**
 * Between whoever plans a job and the planner child. One request as one line of JSON on the child's stdin, one answer as JSON on its
 * file descriptor 3, then the child ends. Stdin stays open as long as the parent lives: its end is the child's order to exit, so that
 * none outlives its parent. What the user's program prints goes to the child's stdout and comes back inside the answer.
 */
export interface PlanRequest {
  readonly artifactPath: string
  /** Of the artefact: a file that changed is refused. */
  readonly digest: string
  /** Where the child unpacks it. */
  readonly workFolder: string
  readonly entry: string
  readonly args: readonly string[]
  /** `-D` entries, and `-p` as `parallelism.default`. */
  readonly clientConfiguration: Readonly<Record<string, string>>
  readonly clusterConfiguration: Readonly<Record<string, string>>
  /** When no layer says one: CPU cores under `-t local`, else 1. */
  readonly defaultParallelism?: number
  readonly defaultJobName?: string
  readonly timeoutMs: number
}

export interface Plan {
  readonly jobGraph: JobGraph
  /** What `millrace info` prints. */
  readonly planText: string
  /** Files that the program registered, name -> path as it wrote it. */
  readonly cachedFiles: Readonly<Record<string, string>>
}

export type PlanAnswer = { readonly plan: Plan; readonly output: string } | { readonly error: SerializedError; readonly output: string }

/** A plan travels whole and is kept by the JobManager: a program that puts more than this into its graph should read it from a source. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024
export const OUTPUT_CHARS_MAX = 64 * 1024
export const ANSWER_FD = 3

/** Both sides answer these: the child as long as it can, the parent in its stead. */
export function tooSlow({ timeoutMs, entry, defaultJobName }: PlanRequest): FlinkError {
  const program = defaultJobName === undefined ? 'the program' : `the program ${defaultJobName}`
  return new FlinkError(
    'TIMEOUT',
    `${program} did not finish building its graph within ${timeoutMs} ms (${processOptions.plannerTimeout.key}): its export '${entry}' still runs, or waits for something that does not come`,
    { timeoutMs },
  )
}

export function outOfMemory(heapMb: number): FlinkError {
  return new FlinkError('OUT_OF_MEMORY', `the program needed more than ${heapMb} MiB of memory while building its graph`, { heapMb })
}
