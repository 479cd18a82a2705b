import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import type {
  JobDetails,
  JobManagerGateway,
  JobSubmission,
  ResourceRequirements,
  SubtaskView,
  TaskManagerView,
  VertexDetails,
} from '../rpc/job-manager-gateway.ts'
import { createRestClient } from './client.ts'
import { JarStore } from './jar-store.ts'
import type { ProgramPlanRequest } from './program-planner.ts'
import { createRestServer, type RestServerOptions } from './server.ts'

const JOB = 'a'.repeat(32)
const VERTEX = 'b'.repeat(32)
const states = {
  CREATED: 0,
  SCHEDULED: 0,
  DEPLOYING: 0,
  INITIALIZING: 0,
  RUNNING: 0,
  FINISHED: 0,
  CANCELING: 0,
  CANCELED: 0,
  FAILED: 0,
  RECONCILING: 0,
}
const metrics = {
  readBytes: 10,
  writeBytes: 20,
  readRecords: 1,
  writeRecords: 2,
  accumulatedBusyMs: 3,
  accumulatedIdleMs: 4,
  accumulatedBackPressuredMs: 5,
  complete: true,
}

function subtask(subtaskIndex: number, numRecordsIn: number): SubtaskView {
  return {
    subtaskIndex,
    attempt: 0,
    executionId: `${subtaskIndex}`.repeat(32),
    status: 'RUNNING',
    host: 'localhost',
    taskManagerId: 'tm-1',
    endpoint: 'localhost:4000',
    startTimeMs: 1_000,
    endTimeMs: -1,
    durationMs: 500,
    timestamps: { ...states, CREATED: 1_000, SCHEDULED: 1_100, DEPLOYING: 1_200, INITIALIZING: 0, RUNNING: 1_300 },
    metrics,
    taskMetrics: { numRecordsIn, currentInputWatermark: subtaskIndex === 0 ? Number.NEGATIVE_INFINITY : 77 },
    operatorMetrics: { op1: { numRecordsOut: 7 } },
  }
}

const vertex: VertexDetails = {
  id: VERTEX,
  name: 'Source: words -> Flat Map',
  slotSharingGroup: 'default',
  parallelism: 2,
  maxParallelism: 128,
  status: 'RUNNING',
  startTimeMs: 1_000,
  endTimeMs: -1,
  durationMs: 500,
  taskCounts: { ...states, RUNNING: 2 },
  metrics,
  operators: [{ operatorId: 'op1', name: 'Source: words', metrics: {} }],
  coordinatorMetrics: { op1: { partitionDiscoveryFailures: 2, unreachableBrokers: 1 } },
  nowMs: 1_500,
  subtasks: [subtask(0, 10), subtask(1, 30)],
}

const job: JobDetails = {
  jobId: JOB,
  name: 'wc',
  jobType: 'STREAMING',
  state: 'RUNNING',
  startTimeMs: 1_000,
  endTimeMs: -1,
  durationMs: 500,
  lastModificationMs: 1_300,
  taskCounts: { ...states, RUNNING: 2 },
  tasksTotal: 2,
  message: undefined,
  checkpointProblem: undefined,
  nowMs: 1_500,
  timestamps: {
    INITIALIZING: 1_000,
    CREATED: 1_001,
    RUNNING: 1_300,
    FAILING: 0,
    FAILED: 0,
    CANCELLING: 0,
    CANCELED: 0,
    FINISHED: 0,
    RESTARTING: 0,
    SUSPENDED: 0,
    RECONCILING: 0,
  },
  vertices: [vertex],
  jobGraph: { vertices: [] },
  slotsNeeded: 2,
  parallelism: 2,
  configuration: { 'pipeline.name': 'wc', 's3.secret-key': 'never-shown', 'pipeline.global-job-parameters': 'brokers:kafka, verbose:yes' },
  args: [],
  restartStrategy: 'Restart deactivated.',
  attempt: 1,
}

const taskManager: TaskManagerView = {
  id: 'tm-1',
  host: 'localhost',
  dataPort: 4000,
  lastHeartbeatMs: 1_400,
  slotsTotal: 4,
  slotsFree: 2,
  hardware: { cpuCores: 2, physicalMemoryBytes: 2 ** 33, freeMemoryBytes: 2 ** 32, managedMemoryBytes: 0, networkMemoryBytes: 2 ** 26 },
  metrics: { 'Status.Shuffle.Netty.UsedMemorySegments': 7, 'Status.JVM.Memory.Heap.Used': 1_000 },
  slots: [
    { slotIndex: 0, jobId: JOB, allocationId: 'x', assignedTasks: 1 },
    { slotIndex: 1, jobId: undefined, allocationId: undefined, assignedTasks: 0 },
  ],
}

