import { afterAll, beforeAll, expect, test } from 'vitest'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { NODE_NAME } from '../../support/kubernetes-node.ts'
import { BUCKET, JOBS, MillraceOnNode, OPERATOR_ACCOUNT, runs } from '../../support/millrace-on-node.ts'
import { countedOnce, countingScript, NumbersInKafka } from '../../support/numbers-from-kafka.ts'
import { rightsGranted, rightsMissing, rightsUsed } from '../../support/operator-rights.ts'

/** JobManagers that stand by, and evictions behind a checkpoint: `led` has two JobManagers, `rare` takes no checkpoint by itself. With NetworkPolicies, which must not be in the way. */
let world: MillraceOnNode
let kafka: KafkaBroker
let numbers: NumbersInKafka
beforeAll(async () => {
  world = await MillraceOnNode.start(({ node, s3 }) => {
    const { hostname } = new URL(node.apiServer)
    // The broker begins later, beside the store.
    const outside = new URL(s3.endpoint).hostname
    return {
      evictions: { enabled: true },
      networkPolicies: {
        enabled: true,
        egress: [{ to: [{ ipBlock: { cidr: `${outside}/32` } }] }],
        apiServer: [{ to: [{ ipBlock: { cidr: `${hostname}/32` } }], ports: [{ protocol: 'TCP', port: 6443 }] }],
      },
    }
  })
  kafka = await KafkaBroker.start(world.node.outside)
  numbers = await NumbersInKafka.start(kafka, 'numbers')
  await world.apply(counting('led', '1 s', { jobManager: { replicas: 2 } }), counting('rare', '1 h'))
  await world.reaches('led', runs(1))
  await world.reaches('rare', runs(1))
}, 300_000)
afterAll(async () => {
  await numbers?.stop()
  await kafka?.close()
  await world?.[Symbol.asyncDispose]()
}, 60_000)

const counting = (name: string, interval: string, spec: object = {}, job: object = {}) =>
  world.job(
    name,
    { script: countingScript('a', kafka.bootstrapServers, 'numbers', `s3://${BUCKET}/${name}`), ...job },
    {
      flinkConfiguration: {
        'execution.checkpointing.interval': interval,
        'high-availability.storageDir': `s3://${BUCKET}/ha`,
        'high-availability.kubernetes.leader-election.lease-duration': '5 s',
        'high-availability.kubernetes.leader-election.renew-deadline': '3 s',
        'high-availability.kubernetes.leader-election.retry-period': '1 s',
      },
      ...spec,
    },
  )
const written = (name: string) => world.s3.lines(BUCKET, name)
const growsBy = async (name: string, count: number) => {
  const before = written(name).length
  await expect.poll(() => written(name).length, { timeout: 120_000, interval: 200 }).toBeGreaterThanOrEqual(before + count)
}
const leader = () => world.kubectl('get', 'lease', `${JOBS}.led-leader`, '-o', 'jsonpath={.spec.holderIdentity}')
const uidOf = (pod: string) => world.kubectl('get', 'pod', pod, '-o', 'jsonpath={.metadata.uid}')

test('a leader that is deleted is followed by the one that stands by; TaskManagers stay, the job goes on', { timeout: 240_000 }, async () => {
  const [before, taskManager] = [await leader(), await uidOf('led-tm-0')]
  const [pod] = /led-jm-\d/.exec(before) ?? []
  expect(pod, before).toBeDefined()
  await world.kubectl('delete', 'pod', pod ?? '', '--force', '--grace-period=0')
  await expect.poll(leader, { timeout: 60_000 }).not.toBe(before)
  await growsBy('led', 50)
  expect(await uidOf('led-tm-0')).toBe(taskManager)
  await world.reaches('led', runs(1))
})

test('their account may read and patch one Lease; no TaskManager has an account', { timeout: 60_000 }, async () => {
  const account = `system:serviceaccount:${JOBS}:led-jm`
  const asked = world.node.audited(account)
  expect(rightsUsed(asked)).toEqual(new Set(['get coordination.k8s.io/leases', 'patch coordination.k8s.io/leases']))
  expect(new Set(asked.map(({ objectRef }) => objectRef?.name))).toEqual(new Set([`${JOBS}.led-leader`]))
  expect(await world.kubectl('get', 'pod', 'led-tm-0', '-o', 'jsonpath={.spec.volumes[*].projected.sources[*].serviceAccountToken}')).toBe('')
})

