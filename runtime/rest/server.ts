import type { AddressInfo } from 'node:net'
import multipart from '@fastify/multipart'
import fastify, { type FastifyInstance } from 'fastify'
import type { Clock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { JobManagerGateway } from '../rpc/job-manager-gateway.ts'
import { installErrorReplies } from './http-errors.ts'
import type { JarStore } from './jar-store.ts'
import type { ProgramPlanner } from './program-planner.ts'
import { installGuard, requireSafeBinding } from './request-guard.ts'
import { addCheckpointRoutes } from './routes-checkpoints.ts'
import { addClusterRoutes } from './routes-cluster.ts'
import { addJarRoutes } from './routes-jars.ts'
import { addJobRoutes } from './routes-jobs.ts'
import { addTaskManagerRoutes } from './routes-taskmanagers.ts'
import { addVertexRoutes } from './routes-vertices.ts'
import type { Plan } from './types.ts'

/**
 * The REST server of a JobManager, in Flink's paths and JSON. It holds no state of its own: every answer is made from the gateway's view
 * at the moment of the request, by the pure functions of `job-json.ts` and `metrics-json.ts`.
 *
 * - Every path is answered bare and under `/v1`; an unknown one is 404 `{"errors":["Not found: /x"]}`.
 * - Errors are `{"errors":[…]}` whatever went wrong (`http-errors.ts`); who may ask is decided in `request-guard.ts`.
 * - User code never runs here: bundles go to the injected planner and come back as JSON.
 */
export interface RestServerOptions {
  readonly gateway: JobManagerGateway
  readonly planner: ProgramPlanner
  readonly jars: JarStore
  /** Flink's plan JSON of a `JobGraph`. */
  readonly planOf: (jobGraph: JsonObject, jobId: string) => Plan
  readonly logs: ProcessLogs
  /** Figures of the JobManager's own process, Flink's names. */
  readonly processMetrics: () => Readonly<Record<string, number>>
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly version: string
  /** `abc1234 @ 2026-06-15T00:00:00+0000` */
  readonly revision: string
  /** The cluster's token: as good as `rest.token`. */
  readonly clusterToken: string | undefined
  /** Called after `DELETE /cluster` has been answered. */
  readonly onShutDown: () => void
  readonly settings: RestSettings
}

/** The room's options in effect; see `options.ts`. */
export interface RestSettings {
  readonly bindAddress: string
  readonly port: number
  readonly token: string | undefined
  readonly requireToken: boolean
  readonly maxContentLength: number
  readonly submitEnabled: boolean
  readonly cancelEnabled: boolean
  readonly refreshIntervalMs: number
  readonly exceptionHistorySize: number
  readonly allowOrigin: string
}

/** Text of a process's own files; undefined where it has none. */
export interface ProcessLogs {
  readonly log: () => Promise<string | undefined>
  readonly stdout: () => Promise<string | undefined>
}

export interface RestServer {
  /** For `inject` in tests. */
  readonly app: FastifyInstance
  /** Answers the port: with `rest.port` 0 a free one is taken. PORT_IN_USE names port and option. */
  listen(): Promise<number>
  close(): Promise<void>
}

export async function createRestServer(options: RestServerOptions): Promise<RestServer> {
  const { settings } = options
  const { bindAddress, token, requireToken } = settings
  const guard = { bindAddress, token, requireToken, clusterToken: options.clusterToken }
  requireSafeBinding(guard)
  const app = fastify({
    logger: false,
    bodyLimit: settings.maxContentLength,
    requestTimeout: 60_000,
    // An idle keep-alive connection of a browser must not hold up the end of the process.
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true },
    rewriteUrl: request => (request.url ?? '/').replace(/^\/v1(?=[/?]|$)/, '') || '/',
  })
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  installErrorReplies(app, options.log)
  installGuard(app, guard)
  app.addHook('onSend', async (_request, reply, payload) => {
    reply.header('Access-Control-Allow-Origin', settings.allowOrigin)
    if (String(reply.getHeader('content-type') ?? '').startsWith('application/json')) reply.header('content-type', 'application/json; charset=UTF-8')
    return payload
  })
  await app.register(multipart, { limits: { files: 1, fields: 16, fileSize: settings.maxContentLength } })
  addClusterRoutes(app, options)
  addJobRoutes(app, options)
  addCheckpointRoutes(app, options)
  addVertexRoutes(app, options)
  addTaskManagerRoutes(app, options)
  addJarRoutes(app, options)
  return { app, listen: () => listen(app, settings), close: () => app.close() }
}

async function listen(app: FastifyInstance, settings: RestSettings): Promise<number> {
  try {
    await app.listen({ host: settings.bindAddress, port: settings.port })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EADDRINUSE') {
      throw new FlinkError(
        'PORT_IN_USE',
        `port ${settings.port} on ${settings.bindAddress} is in use: set another one with -D rest.port=<port> (option rest.port)`,
        { port: settings.port, option: 'rest.port' },
        error,
      )
    }
    if (code === 'EADDRNOTAVAIL' || code === 'EACCES' || code === 'ENOTFOUND') {
      throw new FlinkError(
        'INVALID_CONFIGURATION',
        `cannot listen on ${settings.bindAddress}:${settings.port} (options rest.bind-address and rest.port): ${code}`,
        {},
        error,
      )
    }
    throw error
  }
  // Fastify listens on TCP, whose address is never a path or null.
  return (app.server.address() as AddressInfo).port
}
