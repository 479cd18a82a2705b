import { assert } from './assert.ts'

/**
 * Everything expected that goes wrong is a `FlinkError`. Its code decides whose fault it is and whether trying again can help;
 * only the loop that owns the work reads that. `message` names the object and its kind, lower case, without a final stop.
 * `docs/errors.md` is held equal to this table by a test.
 */
export type Fault = 'user' | 'external' | 'internal'
export type Retry = 'never' | 'backoff' | 'stop'

export const errorCodes = {
  INVALID_CONFIGURATION: { fault: 'user', retry: 'never', doc: 'an option is unknown or its value does not parse' },
  INVALID_ARGUMENT: { fault: 'user', retry: 'never', doc: 'a command line argument or request parameter is missing or wrong' },
  INVALID_MANIFEST: { fault: 'user', retry: 'never', doc: 'a manifest does not fit its schema' },
  INVALID_PROGRAM: {
    fault: 'user',
    retry: 'never',
    doc: 'the job module does not compile, has no default export, throws while building its graph, or builds an impossible graph',
  },
  INVALID_SQL: { fault: 'user', retry: 'never', doc: 'a SQL statement does not parse, or names or combines what it may not' },
  GRAPH_MISMATCH: { fault: 'user', retry: 'never', doc: 'the job module built another graph on a worker than in the planner' },
  UNSUPPORTED: { fault: 'user', retry: 'never', doc: 'a feature that Millrace does not have, or does not have yet' },
  USER_FUNCTION: { fault: 'user', retry: 'backoff', doc: "a user's function threw" },
  SQL_RUNTIME: {
    fault: 'user',
    retry: 'backoff',
    doc: 'a SQL expression has no value for a row: division by zero, overflow, a text that does not cast',
  },
  UNSUPPORTED_VALUE: { fault: 'user', retry: 'never', doc: 'a value cannot be encoded with its declared type or with the generic codec' },
  MALFORMED_RECORD: { fault: 'external', retry: 'backoff', doc: 'an input record does not parse' },
  RECORD_TOO_LARGE: { fault: 'user', retry: 'never', doc: 'an encoded record exceeds the largest record size' },
  OUTPUT_SPILL_EXHAUSTED: { fault: 'user', retry: 'never', doc: 'one record produced more output than the page pool can hold' },
  CORRUPT_FRAME: { fault: 'internal', retry: 'backoff', doc: 'a frame has a wrong magic, version, length or checksum' },
  INSUFFICIENT_NETWORK_BUFFERS: { fault: 'user', retry: 'never', doc: 'the page pool of a TaskManager is too small for the channels of its tasks' },
  NO_RESOURCE_AVAILABLE: { fault: 'external', retry: 'backoff', doc: 'not enough slots became free within slot.request.timeout' },
  TASKMANAGER_LOST: { fault: 'external', retry: 'backoff', doc: 'a TaskManager closed its connection or missed its heartbeats' },
  OUT_OF_MEMORY: { fault: 'user', retry: 'backoff', doc: 'a slot exceeded its heap limit' },
  CONNECTION_REFUSED: { fault: 'external', retry: 'backoff', doc: 'nobody answers at an address' },
  CONNECTION_LOST: { fault: 'external', retry: 'backoff', doc: 'an established connection ended or failed' },
  UNAUTHENTICATED: { fault: 'user', retry: 'never', doc: 'the token of the first frame is missing or wrong' },
  PROTOCOL_MISMATCH: { fault: 'user', retry: 'never', doc: 'the peer speaks another version of the protocol' },
  STALE_GENERATION: { fault: 'internal', retry: 'stop', doc: 'a message of an earlier generation or attempt arrived' },
  PORT_IN_USE: { fault: 'user', retry: 'never', doc: 'the address to listen on is taken' },
  NOT_FOUND: { fault: 'user', retry: 'never', doc: 'a job, vertex, file, topic or other named object does not exist' },
  CONFLICT: { fault: 'user', retry: 'never', doc: 'the object is in a state that does not allow the request' },
  EXTERNAL_SYSTEM: { fault: 'external', retry: 'backoff', doc: 'a file system, broker or other system outside answered with an error' },
  TIMEOUT: { fault: 'external', retry: 'backoff', doc: 'an answer did not come in time' },
  OUTCOME_UNKNOWN: {
    fault: 'external',
    retry: 'stop',
    doc: 'a write to a system outside may or may not have happened, and it could not be found out',
  },
  FENCED: { fault: 'internal', retry: 'stop', doc: 'another JobManager has taken over the job: this one must end and delete nothing' },
  CORRUPT_CHECKPOINT: { fault: 'external', retry: 'never', doc: 'a checkpoint or savepoint is incomplete, damaged or of an unknown format' },
  CANCELLED: { fault: 'user', retry: 'never', doc: 'the work was cancelled' },
  INTERNAL: { fault: 'internal', retry: 'backoff', doc: 'a bug in Millrace' },
} as const satisfies Record<string, { fault: Fault; retry: Retry; doc: string }>

export type ErrorCode = keyof typeof errorCodes

export class FlinkError extends Error {
  override name = 'FlinkError'
  readonly code: ErrorCode
  /** Values that help: positions, sizes, candidates. */
  readonly detail: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, detail: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.detail = detail
  }
}

/** An error as it crosses threads, sockets and REST. `stack` is already mapped to the user's sources where a map was at hand. */
export interface SerializedError {
  readonly name: string
  readonly code: ErrorCode
  readonly message: string
  readonly stack: string
  readonly cause: SerializedError | undefined
}

export function serializeError(error: unknown): SerializedError {
  if (!(error instanceof Error)) return { name: 'Error', code: 'INTERNAL', message: String(error), stack: String(error), cause: undefined }
  return {
    name: error.name,
    code: error instanceof FlinkError ? error.code : 'INTERNAL',
    message: error.message,
    stack: error.stack ?? `${error.name}: ${error.message}`,
    cause: error.cause === undefined ? undefined : serializeError(error.cause),
  }
}

export function deserializeError(data: SerializedError): FlinkError {
  const error = new FlinkError(data.code, data.message, {}, data.cause === undefined ? undefined : deserializeError(data.cause))
  error.name = data.name
  error.stack = data.stack
  return error
}

/** `stack` followed by `Caused by:` of every cause, as Flink prints it. */
export function stackWithCauses(error: SerializedError): string {
  const own = error.stack
  return error.cause === undefined ? own : `${own}\nCaused by: ${stackWithCauses(error.cause)}`
}

/** The name in `candidates` nearest to `name`, for "did you mean"; undefined when none is near. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1))
    }
    previous = current
  }
  const result = previous[b.length]
  assert(result !== undefined, 'the last column of the edit distance table')
  return result
}
