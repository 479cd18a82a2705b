import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FlinkJob } from '../../../operator/api/flink-job.ts'
import { seededRandom } from '../../../runtime/common/random.ts'
import { type ApiCall, type ApiFault, ApiServerProxy } from '../../support/api-server-proxy.ts'
import { eventually, JobOnKubernetes, type RunningOperator } from '../../support/job-on-kubernetes.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'

/**
 * A job is deployed, upgraded with a savepoint, asked for one, suspended, resumed and deleted on a real kube-apiserver with etcd, while what the operator asks of the server
 * goes wrong again and again in one way: it ends as it does without. Everything at once, each in a namespace of its own.
 */
let plane: KubeControlPlane
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
})
afterAll(() => plane?.[Symbol.asyncDispose]())

const running = (job: FlinkJob | undefined) => job?.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (generation: number) => (job: FlinkJob | undefined) =>
  running(job) && job?.status?.observedGeneration === generation && job.status.upgrade === undefined
const changed = { script: 'export default () => 2' }

/** Between two of its steps whatever `between` does happens. */
async function live(job: JobOnKubernetes, between: () => Promise<unknown> = async () => {}): Promise<void> {
  await job.apply({})
  await job.until(running)
  await between()
  await job.apply(changed)
  await job.until(carriedOut(2))
  await between()
  await job.annotate({ 'millrace.dev/savepoint': 'now' })
  await job.until(found => found?.status?.lastSavepoint?.trigger === 'MANUAL')
  await between()
  await job.apply({ ...changed, state: 'suspended' })
  await job.until(found => found?.status?.lifecycleState === 'SUSPENDED')
  await between()
  await job.apply(changed)
  await job.until(carriedOut(4))
  await between()
}

/** It runs as it should have come to run, and nothing is written about it any more. */
async function checkRunning(job: JobOnKubernetes, operators: readonly RunningOperator[], proxies: readonly ApiServerProxy[]): Promise<void> {
  const { cluster } = job
  expect(cluster.violations).toEqual([])
  const [jobId] = cluster.submittedIds
  expect(cluster.submittedIds.size).toBe(1)
  expect(cluster.restored).toEqual([undefined, `savepoint of ${jobId}`, `savepoint 3 of ${jobId}`])
  const looks = () => operators.reduce((sum, operator) => sum + operator.looks, 0)
  // A lease is renewed all the time.
  const isWrite = ({ kind, path }: ApiCall) => kind === 'write' && !path.includes('/leases/')
  const writes = () => proxies.reduce((sum, { calls }) => sum + calls.filter(isWrite).length, 0)
  // The last of what there is to say, and then looks only.
  for (let round = 0, before = -1; before !== writes(); round++) {
    expect(round, `it does not rest: ${JSON.stringify(proxies.map(({ calls }) => calls.slice(-20)))}`).toBeLessThan(20)
    before = writes()
    const from = looks()
    await eventually(() => looks() > from + LOOKS)
  }
}

/** Without a write between them, it is at rest. */
const LOOKS = 6

async function end(job: JobOnKubernetes): Promise<void> {
  await job.remove()
  await job.until(found => found === undefined)
  await eventually(async () => (await job.processes()).length === 0)
  expect(job.cluster.violations).toEqual([])
}

/** How many of a hundred calls of a kind meet with a fault. Which ones is chance: a fault at the same call of each pass would stop anybody. */
function some(percent: number, kinds: readonly ApiCall['kind'][], fault: ApiFault, seed: number): ApiServerProxy['rule'] {
  const random = seededRandom(seed)
  return call => (kinds.includes(call.kind) && random.next() * 100 < percent ? fault : undefined)
}
const either =
  (...rules: readonly ApiServerProxy['rule'][]): ApiServerProxy['rule'] =>
  call =>
    rules.map(rule => rule(call)).find(fault => fault !== undefined)
const all = ['write', 'get', 'list', 'watch'] as const
const reads = ['get', 'list', 'watch'] as const

const rows: readonly { readonly row: string; readonly title: string; readonly rule: ApiServerProxy['rule']; readonly atLeast: number }[] = [
  { row: 'none', title: 'nothing goes wrong', rule: () => undefined, atLeast: 0 },
  {
    row: 'watch',
    title: 'watches are cut, and expire',
    rule: either(some(30, ['watch'], 'cut', 1), some(30, ['watch'], 'expired', 2), some(20, ['watch'], 'gone', 3)),
    atLeast: 5,
  },
  { row: 'conflict', title: 'many writes are answered 409', rule: some(15, ['write'], '409', 1), atLeast: 10 },
  { row: 'throttled', title: 'many calls are answered 429 with Retry-After', rule: some(15, all, '429', 1), atLeast: 10 },
  {
    row: 'error',
    title: 'many calls are answered 500, carried out or not',
    rule: either(some(10, ['write'], '500', 1), some(10, ['write'], '500-after', 2), some(15, reads, '500', 3)),
    atLeast: 10,
  },
  {
    row: 'lost',
    title: 'connections end before calls and behind them',
    rule: either(some(10, ['write'], 'reset', 1), some(10, ['write'], 'lost', 2), some(15, reads, 'reset', 3)),
    atLeast: 10,
  },
  {
    row: 'hang',
    title: 'calls hang, carried out or not',
    rule: either(some(4, ['write'], 'hang', 1), some(4, ['write'], 'hang-after', 2), some(3, ['get', 'list'], 'hang', 3)),
    atLeast: 5,
  },
]

