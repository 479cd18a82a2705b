import { type Clock, sleep } from '../common/clock.ts'
import { type ErrorCode, FlinkError } from '../common/errors.ts'
import type { ErrorBody, Plan, RestClient } from './types.ts'

/**
 * The typed client of `server.ts`. Each request has a deadline. 503 (no leader yet) and lost connections are tried again, a bounded number
 * of times, and only where a second try cannot do a thing twice: reads, cancel, delete, and a run that carries its own job id.
 * Errors name host and port; the server's own text comes through.
 */
export interface RestClientOptions {
  /** `host:port` or a URL. */
  readonly address: string
  readonly token: string | undefined
  readonly requestTimeoutMs: number
  /** Tries in all, at least 1. */
  readonly attemptsMax: number
  readonly retryDelayMs: number
  readonly clock: Clock
  readonly fetch?: typeof fetch
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: string | FormData
  /** May be sent again after a failure whose outcome is unknown. */
  readonly repeatable: boolean
}

export function createRestClient(options: RestClientOptions): RestClient {
  const address = baseUrl(options.address)
  const get = <T>(path: string) => requestJson<T>(options, address, { method: 'GET', path, repeatable: true })
  const id = encodeURIComponent
  /** Either the id is the caller's, or what happens twice (removing) ends as if it had happened once. */
  const trigger = async (path: string, body: object) => {
    const call = { method: 'POST', path, body: JSON.stringify(body), repeatable: true } as const
    return (await requestJson<{ 'request-id': string }>(options, address, call))['request-id']
  }
  return {
    address,
    config: () => get('/v1/config'),
    overview: () => get('/v1/overview'),
    jobsOverview: () => get('/v1/jobs/overview'),
    job: jobId => get(`/v1/jobs/${id(jobId)}`),
    jobStatus: async jobId => (await get<{ status: string }>(`/v1/jobs/${id(jobId)}/status`)).status,
    jobExceptions: jobId => get(`/v1/jobs/${id(jobId)}/exceptions`),
    executionResult: jobId => get(`/v1/jobs/${id(jobId)}/execution-result`),
    cancelJob: async jobId => {
      await requestJson(options, address, { method: 'PATCH', path: `/v1/jobs/${id(jobId)}?mode=cancel`, repeatable: true })
    },
    releaseJob: async jobId => {
      await requestJson(options, address, { method: 'DELETE', path: `/v1/jobs/${id(jobId)}`, repeatable: true })
    },
    resourceRequirements: jobId => get(`/v1/jobs/${id(jobId)}/resource-requirements`),
    putResourceRequirements: async (jobId, requirements) => {
      const path = `/v1/jobs/${id(jobId)}/resource-requirements`
      const call = { method: 'PUT', path, body: JSON.stringify(requirements), repeatable: true } as const
      await requestJson(options, address, call)
    },
    triggerSavepoint: (jobId, request) => trigger(`/v1/jobs/${id(jobId)}/savepoints`, request),
    stopWithSavepoint: (jobId, request) => trigger(`/v1/jobs/${id(jobId)}/stop`, request),
    triggerCheckpoint: (jobId, request) => trigger(`/v1/jobs/${id(jobId)}/checkpoints`, request),
    triggerDisposal: savepointPath => trigger('/v1/savepoint-disposal', { 'savepoint-path': savepointPath }),
    operation: (kind, jobId, triggerId) => get(`/v1/jobs/${id(jobId)}/${kind}s/${id(triggerId)}`),
    jobMetrics: (jobId, names) => get(`/v1/jobs/${id(jobId)}/metrics?get=${names.map(id).join(',')}`),
    checkpointStatistics: jobId => get(`/v1/jobs/${id(jobId)}/checkpoints`),
    checkpointConfig: jobId => get(`/v1/jobs/${id(jobId)}/checkpoints/config`),
    checkpointPath: async (jobId, checkpointId) => {
      const { external_path: path } = await get<{ readonly external_path?: string }>(`/v1/jobs/${id(jobId)}/checkpoints/details/${checkpointId}`)
      return path?.startsWith('<') ? undefined : path
    },
    disposal: triggerId => get(`/v1/savepoint-disposal/${id(triggerId)}`),
    vertex: (jobId, vertexId) => get(`/v1/jobs/${id(jobId)}/vertices/${id(vertexId)}`),
    taskManagers: async () => (await get<{ taskmanagers: [] }>('/v1/taskmanagers')).taskmanagers,
    taskManagerStdout: async taskManagerId =>
      (await request(options, address, { method: 'GET', path: `/v1/taskmanagers/${id(taskManagerId)}/stdout`, repeatable: true })).text(),
    uploadJar: async (fileName, bytes) => {
      const form = new FormData()
      // A copy of exactly these bytes: the view may lie in a larger or shared buffer.
      form.append('jarfile', new Blob([new Uint8Array(bytes)], { type: 'application/x-java-archive' }), fileName)
      // A doubled upload leaves a file behind and changes nothing else.
      const answer = await requestJson<{ filename: string }>(options, address, {
        method: 'POST',
        path: '/v1/jars/upload',
        body: form,
        repeatable: true,
      })
      return answer.filename.split('/').at(-1) ?? answer.filename
    },
    runJar: async (jarId, run) => {
      const answer = await requestJson<{ jobid: string }>(options, address, {
        method: 'POST',
        path: `/v1/jars/${id(jarId)}/run`,
        body: JSON.stringify(run),
        repeatable: run.jobId !== undefined,
      })
      return answer.jobid
    },
    planJar: async (jarId, run) =>
      (
        await requestJson<{ plan: Plan }>(options, address, {
          method: 'POST',
          path: `/v1/jars/${id(jarId)}/plan`,
          body: JSON.stringify(run),
          repeatable: true,
        })
      ).plan,
    deleteJar: async jarId => {
      await requestJson(options, address, { method: 'DELETE', path: `/v1/jars/${id(jarId)}`, repeatable: true })
    },
    shutDownCluster: async () => {
      await requestJson(options, address, { method: 'DELETE', path: '/v1/cluster', repeatable: false })
    },
  }
}