const evict = (pod: string, deleteOptions: object = {}) =>
  world.node.kubectl(
    ['create', '--raw', `/api/v1/namespaces/${JOBS}/pods/${pod}/eviction`, '-f', '-'],
    JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: JOBS }, deleteOptions }),
  )
/** What the API server has answered to evictions of this pod. */
const answers = (pod: string) =>
  world.node
    .audited('admin')
    .filter(({ objectRef }) => objectRef?.subresource === 'eviction' && objectRef.name === pod)
    .map(({ responseStatus }) => responseStatus?.code)

/** By job `rare` since its newest start. */
const recordsRead = async () =>
  Number(
    await world
      .kubectl(
        'exec',
        'rare-jm-0',
        '--',
        'node',
        '-e',
        `const headers = { authorization: 'Bearer ' + require('node:fs').readFileSync('/var/run/secrets/millrace/token', 'utf8').trim() }
      const get = async path => (await fetch('http://127.0.0.1:8081' + path, { headers })).json()
      get('/jobs/overview').then(({ jobs: [job] }) => get('/jobs/' + job.jid)).then(({ vertices }) => console.log(Math.max(...vertices.map(({ metrics }) => metrics['read-records']))))`,
      )
      .catch(() => 0),
  )

test('a trial of an eviction says what would be, and takes no checkpoint', { timeout: 60_000 }, async () => {
  await expect(evict('rare-tm-0', { dryRun: ['All'] })).rejects.toThrow(/a checkpoint of .* is waited for/)
  expect(answers('rare-tm-0')).toEqual([429])
  expect(written('rare')).toEqual([])
})

test('kubectl drain waits for the checkpoint and goes through; the job goes on elsewhere', { timeout: 300_000 }, async () => {
  const startTime = async () => (await world.status('rare'))?.jobStatus?.startTime
  const before = await startTime()
  await world.node.kubectl(['drain', NODE_NAME, '--pod-selector=millrace.dev/job=rare', '--delete-emptydir-data', '--timeout=120s'])
  expect(answers('rare-tm-0').slice(1).join()).toMatch(/^429(,429)*,201$/)
  expect(await world.names('pods', '-l', 'millrace.dev/job=rare', '--field-selector=status.phase=Running')).toEqual([])
  await world.node.kubectl(['uncordon', NODE_NAME])
  // What the status says is of before until the operator has looked.
  await expect.poll(startTime, { timeout: 90_000 }).not.toBe(before)
  await world.reaches('rare', runs(1))
  // Only a checkpoint shows anything to readers.
  await expect.poll(() => written('rare').length, { timeout: 60_000 }).toBeGreaterThan(0)
  const shown = written('rare').length
  await expect.poll(recordsRead, { timeout: 60_000, interval: 500 }).toBeGreaterThan(0)
  // Suspended it commits what it has counted since.
  await world.apply(counting('rare', '1 h', {}, { state: 'suspended' }))
  await world.reaches('rare', { lifecycleState: 'SUSPENDED' })
  expect(written('rare').length).toBeGreaterThan(shown)
  countedOnce(written('rare'))
})

test('what was written through all of it is there exactly once', { timeout: 120_000 }, async () => {
  const total = await numbers.stop()
  await expect.poll(() => written('led').length, { timeout: 60_000 }).toBeGreaterThanOrEqual(total)
  countedOnce(written('led'), total)
  console.info(`exactly once: ${total} numbers, and ${written('rare').length} of a job without checkpoints of its own`)
})

test('the operator has asked for nothing that it may not, and needed what it may for JobManagers that stand by', async () => {
  expect(rightsMissing(world.node.audited(OPERATOR_ACCOUNT))).toEqual([])
  const used = rightsUsed(world.node.audited(OPERATOR_ACCOUNT))
  const without = await rightsGranted({ rbac: { standby: false } })
  const added = (await rightsGranted({})).filter(each => !without.includes(each))
  expect(added.length).toBeGreaterThan(8)
  expect(added.filter(each => !used.has(each))).toEqual([])
})