describe.concurrent('a job lives as it should while', { timeout: 400_000 }, () => {
  for (const { row, title, rule, atLeast } of rows)
    test(title, async () => {
      await using proxy = await ApiServerProxy.start(plane)
      await using job = await JobOnKubernetes.start(plane, row)
      proxy.rule = rule
      const operator = job.operator(proxy.url)
      await live(job)
      expect(proxy.faulted).toBeGreaterThanOrEqual(atLeast)
      await checkRunning(job, [operator], [proxy])
      await end(job)
    })

  test('operators that are new see at first how everything was long ago', async () => {
    await using proxy = await ApiServerProxy.start(plane)
    await using job = await JobOnKubernetes.start(plane, 'stale')
    let operator = job.operator(proxy.url)
    const again = async () => {
      operator.kill()
      const seen = new Set<string>()
      // What each asks first for: the lists of its reflectors.
      proxy.rule = ({ kind, path }) => {
        if (kind !== 'list' || seen.has(path)) return undefined
        seen.add(path)
        return 'stale'
      }
      operator = job.operator(proxy.url)
    }
    await live(job, again)
    expect(proxy.faulted).toBeGreaterThan(20)
    await checkRunning(job, [operator], [proxy])
    await end(job)
  })

  test('the clock of the machine is set wrong again and again', async () => {
    await using proxy = await ApiServerProxy.start(plane)
    await using job = await JobOnKubernetes.start(plane, 'clock')
    const operator = job.operator(proxy.url)
    const jumps = [3_600_000, -7_200_000, 86_400_000, -90_000_000, 500_000]
    await live(job, async () => operator.clock.jump(jumps.shift() ?? 0))
    expect(jumps).toEqual([])
    await checkRunning(job, [operator], [proxy])
    await end(job)
  })

  test('two operators work on it at once', async () => {
    await using first = await ApiServerProxy.start(plane)
    await using second = await ApiServerProxy.start(plane)
    await using job = await JobOnKubernetes.start(plane, 'two')
    const operators = [job.operator(first.url), job.operator(second.url)]
    await live(job)
    for (const { calls } of [first, second]) expect(calls.filter(({ kind }) => kind === 'write').length).toBeGreaterThan(5)
    await checkRunning(job, operators, [first, second])
    await end(job)
  })

  test('the operator that leads is stopped for a while, and goes on when another one leads', async () => {
    const lease = { leaseDurationMs: 6_000, renewDeadlineMs: 4_000, retryPeriodMs: 800 }
    await using job = await JobOnKubernetes.start(plane, 'paused')
    const proxies: ApiServerProxy[] = []
    const operators: RunningOperator[] = []
    await using stack = new AsyncDisposableStack()
    const begin = async () => {
      const proxy = stack.use(await ApiServerProxy.start(plane))
      proxies.push(proxy)
      operators.push(job.operator(proxy.url, { lease }))
    }
    const leader = () => operators.findIndex(({ isLeading }) => isLeading)
    await begin()
    await begin()
    let stopped = 0
    const change = async () => {
      const at = leader()
      const [operator, proxy] = [operators[at], proxies[at]]
      if (operator === undefined || proxy === undefined) throw new Error('nobody leads')
      // As by SIGSTOP: it neither asks nor waits, and what it has sent comes later.
      operator.clock.freeze()
      proxy.pause()
      await eventually(() => operators.some(({ isLeading }, i) => i !== at && isLeading))
      proxy.resume()
      operator.clock.thaw()
      await operator.lost
      stopped++
      await begin()
    }
    await live(job, change)
    expect(stopped).toBe(5)
    await checkRunning(job, operators.slice(-2), proxies.slice(-2))
    await end(job)
  })
})

test('a job lives as it should while etcd is compacted and the API server starts anew: watches go on from what nobody knows any more', async () => {
  await using proxy = await ApiServerProxy.start(plane)
  await using job = await JobOnKubernetes.start(plane, 'compacted')
  const operator = job.operator(proxy.url)
  let times = 0
  await live(job, async () => {
    await plane.compactEtcd()
    // The API server has a memory of its own, which goes further back.
    if (times++ < 2) await plane.restartApiServer()
  })
  expect(proxy.expired).toBeGreaterThan(3)
  await checkRunning(job, [operator], [proxy])
  await end(job)
})