/** `host:port`, `:port` or a URL as `http://host:port`. */
export function baseUrl(address: string): string {
  const withScheme = /^https?:\/\//.test(address) ? address : `http://${address.startsWith(':') ? `localhost${address}` : address}`
  let url: URL
  try {
    url = new URL(withScheme)
  } catch {
    throw new FlinkError('INVALID_ARGUMENT', `address ${JSON.stringify(address)} is not of the form host:port`)
  }
  return `${url.origin}${url.pathname.replace(/\/$/, '')}`
}

async function requestJson<T>(options: RestClientOptions, address: string, call: Call): Promise<T> {
  const response = await request(options, address, call)
  // The server is ours or Flink's; types.ts is the contract.
  return (await response.json()) as T
}

async function request(options: RestClientOptions, address: string, call: Call): Promise<Response> {
  const attemptsMax = Math.max(1, options.attemptsMax)
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryOnce(options, address, call)
    if (outcome.kind === 'answer') return outcome.response
    const again = outcome.kind === 'unsent' || (outcome.kind === 'unknown' && call.repeatable)
    if (!again || attempt >= attemptsMax) throw outcome.error
    await sleep(options.clock, options.retryDelayMs)
  }
}

type Outcome =
  | { readonly kind: 'answer'; readonly response: Response }
  /** The server has not acted: nobody listens, or 503. */
  | { readonly kind: 'unsent'; readonly error: FlinkError }
  /** It may have acted. */
  | { readonly kind: 'unknown'; readonly error: FlinkError }
  | { readonly kind: 'refused'; readonly error: FlinkError }

async function tryOnce(options: RestClientOptions, address: string, call: Call): Promise<Outcome> {
  const controller = new AbortController()
  const deadline = options.clock.schedule(options.requestTimeoutMs, () => controller.abort(), { ref: true })
  const host = new URL(address).host
  try {
    const response = await (options.fetch ?? fetch)(`${address}${call.path}`, {
      method: call.method,
      signal: controller.signal,
      headers: {
        ...(options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` }),
        ...(typeof call.body === 'string' ? { 'Content-Type': 'application/json' } : {}),
      },
      ...(call.body === undefined ? {} : { body: call.body }),
    })
    // The body is read under the deadline too: a server that stops in the middle must not hang us.
    const whole = new Response(await response.arrayBuffer(), { status: response.status, headers: response.headers })
    if (response.ok) return { kind: 'answer', response: whole }
    const error = await errorOf(whole, host)
    return { kind: response.status === 503 ? 'unsent' : 'refused', error }
  } catch (error) {
    if (controller.signal.aborted) {
      return {
        kind: 'unknown',
        error: new FlinkError('TIMEOUT', `JobManager at ${host} did not answer within ${options.requestTimeoutMs} ms`, { path: call.path }, error),
      }
    }
    const code = networkCode(error)
    if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EHOSTUNREACH') {
      return { kind: 'unsent', error: new FlinkError('CONNECTION_REFUSED', `no JobManager answers at ${host}: ${code}`, { address }, error) }
    }
    // Ports of other protocols (1, 22, 25, …), which fetch never asks.
    if (code === 'bad port') {
      const message = `no JobManager answers at ${host}: HTTP clients do not connect to this port, which belongs to another protocol`
      return { kind: 'refused', error: new FlinkError('CONNECTION_REFUSED', message, { address }, error) }
    }
    return {
      kind: 'unknown',
      error: new FlinkError('CONNECTION_LOST', `the connection to the JobManager at ${host} broke: ${code}`, { address }, error),
    }
  } finally {
    deadline.cancel()
  }
}

const codeOf: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'UNAUTHENTICATED',
  404: 'NOT_FOUND',
  408: 'TIMEOUT',
  409: 'CONFLICT',
}

async function errorOf(response: Response, host: string): Promise<FlinkError> {
  const text = await response.text()
  let errors: readonly string[] = []
  try {
    errors = (JSON.parse(text) as ErrorBody).errors ?? []
  } catch {
    // Not ours, perhaps a proxy's: the status has to do.
  }
  const message = errors[0] ?? `answer ${response.status} from ${host}`
  const trace = errors[1]
  return new FlinkError(codeOf[response.status] ?? 'EXTERNAL_SYSTEM', message, {
    host,
    status: response.status,
    ...(trace === undefined ? {} : { serverTrace: trace }),
  })
}

function networkCode(error: unknown): string {
  const cause =
    error instanceof Error ? (error.cause as { code?: string; message?: string; errors?: readonly { code?: string }[] } | undefined) : undefined
  return cause?.code ?? cause?.errors?.[0]?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error))
}
