import type { Clock } from '../common/clock.ts'
import { errorCodes, type SerializedError } from '../common/errors.ts'
import type { Random } from '../common/random.ts'
import type { Execution, ExecutionGraph } from '../graph/execution-graph.ts'
import type { ExceptionEntry } from '../rpc/job-manager-gateway.ts'
import { ExceptionHistory, exceptionEntry } from './exception-history.ts'
import { next, noRestarts, type RestartStrategy } from './restart-strategy.ts'

/** What has gone wrong with a job: which failure is one of its own, what the restart strategy says to it, and what people are told. */
export class JobFailures {
  private readonly strategy: RestartStrategy
  private readonly clock: Clock
  private readonly random: Random
  private readonly history: ExceptionHistory
  private strategyState = noRestarts
  /** What the strategy said last. */
  private delayMs: number | undefined = undefined
  private failure: SerializedError | undefined = undefined
  private nextFailure = Promise.withResolvers<SerializedError>()

  constructor(strategy: RestartStrategy, parts: { readonly clock: Clock; readonly random: Random; readonly historySize: number }) {
    this.strategy = strategy
    this.clock = parts.clock
    this.random = parts.random
    this.history = new ExceptionHistory(parts.historySize)
  }

  /** That brings tasks down now; undefined behind a restart. */
  get current(): SerializedError | undefined {
    return this.failure
  }

  get next(): Promise<SerializedError> {
    return this.nextFailure.promise
  }

  /** Of these executions; none = of the job. Answers after how long tasks begin anew; undefined = it is final. */
  begin(error: SerializedError, graph: ExecutionGraph, executions: readonly Execution[]): number | undefined {
    const [first, ...others] = executions
    this.failure = error
    this.nextFailure.resolve(error)
    this.history.root(this.entryOf(error, graph, first))
    for (const execution of others) this.history.concurrent(this.entryOf(error, graph, execution))
    this.delayMs = undefined
    if (isFinal(error)) return undefined
    const [state, delayMs] = next(this.strategy, this.strategyState, this.clock.monotonicMs(), this.random)
    this.strategyState = state
    this.delayMs = delayMs
    return delayMs
  }

  /** Whether it has the cause of the failure that tasks are restarted for. */
  isSame(error: SerializedError): boolean {
    const { failure } = this
    if (failure === undefined) return false
    return (
      explains(error, failure) || (error.code === 'CONNECTION_LOST' && (failure.code === 'CONNECTION_LOST' || failure.code === 'TASKMANAGER_LOST'))
    )
  }

  /** It belongs to the failure that there is, and so does its delay. */
  join(error: SerializedError, graph: ExecutionGraph, executions: readonly Execution[]): number | undefined {
    for (const execution of executions.length === 0 ? [undefined] : executions) {
      const entry = this.entryOf(error, graph, execution)
      if (this.failure !== undefined && explains(error, this.failure)) {
        this.failure = error
        this.history.explain(entry)
      } else {
        this.history.concurrent(entry)
      }
    }
    return this.delayMs
  }

  /** Tasks begin anew. */
  end(): void {
    this.failure = undefined
    this.nextFailure = Promise.withResolvers()
  }

  view(): readonly ExceptionEntry[] {
    return this.history.view()
  }

  private entryOf(error: SerializedError, graph: ExecutionGraph, execution: Execution | undefined) {
    return exceptionEntry(error, this.clock.nowMs(), graph, execution)
  }
}

/**
 * A TaskManager that dies closes all its sockets at once, and who notices first is chance: a neighbour's task, by its data connection, or the
 * ResourceManager. The tasks over there have an end only when the latter has said so.
 */
function explains(error: SerializedError, failure: SerializedError): boolean {
  return error.code === 'TASKMANAGER_LOST' && failure.code === 'CONNECTION_LOST'
}

/** Another attempt would end the same way: the program, the graph or a value is what is wrong. */
function isFinal(error: SerializedError): boolean {
  return errorCodes[error.code].retry !== 'backoff'
}
