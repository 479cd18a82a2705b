import type { JsonObject } from '../common/json.ts'

/** What turns an uploaded bundle into a JobGraph: a child process that runs the user's code (bin/), an object in tests. */
export interface ProgramPlanner {
  /** Rejects with INVALID_PROGRAM and what the user did wrong. */
  plan(request: ProgramPlanRequest): Promise<PlannedProgram>
}

export interface ProgramPlanRequest {
  readonly artifact: { readonly digest: string; readonly bytes: Uint8Array }
  /** The export that is the program. */
  readonly entry: string
  readonly args: readonly string[]
  /** `-p` of the client. */
  readonly parallelism: number | undefined
  /** `-D` of the client. */
  readonly configuration: Readonly<Record<string, string>>
  /** When neither the program nor `pipeline.name` names the job. */
  readonly fallbackJobName: string
}

export interface PlannedProgram {
  /** A `JobGraph` of runtime/graph. */
  readonly jobGraph: JsonObject
  readonly jobName: string
  /** Differs from the request's when the program declared files of its own. */
  readonly artifact: { readonly digest: string; readonly bytes: Uint8Array }
}