const submitted: JobSubmission[] = []
const artifacts = new Map<string, Uint8Array>()
let taskManagerLog: string | undefined = 'taskmanager started\n'
const rescaledTo: ResourceRequirements[] = []

const gateway: JobManagerGateway = {
  resourceRequirements: id => (id === JOB ? { [VERTEX]: { lowerBound: 1, upperBound: 2 } } : undefined),
  rescaleJob: async (id, requirements) => {
    const bounds = requirements[VERTEX]
    if (bounds !== undefined && bounds.upperBound > 4) throw new FlinkError('INVALID_ARGUMENT', 'resource requirements: too many')
    rescaledTo.push(requirements)
    return id === JOB
  },
  overview: () => ({
    taskManagers: 1,
    slotsTotal: 4,
    slotsAvailable: 2,
    slotsRequired: 3,
    jobsRunning: 1,
    jobsFinished: 0,
    jobsCancelled: 0,
    jobsFailed: 0,
  }),
  listJobs: () => [job],
  jobDetails: id => (id === JOB ? job : undefined),
  vertexDetails: (id, vertexId) => (id === JOB && vertexId === VERTEX ? vertex : undefined),
  exceptions: id => {
    if (id !== JOB) return undefined
    const entry = (timestampMs: number) => ({
      exceptionName: 'FlinkError',
      stacktrace: 'FlinkError: boom\n    at job.ts:3:1',
      timestampMs,
      taskName: timestampMs === 2 ? 'Map (1/2) - execution #0' : undefined,
      endpoint: undefined,
      taskManagerId: undefined,
      error: { name: 'FlinkError', code: 'USER_FUNCTION', message: 'boom', stack: '', cause: undefined } as const,
    })
    return [
      { ...entry(1), concurrentExceptions: [] },
      { ...entry(2), concurrentExceptions: [entry(1)] },
    ]
  },
  jobResult: id => {
    if (id === JOB) return { kind: 'in-progress' }
    if (id !== 'c'.repeat(32)) return undefined
    const inner = { name: 'Error', code: 'INTERNAL', message: 'inner', stack: 'Error: inner', cause: undefined } as const
    const cause = { name: 'FlinkError', code: 'USER_FUNCTION', message: 'outer', stack: 'FlinkError: outer', cause: inner } as const
    return { kind: 'completed', jobId: id, name: 'bad', state: 'FAILED', startTimeMs: 100, endTimeMs: 350, failureCause: cause }
  },
  awaitJobResult: async () => undefined,
  submitJob: async submission => {
    submitted.push(submission)
    return { jobId: submission.jobId ?? 'd'.repeat(32) }
  },
  cancelJob: id => {
    if (id === JOB) return { kind: 'accepted' }
    return id === 'c'.repeat(32) ? { kind: 'already-terminal', state: 'FINISHED' } : { kind: 'not-found' }
  },
  releaseJob: id => (id === JOB ? 'accepted' : 'not-found'),
  // Of a batch job; checkpoints.test.ts has the others.
  triggerSavepoint: () => 'not-found',
  savepointOperation: () => undefined,
  triggerCheckpoint: () => 'not-found',
  checkpointOperation: () => undefined,
  triggerDisposal: () => {},
  disposalOperation: () => undefined,
  checkpointStatistics: () => undefined,
  checkpointConfig: () => undefined,
  taskManagers: () => [taskManager],
  taskManager: id => (id === 'tm-1' ? taskManager : undefined),
  taskManagerStdout: async () => '1> hello\n',
  taskManagerLog: async () => taskManagerLog,
  clusterConfiguration: () => ({ 'rest.port': '8081' }),
  putArtifact: async (digest, bytes) => void artifacts.set(digest, bytes),
  shutDown: async () => {},
}

