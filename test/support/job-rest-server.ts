import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { restOfPods } from './pods-of-cluster.ts'
import type { StoredCluster } from './stored-cluster.ts'

/** REST of StoredClusters by the host that is asked, `<job>-rest.<namespace>.svc`, as far as an operator asks: what `restOfPods` answers, over HTTP. */
type Route = readonly [method: string, path: RegExp, answer: (rest: RestClient, ids: readonly string[], body: unknown) => Promise<unknown>]

const requestId = async (triggered: Promise<string>) => ({ 'request-id': await triggered })
// Bodies are what createRestClient sends.
const routes: readonly Route[] = [
  ['GET', /^\/v1\/overview$/, rest => rest.overview()],
  ['GET', /^\/v1\/jobs\/overview$/, rest => rest.jobsOverview()],
  ['GET', /^\/v1\/jobs\/([^/]+)$/, (rest, [id = '']) => rest.job(id)],
  ['GET', /^\/v1\/jobs\/([^/]+)\/exceptions$/, (rest, [id = '']) => rest.jobExceptions(id)],
  ['GET', /^\/v1\/jobs\/([^/]+)\/checkpoints$/, (rest, [id = '']) => rest.checkpointStatistics(id)],
  ['GET', /^\/v1\/jobs\/([^/]+)\/checkpoints\/config$/, (rest, [id = '']) => rest.checkpointConfig(id)],
  ['GET', /^\/v1\/jobs\/([^/]+)\/metrics$/, (rest, [id = '']) => rest.jobMetrics(id, [])],
  ['GET', /^\/v1\/jobs\/([^/]+)\/resource-requirements$/, (rest, [id = '']) => rest.resourceRequirements(id)],
  ['GET', /^\/v1\/jobs\/([^/]+)\/savepoints\/([^/]+)$/, (rest, [id = '', trigger = '']) => rest.operation('savepoint', id, trigger)],
  ['GET', /^\/v1\/taskmanagers$/, async rest => ({ taskmanagers: await rest.taskManagers() })],
  ['PATCH', /^\/v1\/jobs\/([^/]+)$/, async (rest, [id = '']) => ((await rest.cancelJob(id)) ?? {}) as object],
  ['POST', /^\/v1\/jobs\/([^/]+)\/savepoints$/, (rest, [id = ''], body) => requestId(rest.triggerSavepoint(id, body as never))],
  ['POST', /^\/v1\/jobs\/([^/]+)\/stop$/, (rest, [id = ''], body) => requestId(rest.stopWithSavepoint(id, body as never))],
  ['POST', /^\/v1\/jars\/([^/]+)\/run$/, async (rest, [jar = ''], body) => ({ jobid: await rest.runJar(jar, body as { jobId: string }) })],
]

const statuses: Readonly<Record<string, number>> = { NOT_FOUND: 404, CONFLICT: 409, INVALID_ARGUMENT: 400 }

export class JobRestServer implements AsyncDisposable {
  private readonly server: Server
  /** By namespace. */
  private readonly clusters = new Map<string, StoredCluster>()

  private constructor(server: Server) {
    this.server = server
    server.on('request', (incoming: IncomingMessage, response: ServerResponse) => void this.serve(incoming, response))
  }

  /** On the port of the services. */
  static async start(address: string): Promise<JobRestServer> {
    const server = createServer().listen(8081, address)
    await once(server, 'listening')
    return new JobRestServer(server)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close()
    this.server.closeAllConnections()
    await once(this.server, 'close')
  }

  add(namespace: string, cluster: StoredCluster): void {
    this.clusters.set(namespace, cluster)
  }

  private async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const { method = '', url = '', headers } = incoming
    const cluster = this.clusters.get(headers.host?.split('.')[1] ?? '')
    const path = url.replace(/\?.*$/, '')
    const route = routes.find(([of, pattern]) => of === method && pattern.test(path))
    // As when nobody listens, nearly.
    if (cluster === undefined || route === undefined || cluster.jobManager !== 'ready') return void incoming.socket.destroy()
    const text = Buffer.concat(chunks).toString()
    const answer = (status: number, body: unknown) => {
      // What it says of the store is so.
      void cluster.stored.then(() => {
        const json = JSON.stringify(body).replace(/"location":"(savepoint[^"]*)"/g, (_, name: string) => `"location":"${cluster.locationOf(name)}"`)
        response.writeHead(status, { 'content-type': 'application/json' }).end(json)
      })
    }
    try {
      const ids = route[1].exec(path)?.slice(1) ?? []
      answer(200, await route[2](restOfPods(cluster), ids, text === '' ? {} : (JSON.parse(text) as unknown)))
    } catch (error) {
      const status = error instanceof FlinkError ? (statuses[error.code] ?? 500) : 500
      answer(status, { errors: [String(error)] })
    }
  }
}
