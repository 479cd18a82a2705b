import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, FlinkError, serializeError, stackWithCauses } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { ErrorBody } from './types.ts'

/** An answer other than 200 that a route decides itself; its text is Flink's where clients look at it. */
export class HttpError extends Error {
  override name = 'HttpError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export const notFound = (message: string) => new HttpError(404, message)
export const badRequest = (message: string) => new HttpError(400, message)

const statusOf: Partial<Record<ErrorCode, number>> = {
  INVALID_CONFIGURATION: 400,
  INVALID_ARGUMENT: 400,
  INVALID_MANIFEST: 400,
  INVALID_PROGRAM: 400,
  UNSUPPORTED: 400,
  UNSUPPORTED_VALUE: 400,
  GRAPH_MISMATCH: 400,
  NOT_FOUND: 404,
  CONFLICT: 409,
  TIMEOUT: 408,
  UNAUTHENTICATED: 401,
  NO_RESOURCE_AVAILABLE: 503,
  STALE_GENERATION: 503,
}

/** `{"errors":[…]}` for everything that is not an answer, whoever noticed it: a route, Fastify, or nobody. */
export function installErrorReplies(app: FastifyInstance, log: Logger): void {
  app.setNotFoundHandler((request, reply) => reply.code(404).send(errorBody(`Not found: ${pathOf(request)}`)))
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log))
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  if (error instanceof HttpError) return reply.code(error.status).send(errorBody(error.message))
  if (error instanceof FlinkError) {
    const status = statusOf[error.code]
    if (status !== undefined) return reply.code(status).send(errorBody(error.message, ...causes(error)))
  } else if (isFastifyError(error) && error.statusCode < 500) {
    // Fastify's own refusals (body too large, malformed JSON, a bad multipart) have good texts and statuses.
    return reply.code(error.statusCode).send(errorBody(error.message))
  }
  log.error('request failed', { method: request.method, path: pathOf(request), error: serializeError(error) })
  const trace = `<Exception on server side:\n${stackWithCauses(serializeError(error))}\nEnd of exception on server side>`
  return reply.code(500).send(errorBody('Internal server error.', trace))
}

/** What a program threw is shown where it threw it; stacks of our own code help nobody who made a mistake. */
function causes(error: FlinkError): string[] {
  return error.code === 'INVALID_PROGRAM' && error.cause !== undefined ? [`Caused by: ${stackWithCauses(serializeError(error.cause))}`] : []
}

function isFastifyError(error: unknown): error is Error & { statusCode: number } {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
}

export function errorBody(...errors: string[]): ErrorBody {
  return { errors }
}

/** Without the query: it may hold what does not belong in an answer or a log. */
export function pathOf(request: FastifyRequest): string {
  return request.originalUrl.split('?', 1)[0] ?? '/'
}