const planned: ProgramPlanRequest[] = []
let shutDowns = 0
const directory = mkdtempSync(join(tmpdir(), 'millrace-jars-'))
const options: RestServerOptions = {
  gateway,
  planner: {
    plan: async request => {
      planned.push(request)
      if (request.entry === 'broken') throw new FlinkError('INVALID_PROGRAM', "job module wc.ts has no export 'broken'")
      return { jobGraph: { vertices: request.entry === 'empty' ? [] : [{}] }, jobName: 'named', artifact: request.artifact }
    },
  },
  jars: new JarStore(directory, seededRandom(1)),
  planOf: (_graph, jid) => ({ jid, name: 'wc', type: 'STREAMING', nodes: [] }),
  logs: { log: async () => 'log line\n', stdout: async () => undefined },
  processMetrics: () => ({ 'Status.JVM.Threads.Count': 3 }),
  clock: systemClock,
  random: seededRandom(2),
  log: noLog,
  version: '0.1.0',
  revision: 'abc1234 @ 2026-06-15T00:00:00+0000',
  clusterToken: 'cluster-secret',
  onShutDown: () => void shutDowns++,
  settings: {
    bindAddress: '127.0.0.1',
    port: 0,
    token: undefined,
    requireToken: false,
    maxContentLength: 2 ** 20,
    submitEnabled: true,
    cancelEnabled: true,
    refreshIntervalMs: 3_000,
    exceptionHistorySize: 16,
    allowOrigin: '*',
  },
}
const server = await createRestServer(options)
afterAll(() => server.close())

const get = async (url: string, headers: Record<string, string> = {}) => {
  const response = await server.app.inject({ method: 'GET', url, headers: { host: 'localhost:8081', ...headers } })
  return {
    status: response.statusCode,
    body: response.headers['content-type']?.toString().startsWith('application/json') ? response.json() : response.body,
  }
}
const send = async (method: 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object, headers: Record<string, string> = {}) => {
  const response = await server.app.inject({
    method,
    url,
    headers: { host: 'localhost:8081', ...headers },
    ...(payload === undefined ? {} : { payload }),
  })
  return { status: response.statusCode, body: response.json() }
}
const upload = async (fileName: string, content: string) => {
  const boundary = 'XX'
  const response = await server.app.inject({
    method: 'POST',
    url: '/v1/jars/upload',
    headers: { host: 'localhost', 'content-type': `multipart/form-data; boundary=${boundary}` },
    payload: `--${boundary}\r\nContent-Disposition: form-data; name="jarfile"; filename="${fileName}"\r\nContent-Type: application/x-java-archive\r\n\r\n${content}\r\n--${boundary}--\r\n`,
  })
  return { status: response.statusCode, body: response.json() as { filename: string; errors?: string[] } }
}

