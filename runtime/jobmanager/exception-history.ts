import { type SerializedError, stackWithCauses } from '../common/errors.ts'
import { type Execution, type ExecutionGraph, taskName } from '../graph/execution-graph.ts'
import type { ExceptionEntry } from '../rpc/job-manager-gateway.ts'

type ConcurrentException = ExceptionEntry['concurrentExceptions'][number]

/** Failures beside the first one of an entry; a wide job that loses a machine reports one per subtask. */
const concurrentMax = 100

/** What went wrong with a job, newest first, bounded by `web.exception-history-size`. Failures on the way down join the one that started it. */
export class ExceptionHistory {
  private readonly sizeMax: number
  private entries: { readonly root: ConcurrentException; readonly concurrent: ConcurrentException[] }[] = []

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax
  }

  root(exception: ConcurrentException): void {
    this.entries = [{ root: exception, concurrent: [] }, ...this.entries].slice(0, this.sizeMax)
  }

  concurrent(exception: ConcurrentException): void {
    const newest = this.entries[0]
    if (newest === undefined) this.root(exception)
    else if (newest.concurrent.length < concurrentMax) newest.concurrent.push(exception)
  }

  /** What turned out to be behind the newest entry's root takes its place; the old root stays beside it. */
  explain(exception: ConcurrentException): void {
    const newest = this.entries[0]
    if (newest === undefined) this.root(exception)
    else this.entries[0] = { root: exception, concurrent: [newest.root, ...newest.concurrent].slice(0, concurrentMax) }
  }

  view(): readonly ExceptionEntry[] {
    return this.entries.map(({ root, concurrent }) => ({ ...root, concurrentExceptions: [...concurrent] }))
  }
}

export function exceptionEntry(error: SerializedError, nowMs: number, graph: ExecutionGraph, execution: Execution | undefined): ConcurrentException {
  const location = execution !== undefined && 'location' in execution.state ? execution.state.location : undefined
  return {
    exceptionName: error.name === 'FlinkError' ? `FlinkError[${error.code}]` : error.name,
    stacktrace: stackWithCauses(error),
    timestampMs: nowMs,
    taskName: execution === undefined ? undefined : `${taskName(graph.jobGraph, execution)} - execution #${execution.attempt}`,
    endpoint: location === undefined ? undefined : `${location.host}:${location.dataPort}`,
    taskManagerId: location?.taskManagerId,
    error,
  }
}
