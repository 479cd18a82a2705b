import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { FlinkError, serializeError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import { seededRandom } from '../common/random.ts'
import { CheckpointStatistics } from '../jobmanager/checkpoint-statistics.ts'
import type { CheckpointConfigView, JobDetails, JobManagerGateway, Operation, SavepointRequest } from '../rpc/job-manager-gateway.ts'
import { createRestServer, type RestServerOptions } from './server.ts'

const JOB = 'a'.repeat(32)
const TRIGGER = 'f'.repeat(32)
const VERTEX = 'b'.repeat(32)

const savepoints: SavepointRequest[] = []
const operations = new Map<string, Operation<{ readonly location: string }>>()
let statistics = new CheckpointStatistics(10)
let config: CheckpointConfigView

const gateway: Partial<JobManagerGateway> = {
  jobDetails: id => (id === JOB ? ({ jobId: JOB } as JobDetails) : undefined),
  triggerSavepoint: (id, request) => {
    if (id !== JOB) return 'not-found'
    savepoints.push(request)
    return 'accepted'
  },
  savepointOperation: (_id, triggerId) => operations.get(triggerId),
  triggerCheckpoint: id => (id === JOB ? 'accepted' : 'not-found'),
  checkpointOperation: (_id, triggerId) => mapped(operations.get(triggerId), { checkpointId: 12 }),
  triggerDisposal: (location, triggerId) => void operations.set(triggerId, { kind: 'completed', value: { location } }),
  disposalOperation: triggerId => mapped(operations.get(triggerId), null),
  checkpointStatistics: id => (id === JOB ? statistics.view() : undefined),
  checkpointConfig: id => (id === JOB ? config : undefined),
}

function mapped<T>(operation: Operation<unknown> | undefined, value: T): Operation<T> | undefined {
  return operation?.kind === 'completed' ? { kind: 'completed', value } : operation
}

// Routes of other files are not called.
const server = await createRestServer({
  gateway,
  clock: systemClock,
  random: seededRandom(2),
  log: noLog,
  settings: { bindAddress: '127.0.0.1', port: 0, token: undefined, maxContentLength: 2 ** 20, submitEnabled: false, allowOrigin: '*' },
} as unknown as RestServerOptions)
afterAll(() => server.close())

async function call(method: 'GET' | 'POST', url: string, body?: unknown) {
  const response = await server.app.inject({
    method,
    url: `/v1${url}`,
    ...(body === undefined ? {} : { payload: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  return { status: response.statusCode, body: response.json(), text: response.body }
}

beforeEach(() => {
  savepoints.length = 0
  operations.clear()
  statistics = new CheckpointStatistics(3)
  config = {
    exactlyOnce: true,
    intervalMs: 200,
    timeoutMs: 600_000,
    minPauseMs: 0,
    maxConcurrent: 1,
    tolerableFailures: 0,
    retention: 'DELETE_ON_CANCELLATION',
    stateBackend: 'HashMapStateBackend',
    storage: 'FileSystemCheckpointStorage',
  }
})

describe('savepoints', () => {
  test('are triggered with 202 and asked for until they are COMPLETED; the client may choose the id', async () => {
    const url = `/jobs/${JOB}/savepoints`
    expect(await call('POST', url, { 'target-directory': '/s', 'cancel-job': false, formatType: 'CANONICAL', triggerId: TRIGGER })).toMatchObject({
      status: 202,
      body: { 'request-id': TRIGGER },
    })
    expect(savepoints).toEqual([{ triggerId: TRIGGER, targetDirectory: '/s', behind: 'go-on' }])
    operations.set(TRIGGER, { kind: 'in-progress' })
    expect((await call('GET', `${url}/${TRIGGER}`)).body).toEqual({ status: { id: 'IN_PROGRESS' }, operation: null })
    operations.set(TRIGGER, { kind: 'completed', value: { location: 'file:///s/savepoint-1' } })
    expect((await call('GET', `${url}/${TRIGGER}`)).body).toEqual({ status: { id: 'COMPLETED' }, operation: { location: 'file:///s/savepoint-1' } })
    operations.set(TRIGGER, { kind: 'failed', error: serializeError(new FlinkError('EXTERNAL_SYSTEM', 'disk full')) })
    const failed = await call('GET', `${url}/${TRIGGER}`)
    expect(failed.status).toBe(200)
    expect(failed.body.operation['failure-cause']['stack-trace']).toMatch(/^FlinkError: disk full/)
  })

  // What the Java client and the Kubernetes operator send.
  test.each([
    [
      'savepoints',
      { 'target-directory': null, 'cancel-job': true, formatType: 'CANONICAL', triggerId: null },
      { targetDirectory: undefined, behind: 'cancel' },
    ],
    [
      'stop',
      { targetDirectory: 's3://b/p', drain: false, formatType: 'CANONICAL', triggerId: null },
      { targetDirectory: 's3://b/p', behind: 'stop' },
    ],
    ['stop', { drain: true }, { targetDirectory: undefined, behind: 'drain' }],
  ])('%s %j', async (path, body, request) => {
    const answer = await call('POST', `/jobs/${JOB}/${path}`, body)
    expect(answer.status).toBe(202)
    expect(answer.body['request-id']).toMatch(/^[0-9a-f]{32}$/)
    expect(savepoints).toEqual([{ ...request, triggerId: answer.body['request-id'] }])
  })

  test.each([
    ['/savepoints', { formatType: 'NATIVE' }, 400, 'formatType must be CANONICAL: savepoints have one format'],
    ['/savepoints', { 'cancel-job': 'yes' }, 400, 'cancel-job must be true or false'],
    ['/savepoints', { triggerId: 'x' }, 400, 'triggerId must be 32 hexadecimal digits'],
    ['/stop', { triggerId: `${TRIGGER}0` }, 400, 'triggerId must be 32 hexadecimal digits'],
    ['/checkpoints', { triggerId: 7 }, 400, 'triggerId must be 32 hexadecimal digits'],
    ['/savepoints', { targetDirectory: '/s' }, 400, 'unknown field "targetDirectory"'],
    ['/stop', { 'target-directory': '/s' }, 400, 'unknown field "target-directory"'],
    ['/checkpoints', { checkpointType: 'INCREMENTAL' }, 400, 'checkpointType must be CONFIGURED or FULL'],
  ])('%s %j is refused', async (path, body, status, error) => {
    const answer = await call('POST', `/jobs/${JOB}${path}`, body)
    expect([answer.status, answer.body.errors[0]]).toEqual([status, expect.stringContaining(error)])
    expect(savepoints).toEqual([])
  })

  test('of a job or by an id that nobody knows are 404, in Flink words', async () => {
    const stranger = 'e'.repeat(32)
    for (const path of ['savepoints', 'stop', 'checkpoints'])
      expect(await call('POST', `/jobs/${stranger}/${path}`, {})).toMatchObject({ status: 404, body: { errors: [`Job ${stranger} not found`] } })
    expect((await call('GET', `/jobs/${JOB}/savepoints/${TRIGGER}`)).body.errors).toEqual([
      `There is no savepoint operation with triggerId=${TRIGGER} for job ${JOB}.`,
    ])
    expect((await call('GET', `/jobs/${JOB}/checkpoints/${TRIGGER}`)).status).toBe(404)
    expect((await call('GET', `/savepoint-disposal/${TRIGGER}`)).status).toBe(404)
  })

  test('are disposed of with 200, and an empty result', async () => {
    const answer = await call('POST', '/savepoint-disposal', { 'savepoint-path': '/s/savepoint-1' })
    expect(answer.status).toBe(200)
    const triggerId = answer.body['request-id']
    expect(operations.get(triggerId)).toEqual({ kind: 'completed', value: { location: '/s/savepoint-1' } })
    expect((await call('GET', `/savepoint-disposal/${triggerId}`)).body).toEqual({ status: { id: 'COMPLETED' }, operation: {} })
    expect((await call('POST', '/savepoint-disposal', {})).status).toBe(400)
  })
})

describe('checkpoints', () => {
  test('that somebody asks for answer their id; a failure is in camel case', async () => {
    const url = `/jobs/${JOB}/checkpoints`
    expect(await call('POST', url, { checkpointType: 'FULL', triggerId: TRIGGER })).toMatchObject({ status: 202, body: { 'request-id': TRIGGER } })
    operations.set(TRIGGER, { kind: 'completed', value: { location: '' } })
    expect((await call('GET', `${url}/${TRIGGER}`)).body).toEqual({ status: { id: 'COMPLETED' }, operation: { checkpointId: 12 } })
    operations.set(TRIGGER, { kind: 'failed', error: serializeError(new FlinkError('EXTERNAL_SYSTEM', 'disk full')) })
    expect(Object.keys((await call('GET', `${url}/${TRIGGER}`)).body.operation)).toEqual(['failureCause'])
  })

  test('are counted, summed up and shown, newest first', async () => {
    const tasks = new Map([
      ['e1', VERTEX],
      ['e2', VERTEX],
    ])
    statistics.restored({ id: 3, timestampMs: 50, isSavepoint: true, path: 'file:///s/savepoint-1' })
    for (const [id, type] of [
      [4, 'checkpoint'],
      [5, 'savepoint-terminate'],
      [6, 'checkpoint'],
      [7, 'checkpoint'],
    ] as const) {
      statistics.triggered(id, type, id * 100, tasks)
      statistics.acknowledged(id, 'e1', { sizeBytes: 10, writtenBytes: 3 }, id * 100 + 5)
      statistics.acknowledged(id, 'stranger', { sizeBytes: 1_000, writtenBytes: 900 }, id * 100 + 6)
    }
    for (const id of [4, 5]) {
      statistics.acknowledged(id, 'e2', { sizeBytes: 30, writtenBytes: 4 }, id * 100 + 8)
      statistics.completed(id, id === 4 ? undefined : 'file:///s/savepoint-2', id * 100 + 10 * id)
    }
    statistics.failed(6, 'a task could not take it', 650)
    const { body } = await call('GET', `/jobs/${JOB}/checkpoints`)
    expect(body.counts).toEqual({ restored: 1, total: 4, in_progress: 1, completed: 2, failed: 1 })
    expect(body.summary.end_to_end_duration).toEqual({ min: 40, max: 50, avg: 45, p50: 40, p90: 50, p95: 50, p99: 50, p999: 50 })
    expect(body.summary.state_size).toMatchObject({ min: 40, max: 40, avg: 40 })
    expect(body.summary.checkpointed_size, 'what they have written').toMatchObject({ min: 7, max: 7, avg: 7 })
    expect(body.latest.completed).toMatchObject({ id: 4, className: 'completed', external_path: '<checkpoint-not-externally-addressable>' })
    expect(body.latest.savepoint).toMatchObject({ id: 5, is_savepoint: true, savepointFormat: 'CANONICAL', checkpoint_type: 'SYNC_SAVEPOINT' })
    expect(body.latest.failed).toMatchObject({ id: 6, className: 'failed', failure_timestamp: 650, failure_message: 'a task could not take it' })
    expect(body.latest.restored).toEqual({ id: 3, restore_timestamp: 50, is_savepoint: true, external_path: 'file:///s/savepoint-1' })
    // The oldest has made room.
    expect(body.history.map(({ id, className }: { id: number; className: string }) => [id, className])).toEqual([
      [7, 'in_progress'],
      [6, 'failed'],
      [5, 'completed'],
    ])
    expect((await call('GET', `/jobs/${JOB}/checkpoints/details/7`)).body).toMatchObject({
      num_subtasks: 2,
      num_acknowledged_subtasks: 1,
      tasks: { [VERTEX]: { id: 7, status: 'IN_PROGRESS', num_subtasks: 2, num_acknowledged_subtasks: 1, state_size: 10, checkpointed_size: 3 } },
    })
    expect((await call('GET', `/jobs/${JOB}/checkpoints/details/4`)).body.errors).toEqual([
      'Could not find checkpointing statistics for checkpoint 4.',
    ])
  })

  test('show how they are taken; one that is never due has the number that Java has for it', async () => {
    const { body } = await call('GET', `/jobs/${JOB}/checkpoints/config`)
    expect(body).toMatchObject({
      mode: 'exactly_once',
      interval: 200,
      timeout: 600_000,
      externalization: { enabled: true, delete_on_cancellation: true },
      checkpoint_storage: 'FileSystemCheckpointStorage',
    })
    config = { ...config, intervalMs: undefined }
    expect((await call('GET', `/jobs/${JOB}/checkpoints/config`)).text).toContain('"interval":9223372036854775807,')
  })
})