/** Of Fastify's drawing: a line a route, below the one whose path it goes on. */
function routesOf(drawing: string) {
  const paths: string[] = []
  return drawing.split('\n').flatMap(line => {
    const [, indent = '', path = '', methods = ''] = /^([│ ]*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
    const depth = indent.length / 4
    paths[depth] = path
    const whole = paths.slice(0, depth + 1).join('')
    return methods.split(', ').flatMap(method => (method === '' ? [] : [{ method: method as 'GET', path: whole }]))
  })
}

describe('conventions', () => {
  test('every path is answered bare and under /v1, in the same bytes, with Flink content type and CORS header', async () => {
    const bare = await server.app.inject({ url: '/jobs/overview', headers: { host: 'localhost' } })
    const v1 = await server.app.inject({ url: '/v1/jobs/overview', headers: { host: 'localhost' } })
    expect(v1.body).toBe(bare.body)
    expect(bare.headers['content-type']).toBe('application/json; charset=UTF-8')
    expect(bare.headers['access-control-allow-origin']).toBe('*')
  })

  test('an unknown path is 404 with the path in it', async () => {
    expect(await get('/x?secret=1')).toEqual({ status: 404, body: { errors: ['Not found: /x'] } })
    expect((await get('/v2/jobs')).body).toEqual({ errors: ['Not found: /v2/jobs'] })
    expect((await get('/v1/v1/jobs')).status).toBe(404)
  })

  test('an unknown job is 404, an id that is none is 400', async () => {
    expect(await get(`/jobs/${'e'.repeat(32)}`)).toEqual({ status: 404, body: { errors: [`Job ${'e'.repeat(32)} not found`] } })
    const bad = await get('/jobs/zzz')
    expect(bad.status).toBe(400)
    expect(bad.body.errors[0]).toContain('Bad request, could not parse parameters')
    expect((await get(`/jobs/${JOB}/vertices/${'f'.repeat(32)}`)).status).toBe(404)
  })
})

describe('cluster', () => {
  test('/overview', async () => {
    expect((await get('/overview')).body).toEqual({
      taskmanagers: 1,
      'slots-total': 4,
      'slots-available': 2,
      'millrace-slots-required': 3,
      'jobs-running': 1,
      'jobs-finished': 0,
      'jobs-cancelled': 0,
      'jobs-failed': 0,
      'flink-version': '0.1.0',
      'flink-commit': 'abc1234',
    })
  })

  test('/config', async () => {
    const { body } = await get('/config')
    expect(Object.keys(body)).toEqual(['refresh-interval', 'timezone-name', 'timezone-offset', 'flink-version', 'flink-revision', 'features'])
    expect(body['flink-revision']).toBe('abc1234 @ 2026-06-15T00:00:00+0000')
    expect(body.features).toEqual({ 'web-submit': true, 'web-cancel': true, 'web-rescale': false, 'web-history': false })
  })

  test('/taskmanagers and one of them', async () => {
    const { body } = await get('/taskmanagers')
    expect(body.taskmanagers[0]).toMatchObject({
      id: 'tm-1',
      dataPort: 4000,
      slotsNumber: 4,
      freeSlots: 2,
      assignedTasks: 1,
      timeSinceLastHeartbeat: 1_400,
      jmxPort: -1,
    })
    expect((await get('/taskmanagers/tm-1')).body.allocatedSlots).toMatchObject([{ jobId: JOB, assignedTasks: 1 }])
    expect(await get('/taskmanagers/tm-1/stdout')).toEqual({ status: 200, body: '1> hello\n' })
    expect((await get('/taskmanagers/tm-9')).status).toBe(404)
  })

  test("a TaskManager's pages and memory are those it reported, under Flink's names", async () => {
    const { metrics } = (await get('/taskmanagers/tm-1')).body
    expect(metrics).toMatchObject({ nettyShuffleMemorySegmentsUsed: 7, heapUsed: 1_000, mappedCount: 0, nettyShuffleMemoryTotal: 2 ** 26 })
    expect((await get('/taskmanagers/tm-1/metrics?get=Status.Shuffle.Netty.UsedMemorySegments')).body).toEqual([
      { id: 'Status.Shuffle.Netty.UsedMemorySegments', value: '7' },
    ])
  })

  test('/jobs/:jobid/config shows the options of the job and the parameters of the program, and no secret', async () => {
    const { body } = await get(`/jobs/${JOB}/config`)
    expect(body).toMatchObject({
      jid: JOB,
      'execution-config': { 'restart-strategy': 'Restart deactivated.', 'job-parallelism': 2, 'user-config': { brokers: 'kafka', verbose: 'yes' } },
      'millrace-options': { 'pipeline.name': 'wc', 's3.secret-key': '******' },
    })
    const ofBoth = (await get(`/jobs/${JOB}/jobmanager/config`)).body
    expect(ofBoth).toContainEqual({ key: 's3.secret-key', value: '******' })
    expect(ofBoth).toContainEqual({ key: 'rest.port', value: '8081' })
  })

  test('/jobmanager/config, metrics, log', async () => {
    expect((await get('/jobmanager/config')).body).toEqual([{ key: 'rest.port', value: '8081' }])
    expect((await get('/jobmanager/metrics?get=taskSlotsTotal,nonsense,Status.JVM.Threads.Count')).body).toEqual([
      { id: 'taskSlotsTotal', value: '4' },
      { id: 'Status.JVM.Threads.Count', value: '3' },
    ])
    expect((await get('/jobmanager/log')).body).toBe('log line\n')
    expect((await get('/taskmanagers/tm-1/log')).body).toBe('taskmanager started\n')
    taskManagerLog = undefined
    expect((await get('/taskmanagers/tm-1/log')).status).toBe(404)
    expect((await get('/taskmanagers/nobody/log')).status).toBe(404)
    expect((await get('/jobmanager/stdout')).status).toBe(404)
  })

  test('DELETE /cluster answers before it shuts down', async () => {
    expect(await send('DELETE', '/cluster')).toEqual({ status: 200, body: {} })
    expect(shutDowns).toBe(1)
  })
})

describe('jobs', () => {
  test('/jobs and /jobs/overview: lower-case states plus total', async () => {
    expect((await get('/jobs')).body).toEqual({ jobs: [{ id: JOB, status: 'RUNNING' }] })
    expect((await get('/jobs/overview')).body.jobs).toEqual([
      {
        jid: JOB,
        name: 'wc',
        jobType: 'STREAMING',
        schedulerType: 'Default',
        'start-time': 1_000,
        'end-time': -1,
        duration: 500,
        state: 'RUNNING',
        'last-modification': 1_300,
        tasks: {
          running: 2,
          canceling: 0,
          canceled: 0,
          total: 2,
          created: 0,
          scheduled: 0,
          deploying: 0,
          reconciling: 0,
          finished: 0,
          initializing: 0,
          failed: 0,
        },
        'pending-operators': 0,
      },
    ])
  })

  test('/jobs/:id: upper-case states, all of them, and the plan', async () => {
    const { body } = await get(`/jobs/${JOB}`)
    expect(body).toMatchObject({
      jid: JOB,
      isStoppable: false,
      'job-type': 'STREAMING',
      maxParallelism: -1,
      now: 1_500,
      plan: { jid: JOB, nodes: [] },
    })
    expect(body['status-counts']).toEqual({ ...states, RUNNING: 1 })
    expect(Object.keys(body.timestamps)).toHaveLength(11)
    expect(body.vertices[0].tasks).toEqual({ ...states, RUNNING: 2 })
    expect(body.vertices[0].metrics).toEqual({
      'read-bytes': 10,
      'read-bytes-complete': true,
      'write-bytes': 20,
      'write-bytes-complete': true,
      'read-records': 1,
      'read-records-complete': true,
      'write-records': 2,
      'write-records-complete': true,
      'accumulated-backpressured-time': 5,
      'accumulated-idle-time': 4,
      'accumulated-busy-time': 3,
    })
  })

  test('exceptions: newest first, truncated by maxExceptions, absent fields are null', async () => {
    const { body } = await get(`/jobs/${JOB}/exceptions?maxExceptions=1`)
    expect(body.exceptionHistory.truncated).toBe(true)
    expect(body.exceptionHistory.entries).toHaveLength(1)
    expect(body.exceptionHistory.entries[0]).toMatchObject({
      timestamp: 2,
      taskName: 'Map (1/2) - execution #0',
      endpoint: null,
      taskManagerId: null,
      failureLabels: {},
    })
    expect(body.exceptionHistory.entries[0].concurrentExceptions[0]).not.toHaveProperty('concurrentExceptions')
  })

  test('execution-result while running and after a failure with its causes', async () => {
    expect((await get(`/jobs/${JOB}/execution-result`)).body).toEqual({ status: { id: 'IN_PROGRESS' } })
    expect((await get(`/jobs/${'c'.repeat(32)}/execution-result`)).body).toEqual({
      status: { id: 'COMPLETED' },
      'job-execution-result': {
        id: 'c'.repeat(32),
        name: 'bad',
        'application-status': 'FAILED',
        'accumulator-results': {},
        'net-runtime': 250,
        'failure-cause': { class: 'FlinkError', 'stack-trace': 'FlinkError: outer\nCaused by: Error: inner', 'serialized-throwable': '' },
        'start-time': 100,
        'end-time': 350,
      },
    })
  })

  test('a batch job takes no checkpoints, in the words that the operator looks for', async () => {
    const { status, body } = await get(`/jobs/${JOB}/checkpoints`)
    expect([status, body.errors[0]]).toEqual([404, expect.stringContaining('Checkpointing has not been enabled')])
  })

  test('resource requirements: a bare map by vertex, all of it or nothing', async () => {
    const url = `/jobs/${JOB}/resource-requirements`
    expect((await get(url)).body).toEqual({ [VERTEX]: { parallelism: { lowerBound: 1, upperBound: 2 } } })
    const put = async (body: unknown, at = url) => {
      const response = await server.app.inject({ method: 'PUT', url: at, headers: { host: 'localhost:8081' }, payload: JSON.stringify(body) })
      return [response.statusCode, response.json()]
    }
    expect(await put({ [VERTEX]: { parallelism: { lowerBound: 1, upperBound: 4 } } })).toEqual([200, {}])
    expect(rescaledTo).toEqual([{ [VERTEX]: { lowerBound: 1, upperBound: 4 } }])
    expect(await put({ [VERTEX]: { parallelism: { lowerBound: 1, upperBound: 5 } } })).toEqual([400, { errors: ['resource requirements: too many'] }])
    expect(await put({ other: {} })).toEqual([400, { errors: [expect.stringContaining(`unknown field "other", known are ${VERTEX}`)] }])
    expect(await put({ [VERTEX]: { parallelism: 4 } })).toEqual([
      400,
      { errors: [expect.stringContaining('expected {"parallelism":{"lowerBound":n,"upperBound":m}}')] },
    ])
    const unknown = `/jobs/${'e'.repeat(32)}/resource-requirements`
    expect((await get(unknown)).status).toBe(404)
    expect((await put({}, unknown))[0]).toBe(404)
    expect(rescaledTo).toHaveLength(1)
  })

  test('cancel: 202, 404, 409 in Flink words; by the UI path too', async () => {
    expect(await send('PATCH', `/v1/jobs/${JOB}?mode=cancel`)).toEqual({ status: 202, body: {} })
    expect((await get(`/jobs/${JOB}/yarn-cancel`)).status).toBe(202)
    expect(await send('PATCH', `/jobs/${'e'.repeat(32)}?mode=cancel`)).toEqual({ status: 404, body: { errors: ['Job could not be found.'] } })
    const terminal = await send('PATCH', `/jobs/${'c'.repeat(32)}`)
    expect(terminal.status).toBe(409)
    expect(terminal.body.errors[0]).toBe('Job cancellation failed because the job has already reached another terminal state (FINISHED).')
  })

  test('POST /jobs points to /jars', async () => {
    const { status, body } = await send('POST', '/jobs', {})
    expect([status, body.errors[0]]).toEqual([400, expect.stringContaining('/jars/upload')])
  })

  test('accumulators are there and empty', async () => {
    expect((await get(`/jobs/${JOB}/accumulators`)).body).toEqual({
      'job-accumulators': [],
      'user-task-accumulators': [],
      'serialized-user-task-accumulators': {},
    })
  })
})

describe('vertices and metrics', () => {
  const path = `/jobs/${JOB}/vertices/${VERTEX}`

  test('a vertex with its subtasks and how long they were in each state', async () => {
    const { body } = await get(path)
    expect(body.subtasks[1]).toMatchObject({ subtask: 1, endpoint: 'localhost', 'taskmanager-id': 'tm-1', 'start-time': 1_000, start_time: 1_000 })
    expect(body.subtasks[0]['status-duration']).toEqual({ CREATED: 100, SCHEDULED: 100, DEPLOYING: 100, INITIALIZING: -1, RUNNING: 200 })
    expect(body.aggregated.metrics['read-records']).toMatchObject({ min: 1, max: 1, sum: 2, avg: 1 })
  })

  test('metrics carry the subtask, and the operator where it is one of an operator', async () => {
    const names = (await get(`${path}/metrics`)).body.map((metric: { id: string }) => metric.id)
    expect(names).toContain('0.numRecordsIn')
    expect(names).toContain('1.Source__words.numRecordsOut')
    expect((await get(`${path}/metrics?get=1.numRecordsIn,9.numRecordsIn`)).body).toEqual([{ id: '1.numRecordsIn', value: '30' }])
  })

  test('aggregates over subtasks; one name that nobody has empties the answer', async () => {
    expect((await get(`${path}/subtasks/metrics?get=numRecordsIn`)).body).toEqual([
      { id: 'numRecordsIn', min: 10, max: 30, avg: 20, sum: 40, skew: 50 },
    ])
    expect((await get(`${path}/subtasks/metrics?get=numRecordsIn&agg=max&subtasks=0`)).body).toEqual([{ id: 'numRecordsIn', max: 10 }])
    expect((await get(`${path}/subtasks/metrics?get=numRecordsIn,nothing`)).body).toEqual([])
    expect((await get(`${path}/subtasks/metrics?get=numRecordsIn&agg=median`)).status).toBe(400)
  })

  test('metrics of the operators on the JobManager: those of split enumerators', async () => {
    const failures = 'Source__words.coordinator.enumerator.partitionDiscoveryFailures'
    expect((await get(`${path}/jm-operator-metrics`)).body).toEqual([
      { id: failures },
      { id: 'Source__words.coordinator.enumerator.unreachableBrokers' },
    ])
    expect((await get(`${path}/jm-operator-metrics?get=${failures},unknown`)).body).toEqual([{ id: failures, value: '2' }])
  })

  test('watermarks: the smallest long before the first one', async () => {
    expect((await get(`${path}/watermarks`)).body).toEqual([
      { id: '0.currentInputWatermark', value: '-9223372036854775808' },
      { id: '1.currentInputWatermark', value: '77' },
    ])
  })

  test('by TaskManager', async () => {
    const { body } = await get(`${path}/taskmanagers`)
    expect(body.taskmanagers).toMatchObject([
      { 'taskmanager-id': 'tm-1', endpoint: 'localhost:4000', status: 'RUNNING', metrics: { 'read-bytes': 20 } },
    ])
  })
})

describe('jars', () => {
  test('upload, list, plan, run, delete', async () => {
    const uploaded = await upload('wc.mjs', 'export default 1')
    expect(uploaded.status).toBe(200)
    const id = uploaded.body.filename.split('/').at(-1) ?? ''
    expect(id).toMatch(/^[0-9a-f-]{36}_wc\.mjs$/)
    expect((await get('/jars')).body).toMatchObject({ address: 'http://localhost:8081', files: [{ id, name: 'wc.mjs' }] })
    expect((await send('POST', `/jars/${id}/plan`, {})).body.plan.nodes).toEqual([])

    const run = await send('POST', `/v1/jars/${id}/run?parallelism=9&programArg=q`, {
      parallelism: 3,
      programArgsList: ['--brokers', 'b:1'],
      jobId: JOB,
      flinkConfiguration: { 'pipeline.name': 'n' },
    })
    expect(run).toEqual({ status: 200, body: { jobid: JOB } })
    expect(planned.at(-1)).toMatchObject({
      parallelism: 3,
      args: ['--brokers', 'b:1'],
      entry: 'default',
      configuration: { 'pipeline.name': 'n' },
      fallbackJobName: 'wc',
    })
    expect(submitted.at(-1)).toMatchObject({ jobId: JOB, name: 'named', args: ['--brokers', 'b:1'] })
    const digest = submitted.at(-1)?.artifact.digest ?? ''
    expect(Buffer.from(artifacts.get(digest) ?? []).toString()).toBe('export default 1')

    expect((await send('DELETE', `/jars/${id}`)).status).toBe(200)
    expect((await send('DELETE', `/jars/${id}`)).status).toBe(404)
  })

  test("what the user did wrong comes back as 400 in the planner's words", async () => {
    const id = (await upload('wc.mjs', 'x')).body.filename.split('/').at(-1)
    const broken = await send('POST', `/jars/${id}/run`, { entryClass: 'broken' })
    expect([broken.status, broken.body.errors[0]]).toEqual([400, "job module wc.ts has no export 'broken'"])
    expect((await send('POST', `/jars/${id}/run`, { entryClass: 'empty' })).body.errors[0]).toBe('No jobs included in application.')
    expect((await send('POST', `/jars/${id}/run`, { paralelism: 2 })).body.errors[0]).toContain(
      'Request did not match expected format JarRunRequestBody: unknown field "paralelism"',
    )
    expect((await send('POST', `/jars/${id}/run`, { parallelism: 0 })).status).toBe(400)
    expect((await send('POST', `/jars/${id}/run`, { allowNonRestoredState: 'perhaps' })).body.errors[0]).toContain(
      'allowNonRestoredState must be true or false',
    )
  })

  test('only bundles are taken, and an id never leads out of the directory', async () => {
    const refused = await upload('wc.jar', 'x')
    expect([refused.status, refused.body.errors?.[0]]).toEqual([400, expect.stringContaining('Only Jar files are allowed.')])
    expect((await send('DELETE', `/jars/${encodeURIComponent('../../etc/passwd')}`)).status).toBe(404)
  })

  test('a body above the limit is 413', async () => {
    expect((await upload('wc.mjs', 'x'.repeat(2 ** 20 + 1))).status).toBe(413)
  })
})

describe('who may ask', () => {
  test('a page of another origin may look and not touch; a rebound name gets nothing', async () => {
    expect((await send('PATCH', `/jobs/${JOB}`, undefined, { origin: 'http://evil.example' })).status).toBe(403)
    expect((await get(`/jobs/${JOB}/yarn-cancel`, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await send('PATCH', `/jobs/${JOB}`, undefined, { origin: 'http://localhost:8081' })).status).toBe(202)
    expect((await get('/overview', { host: 'evil.example:8081' })).status).toBe(403)
  })

  test('listening beyond loopback needs a token, and then every request but the probe does', async () => {
    const open = { ...options, settings: { ...options.settings, bindAddress: '0.0.0.0' } }
    await expect(createRestServer(open)).rejects.toThrow('rest.bind-address 0.0.0.0 is reachable from other machines and rest.token is not set')
    const guarded = await createRestServer({ ...open, settings: { ...open.settings, token: 's3cret' } })
    const status = async (url: string, authorization?: string) =>
      (await guarded.app.inject({ url, headers: { host: 'jobmanager:8081', ...(authorization === undefined ? {} : { authorization }) } })).statusCode
    expect([
      await status('/overview'),
      await status('/overview', 'Bearer nope'),
      await status('/overview', 'Bearer s3cret'),
      await status('/config'),
    ]).toEqual([401, 401, 200, 200])
    await guarded.close()
  })

  test('every route but the probe refuses whoever has no token, or another one, before it does anything', async () => {
    const calls: string[] = []
    const gateway = new Proxy({} as JobManagerGateway, { get: (_, name) => () => calls.push(String(name)) })
    const { app, close } = await createRestServer({ ...options, gateway, settings: { ...options.settings, requireToken: true } })
    await app.ready()
    const routes = routesOf(app.printRoutes({ commonPrefix: false })).filter(({ path }) => path !== '/config')
    expect(routes.length).toBeGreaterThan(60)
    for (const { method, path } of routes)
      for (const authorization of ['', 'Bearer nope']) {
        const answer = await app.inject({ method, url: path.replaceAll(/:\w+/g, JOB), headers: { host: 'localhost', authorization } })
        expect(answer.statusCode, `${method} ${path}`).toBe(401)
      }
    expect(calls).toEqual([])
    await close()
  })

  test("told to require a token it does so on loopback as well: the cluster's own opens everything, and is token enough beyond", async () => {
    const required = { ...options, settings: { ...options.settings, requireToken: true } }
    const { app, close } = await createRestServer(required)
    const status = async (method: 'GET' | 'PATCH', url: string, headers: Readonly<Record<string, string>> = {}) =>
      (await app.inject({ method, url, headers: { host: 'localhost:8081', ...headers } })).statusCode
    expect([
      await status('GET', '/overview'),
      await status('PATCH', `/v1/jobs/${JOB}`),
      await status('GET', '/v1/overview', { authorization: 'Bearer nope' }),
      await status('GET', '/overview', { authorization: 'Bearer cluster-secret' }),
      await status('PATCH', `/jobs/${JOB}`, { authorization: 'Bearer cluster-secret' }),
      await status('GET', '/config'),
    ]).toEqual([401, 401, 401, 200, 202, 200])
    await close()
    await (await createRestServer({ ...required, settings: { ...required.settings, bindAddress: '0.0.0.0' } })).close()
    await expect(createRestServer({ ...required, clusterToken: undefined })).rejects.toThrow('rest.require-token is true, and there is neither')
  })
})

describe('client and server over a socket', () => {
  const client = (address: string, attemptsMax = 1) =>
    createRestClient({ address, token: undefined, requestTimeoutMs: 5_000, attemptsMax, retryDelayMs: 1, clock: systemClock })

  test('upload, run, cancel, errors with the server text; a taken port names its option', async () => {
    const one = await createRestServer(options)
    const port = await one.listen()
    const rest = client(`localhost:${port}`)
    expect((await rest.overview()).taskmanagers).toBe(1)
    const jar = await rest.uploadJar('wc.mjs', new TextEncoder().encode('export {}'))
    expect(await rest.runJar(jar, { jobId: JOB })).toBe(JOB)
    await rest.deleteJar(jar)
    await rest.cancelJob(JOB)
    await rest.releaseJob(JOB)
    await expect(rest.releaseJob('e'.repeat(32))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await rest.taskManagerStdout('tm-1')).toBe('1> hello\n')
    await expect(rest.cancelJob('e'.repeat(32))).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'Job could not be found.' })

    const two = await createRestServer({ ...options, settings: { ...options.settings, port } })
    await expect(two.listen()).rejects.toMatchObject({ code: 'PORT_IN_USE', message: expect.stringContaining(`port ${port} on 127.0.0.1 is in use`) })
    await Promise.all([one.close(), two.close()])
    // The first try may meet the closed keep-alive connection, the next one meets nobody.
    await expect(client(`localhost:${port}`, 3).overview()).rejects.toMatchObject({
      code: 'CONNECTION_REFUSED',
      message: expect.stringContaining(`localhost:${port}`),
    })
  })

  test('a port that fetch never asks is told as one where nobody answers', async () => {
    await expect(client('localhost:1', 3).overview()).rejects.toMatchObject({
      code: 'CONNECTION_REFUSED',
      message: 'no JobManager answers at localhost:1: HTTP clients do not connect to this port, which belongs to another protocol',
    })
  })

  test('503 and lost connections are tried again, a bounded number of times; a run without a job id is not repeated', async () => {
    const answers = [
      () => Promise.resolve(new Response('{"errors":["no leader"]}', { status: 503 })),
      () => Promise.reject(new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } })),
    ]
    let calls = 0
    const flaky = (script: readonly (() => Promise<Response>)[]) =>
      createRestClient({
        address: 'jm:8081',
        token: undefined,
        requestTimeoutMs: 1_000,
        attemptsMax: 3,
        retryDelayMs: 0,
        clock: systemClock,
        fetch: () => {
          const answer = script[calls++]
          return answer === undefined ? Promise.resolve(new Response('{"taskmanagers":2}')) : answer()
        },
      })
    expect((await flaky(answers).overview()).taskmanagers).toBe(2)
    expect(calls).toBe(3)
    calls = 0
    await expect(flaky([...answers, ...answers]).overview()).rejects.toThrow('no leader')
    expect(calls).toBe(3)
    calls = 0
    await expect(flaky(answers.slice(1)).runJar('j', {})).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
    expect(calls).toBe(1)
  })
})
