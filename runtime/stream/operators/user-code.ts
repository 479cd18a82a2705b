import { AssertionError } from '../../common/assert.ts'
import { FlinkError } from '../../common/errors.ts'

/**
 * What a user's function threw, as the task reports it. A `FlinkError` comes from an operator further down, reached through the
 * collector, or from the engine's own refusal: it already says whose it is.
 */
export function userError(operatorName: string, error: unknown): unknown {
  if (error instanceof FlinkError || error instanceof AssertionError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new FlinkError('USER_FUNCTION', `operator ${operatorName}: ${message}`, {}, error)
}

/** A function between source and sink is synchronous; `what` is its name. */
export function promiseRefused(operatorName: string, what: string, promise: Promise<unknown>): FlinkError {
  // Nobody will await it: its own failure must not end the process as an unhandled rejection.
  promise.catch(() => {})
  return new FlinkError(
    'UNSUPPORTED',
    `operator ${operatorName}: ${what} returned a promise, but functions between source and sink are synchronous; asynchronous calls belong into AsyncDataStream (not supported yet), the run of an own source or the invoke of an own sink`,
  )
}
