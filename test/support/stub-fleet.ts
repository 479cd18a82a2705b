import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../../operator/kube/object-api.ts'
import { pods, statefulSets } from '../../operator/kube/resources.ts'

/**
 * Plays what stands behind an API server for many FlinkJobs: the controller of StatefulSets and the kubelets, acting on each change alone, and the REST of all JobManagers in one
 * HTTP server, by the Host that is asked for. Nothing ever goes wrong here; StubKubelet is for that.
 *
 * REST is reached as a proxy (`proxy`): names of services are known to it and to nobody else.
 */
const CALLS_AT_ONCE = 16
const NODE = 'node-1'

interface SetSpec {
  readonly replicas: number
  readonly template: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>> }; readonly spec: object }
}

interface StubJob {
  readonly id: string
  readonly startMs: number
}

export class StubFleet implements AsyncDisposable {
  /** REST calls that were answered. */
  restCalls = 0
  private readonly api: ObjectApi
  private readonly rest: Server
  private readonly ending = new AbortController()
  private readonly watching: Promise<unknown>
  /** Hosts of JobManagers that run, with their job. */
  private readonly jobManagers = new Map<string, StubJob | undefined>()
  private readonly waiting: (() => Promise<unknown>)[] = []
  private running = 0
  /** What could not be done. */
  readonly failures: string[] = []

  private constructor(api: ObjectApi, rest: Server) {
    this.api = api
    this.rest = rest
    rest.on('request', (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      request.on('end', () => {
        this.restCalls++
        const { status, answer } = this.answerOf(request.headers.host ?? '', request.method ?? '', request.url ?? '', body)
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
      })
    })
    // A tunnel leads back to this server: whatever is behind the name, it is here.
    rest.on('connect', (_request, socket) => {
      const inner = connect((rest.address() as AddressInfo).port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        inner.pipe(socket).pipe(inner)
      })
      for (const [one, other] of [[inner, socket] as const, [socket, inner] as const]) one.on('error', () => other.destroy())
    })
    this.watching = Promise.all([this.follow(statefulSets, set => this.control(set)), this.follow(pods, pod => this.progress(pod))])
  }

  static async start(api: ObjectApi): Promise<StubFleet> {
    const rest = createServer()
    await new Promise<void>(resolve => rest.listen(0, '127.0.0.1', resolve))
    return new StubFleet(api, rest)
  }

  /** What a process needs to reach the JobManagers by their names. */
  get proxy(): Readonly<Record<string, string>> {
    const address = `http://127.0.0.1:${(this.rest.address() as AddressInfo).port}`
    return { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: address, http_proxy: address, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort()
    await this.watching
    this.rest.closeAllConnections()
    await new Promise(resolve => this.rest.close(resolve))
  }

  private async follow(type: ResourceType, act: (object: KubeObject) => void): Promise<void> {
    const { signal } = this.ending
    while (!signal.aborted) {
      try {
        const { items, resourceVersion } = await this.api.list(type)
        for (const item of items) act(item)
        for await (const event of this.api.watch(type, { resourceVersion }, signal)) {
          if (event.type === 'BOOKMARK') continue
          if (event.type !== 'DELETED') act(event.object)
          else if (type === pods) this.jobManagers.delete(hostOf(event.object))
        }
      } catch (error) {
        // A watch that breaks is made again, behind a new list.
        if (!signal.aborted && !isReason(error, 'Unreachable', 'Expired')) this.failures.push(String(error))
      }
    }
  }

  private control(set: KubeObject): void {
    const { replicas, template } = set.spec as SetSpec
    const { name, namespace, uid = '' } = set.metadata
    if (set.metadata.deletionTimestamp !== undefined) return
    for (let ordinal = 0; ordinal < replicas; ordinal++)
      this.soon(() =>
        this.api.create({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            name: `${name}-${ordinal}`,
            namespace,
            labels: { ...template.metadata?.labels, 'apps.kubernetes.io/pod-index': String(ordinal) },
            ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name, uid, controller: true }],
          },
          spec: { ...template.spec, nodeName: NODE },
        }),
      )
  }

  private progress(pod: KubeObject): void {
    const { name, namespace, uid, labels, deletionTimestamp } = pod.metadata
    const { phase } = (pod.status ?? {}) as { readonly phase?: string }
    if (deletionTimestamp !== undefined)
      return this.soon(() => this.api.delete(pods, namespace, name, { ...(uid === undefined ? {} : { uid }), isForced: true }))
    const component = labels?.['app.kubernetes.io/component']
    if (phase === 'Running' && component === 'jobmanager' && !this.jobManagers.has(hostOf(pod))) this.jobManagers.set(hostOf(pod), undefined)
    if (phase === 'Running' || phase === 'Succeeded') return
    const status =
      component === 'planner'
        ? {
            phase: 'Succeeded',
            containerStatuses: [container({ terminated: { exitCode: 0, reason: 'Completed', message: JSON.stringify(PLANNED) } })],
          }
        : { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [container({ running: {} })] }
    this.soon(() => this.api.updateStatus({ ...pod, status }))
  }

  /** A few at a time, as a few kubelets would. */
  private soon(work: () => Promise<unknown>): void {
    this.waiting.push(work)
    if (this.running < CALLS_AT_ONCE) void this.work()
  }

  private async work(): Promise<void> {
    this.running++
    for (let next = this.waiting.shift(); next !== undefined && !this.ending.signal.aborted; next = this.waiting.shift())
      await next().catch((error: unknown) => {
        // It was changed since, and comes again.
        if (!isReason(error, 'NotFound', 'Conflict', 'AlreadyExists')) this.failures.push(String(error))
      })
    this.running--
  }

  /** As far as the operator asks: of a job that runs, and nothing ever happens to. */
  private answerOf(host: string, method: string, url: string, body: string): { readonly status: number; readonly answer: unknown } {
    const missing = { status: 404, answer: { errors: ['not found'] } }
    if (!this.jobManagers.has(host)) return { status: 503, answer: { errors: [`there is no JobManager at ${host}`] } }
    const job = this.jobManagers.get(host)
    const path = new URL(url, `http://${host}`).pathname.split('/').slice(2)
    if (method === 'POST' && path[0] === 'jars' && path[2] === 'run') {
      const { jobId } = JSON.parse(body) as { readonly jobId: string }
      if (job === undefined) this.jobManagers.set(host, { id: jobId, startMs: Date.now() })
      return { status: 200, answer: { jobid: jobId } }
    }
    if (method !== 'GET' || path[0] !== 'jobs' || job === undefined || path[1] !== job.id) return missing
    if (path.length === 2) {
      const vertices = [{ id: 'v', name: 'fake', parallelism: 1, status: 'RUNNING' }]
      return {
        status: 200,
        answer: { jid: job.id, name: 'fake', state: 'RUNNING', 'start-time': job.startMs, timestamps: { RUNNING: job.startMs }, vertices },
      }
    }
    return missing
  }
}

const PLANNED = { kind: 'ready', jobName: 'fake', slotsNeeded: 1, slotsPerTaskManager: 1, parallelisms: { v: 1 }, configuration: {} }

function container(state: object): object {
  return { name: 'main', ready: 'running' in state, restartCount: 0, image: 'example/millrace:1', imageID: '', state }
}

/** Of the REST service of a JobManager's pod. */
function hostOf({ metadata: { namespace, labels } }: KubeObject): string {
  return `${labels?.['millrace.dev/job']}-rest.${namespace}.svc:8081`
}
