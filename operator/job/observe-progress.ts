import { FlinkError } from '../../runtime/common/errors.ts'
import type { ExceptionRow, RestClient } from '../../runtime/rest/types.ts'
import type { ObservedFailure, ObservedProgress } from './input.ts'

/** How a job gets on, over REST: what it was restarted for, and its checkpoints. Undefined = nobody could be asked. */
export async function observeProgress(rest: RestClient, jobId: string): Promise<ObservedProgress | undefined> {
  try {
    const { exceptionHistory } = await rest.jobExceptions(jobId)
    // A batch job has none.
    const checkpoints = await unlessMissing(rest.checkpointStatistics(jobId))
    const config = await unlessMissing(rest.checkpointConfig(jobId))
    const { completed = null, savepoint = null } = checkpoints?.latest ?? {}
    const times = [completed, savepoint].flatMap(checkpoint => (checkpoint === null ? [] : [checkpoint.latest_ack_timestamp]))
    const metrics = await rest.jobMetrics(jobId, ['numRestarts'])
    return {
      restarts: Number(metrics.find(({ id }) => id === 'numRestarts')?.value ?? 0),
      failures: exceptionHistory.entries.map(failureOf),
      checkpointMs: times.length === 0 ? undefined : Math.max(...times),
      takesCheckpoints: isInterval(config?.interval ?? null),
      checkpointWindowMs: config === undefined ? 0 : Math.max(config.interval ?? 0, config.timeout) * (config.tolerable_failed_checkpoints + 2),
    }
  } catch (error) {
    if (error instanceof FlinkError && ['NOT_FOUND', 'CONNECTION_REFUSED', 'CONNECTION_LOST', 'TIMEOUT'].includes(error.code)) return undefined
    throw error
  }
}

async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof FlinkError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

/** Flink writes "never" as the largest long; we write nothing. */
function isInterval(interval: number | null): boolean {
  return interval !== null && interval < Number.MAX_SAFE_INTEGER
}

function failureOf({ stacktrace, timestamp, taskName, endpoint }: ExceptionRow): ObservedFailure {
  const operator = taskName?.replace(/ - execution #\d+$/, '')
  const where = operator === undefined ? undefined : `${operator}${endpoint === null ? '' : ` on ${endpoint}`}`
  return { timestampMs: timestamp, cause: rootCause(stacktrace), ...(where === undefined ? {} : { where }) }
}

/** The innermost cause of a trace, which is what went wrong; what is around it says who noticed. */
function rootCause(trace: string): string {
  const lines = trace.split('\n')
  const cause = lines.findLast(line => line.startsWith('Caused by: '))
  return (cause?.slice('Caused by: '.length) ?? lines[0] ?? trace).trim()
}
