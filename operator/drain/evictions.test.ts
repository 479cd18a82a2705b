import { expect, test } from 'vitest'
import { FlinkError } from '../../runtime/common/errors.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { KubeError, type KubeObject } from '../kube/object-api.ts'
import { Evictions, FRESH_MS } from './evictions.ts'

const DEADLINE_MS = 120_000
const labels = {
  'app.kubernetes.io/managed-by': 'millrace',
  'app.kubernetes.io/component': 'taskmanager',
  'millrace.dev/job': 'words',
}
const podWith = (metadata: object): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'words-tm-0', namespace: 'jobs', uid: 'u1', labels, ...metadata },
})
const token = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'words-token', namespace: 'jobs' },
  data: { token: Buffer.from('word').toString('base64') },
}

interface FakeJob {
  state: string
  completedMs: number
  savepointMs?: number
  inProgress?: number
}

/** A cluster whose clock is an hour behind that of the operator. */
function world(jobs: Record<string, FakeJob> = { a: { state: 'RUNNING', completedMs: 0 } }, pod: KubeObject | null = podWith({})) {
  const clock = new SimulatedClock(1_700_000_000_000)
  const jobManagerMs = () => clock.nowMs() - 3_600_000
  const asked: string[] = []
  const triggered: string[] = []
  let away: Error | undefined
  const rest = (address: string, given: string) => {
    asked.push(`${address} ${given}`)
    const at = (ms: number | undefined) => (ms === undefined ? null : { id: 1, trigger_timestamp: ms, latest_ack_timestamp: ms })
    const job = (jid: string) => jobs[jid] as FakeJob
    return {
      jobsOverview: async () => {
        if (away !== undefined) throw away
        return { jobs: Object.entries(jobs).map(([jid, { state }]) => ({ jid, state })) }
      },
      job: async (jid: string) => ({ jid, name: `job ${jid}`, now: jobManagerMs() }),
      checkpointStatistics: async (jid: string) => {
        const { completedMs, savepointMs, inProgress = 0 } = job(jid)
        return {
          counts: { total: 1, in_progress: inProgress, completed: 1, failed: 0 },
          latest: { completed: at(completedMs), savepoint: at(savepointMs) },
        }
      },
      triggerCheckpoint: async (jid: string) => {
        triggered.push(jid)
        job(jid).inProgress = 1
        return ''
      },
    } as unknown as RestClient
  }
  const evictions = new Evictions({
    api: {
      get: async ({ kind }) => {
        if (kind === 'Secret') return token
        if (pod === null) throw new KubeError('NotFound', 'no such pod')
        return pod
      },
    },
    rest,
    clock,
    random: seededRandom(1),
    deadlineMs: DEADLINE_MS,
  })
  return {
    clock,
    jobs,
    asked,
    triggered,
    nowMs: jobManagerMs,
    goAway: (error: Error) => {
      away = error
    },
    review: (dryRun = false) => evictions.review({ namespace: 'jobs', name: 'words-tm-0', dryRun }),
  }
}
const waits = { isAllowed: false, message: 'a checkpoint of job a is waited for: ask again in a few seconds' }

test('a checkpoint is taken first, once, then the pod may go', async () => {
  const { jobs, triggered, asked, clock, nowMs, review } = world()
  expect(await review()).toEqual(waits)
  expect(asked).toEqual(['http://words-rest.jobs.svc:8081 word'])
  clock.advanceBy(5000)
  expect(await review()).toEqual(waits)
  expect(triggered).toEqual(['a'])
  jobs['a'] = { state: 'RUNNING', completedMs: nowMs() }
  clock.advanceBy(FRESH_MS - 1)
  expect(await review()).toEqual({ isAllowed: true })
  clock.advanceBy(1)
  expect(await review()).toEqual(waits)
  expect(triggered).toEqual(['a', 'a'])
})

test('a savepoint is as good', async () => {
  const { jobs, nowMs, review, triggered } = world()
  jobs['a'] = { state: 'RUNNING', completedMs: 0, savepointMs: nowMs() }
  expect(await review()).toEqual({ isAllowed: true })
  expect(triggered).toEqual([])
})

test('of a session each job that runs is waited for, and no other', async () => {
  const { jobs, nowMs, review, triggered } = world({
    a: { state: 'RUNNING', completedMs: 0 },
    b: { state: 'FINISHED', completedMs: 0 },
    c: { state: 'RUNNING', completedMs: 0 },
    d: { state: 'RESTARTING', completedMs: 0 },
  })
  jobs['e'] = { state: 'RUNNING', completedMs: nowMs() }
  expect(await review()).toMatchObject({ isAllowed: false, message: expect.stringContaining('of job a, job c is') as unknown })
  expect(triggered.sort()).toEqual(['a', 'c'])
})

test('a trial of an eviction says what would be, and takes no checkpoint', async () => {
  const { clock, review, triggered } = world()
  expect(await review(true)).toEqual(waits)
  expect(triggered).toEqual([])
  clock.advanceBy(DEADLINE_MS)
  // It did not start the time either.
  expect(await review()).toEqual(waits)
  expect(triggered).toEqual(['a'])
})

test('no pod is held for longer than the deadline', async () => {
  const { clock, review } = world()
  await review()
  clock.advanceBy(DEADLINE_MS - 1)
  expect(await review()).toEqual(waits)
  clock.advanceBy(1)
  expect(await review()).toEqual({ isAllowed: true, message: 'evicted without a new checkpoint: none was completed within 120 s' })
})

test('what nobody can be asked for goes with a warning', async () => {
  const { goAway, review } = world()
  goAway(new FlinkError('CONNECTION_REFUSED', 'the JobManager does not answer'))
  expect(await review()).toEqual({ isAllowed: true, message: 'evicted without a new checkpoint: the JobManager does not answer' })
})

test.each([
  ['is gone', null],
  ['is on its way out', podWith({ deletionTimestamp: '2026-01-01T00:00:00Z' })],
  ['is of somebody else', podWith({ labels: { ...labels, 'app.kubernetes.io/managed-by': 'Helm' } })],
  ['plans a program', podWith({ labels: { ...labels, 'app.kubernetes.io/component': 'planner' } })],
])('a pod that %s may go, and nobody is asked', async (_what, pod) => {
  const { asked, review } = world({}, pod)
  expect(await review()).toEqual({ isAllowed: true })
  expect(asked).toEqual([])
})
