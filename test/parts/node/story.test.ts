import { afterAll, beforeAll, expect, test } from 'vitest'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import type { KubernetesNode, TestCluster } from '../../support/kubernetes-node.ts'
import { BUCKET, JOBS, MillraceOnNode, OPERATOR_ACCOUNT, runs, SYSTEM } from '../../support/millrace-on-node.ts'
import { countedOnce, countingScript, NumbersInKafka } from '../../support/numbers-from-kafka.ts'
import { rightsGranted, rightsMissing, rightsUsed } from '../../support/operator-rights.ts'
import { isOwnNode, startTestCluster } from '../../support/test-cluster.ts'

/** From `helm install` to `helm uninstall`, as people go it. Steps of one story: each begins where the one before it ended. */
let world: MillraceOnNode<TestCluster>
let kafka: KafkaBroker
let numbers: NumbersInKafka
beforeAll(async () => {
  world = await MillraceOnNode.on(startTestCluster)
  kafka = await KafkaBroker.start(world.node.outside)
  numbers = await NumbersInKafka.start(kafka, 'numbers')
}, 180_000)
afterAll(async () => {
  await numbers?.stop()
  await kafka?.close()
  if (!isOwnNode) await world?.leave()
  await world?.[Symbol.asyncDispose]()
}, 300_000)

const OUT = 'counts'
const counting = (version: string, more: object = {}, spec: object = {}) =>
  world.job(
    'counts',
    { parallelism: 2, script: countingScript(version, kafka.bootstrapServers, 'numbers', `s3://${BUCKET}/${OUT}`), ...more },
    { flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2' }, ...spec },
  )
const written = () => world.s3.lines(BUCKET, OUT)
/** What is counted has come through to readers. */
const growsBy = async (count: number) => {
  const before = written().length
  await expect.poll(() => written().length, { timeout: 60_000, interval: 100 }).toBeGreaterThanOrEqual(before + count)
}

const SQL_OUT = 'even'
const even = () => `
  CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'kafka', 'topic' = 'numbers', 'properties.bootstrap.servers' = '${kafka.bootstrapServers}',
    'scan.startup.mode' = 'earliest-offset', 'format' = 'json');
  CREATE TABLE even (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 's3://${BUCKET}/${SQL_OUT}', 'format' = 'csv');
  INSERT INTO even SELECT n FROM numbers WHERE MOD(n, 2) = 0;
`

const evenJob = (spec: { readonly [field: string]: unknown } = {}) => world.job('even', { sql: even() }, spec)

test('a Kafka job with inline TypeScript and one with inline SQL run, and write', { timeout: 180_000 }, async () => {
  await world.apply(counting('a'), evenJob())
  await world.reaches('counts', runs(1))
  await world.reaches('even', runs(1))
  await growsBy(100)
  await expect.poll(() => world.s3.lines(BUCKET, SQL_OUT).length, { timeout: 60_000 }).toBeGreaterThan(100)
  expect(await world.processes()).toEqual(['pod/counts-jm-0', 'pod/counts-tm-0', 'pod/even-jm-0', 'pod/even-tm-0'])
})

test('helm test makes a job that finishes', { timeout: 120_000 }, async () => {
  expect(await world.helm('test', 'millrace', '--timeout', '100s')).toMatch(/Phase:\s+Succeeded/)
  expect(await world.node.kubectl(['-n', SYSTEM, 'get', 'flinkjobs', '-o', 'name'])).toBe('')
})

test('upgraded by savepoint with new code, which goes on where the old one was', { timeout: 120_000 }, async () => {
  await world.apply(counting('b'))
  await world.reaches('counts', { ...runs(2), restore: { kind: 'savepoint' } })
  await growsBy(100)
})

test('parallelism 2 -> 4', { timeout: 120_000 }, async () => {
  await world.apply(counting('b', { parallelism: 4 }))
  await world.reaches('counts', { ...runs(3), jobStatus: { state: 'RUNNING', parallelism: 4 } })
  expect(await world.processes('counts')).toEqual(['pod/counts-jm-0', 'pod/counts-tm-0', 'pod/counts-tm-1'])
  await growsBy(100)
})

test('kubectl annotate takes a savepoint', { timeout: 120_000 }, async () => {
  await world.kubectl('annotate', 'flinkjob', 'counts', 'millrace.dev/savepoint=now')
  await world.reaches('counts', { lastSavepoint: { trigger: 'MANUAL' } })
  const snapshots = await world.kubectl('get', 'flinksnapshots', '-o', 'jsonpath={.items[*].status.path}')
  expect(snapshots).toContain(`s3://${BUCKET}/savepoints/`)
})

test('an Ingress comes and goes with the spec; of savepoints by the clock as many stay as the spec says', { timeout: 120_000 }, async () => {
  const ingress = { template: 'even.example/{{name}}', annotations: { note: 'one' } }
  await world.apply(evenJob({ ingress, snapshots: { interval: '2 s', retain: 1 } }))
  await expect.poll(() => world.names('ingresses'), { timeout: 30_000 }).toEqual(['ingress.networking.k8s.io/even-rest'])
  const taken = new Set<string>()
  const ofEven = async () => {
    const names = (await world.names('flinksnapshots')).filter(name => name.includes('even'))
    for (const name of names) taken.add(name)
    return taken.size - names.length
  }
  await expect.poll(ofEven, { timeout: 60_000, interval: 200 }).toBeGreaterThan(0)
  await world.apply(evenJob())
  await expect.poll(() => world.names('ingresses'), { timeout: 30_000 }).toEqual([])
})

test('suspended, nothing runs; resumed, it goes on', { timeout: 180_000 }, async () => {
  await world.apply(counting('b', { parallelism: 4, state: 'suspended' }))
  await world.reaches('counts', { lifecycleState: 'SUSPENDED' })
  await expect.poll(() => world.processes('counts'), { timeout: 60_000 }).toEqual([])
  await world.apply(counting('b', { parallelism: 4 }))
  await world.reaches('counts', { ...runs(5), restore: { kind: 'savepoint' } })
  await growsBy(100)
})

test('a FlinkSession with two jobs', { timeout: 180_000 }, async () => {
  const generated = (step: number) => `
    CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '5', 'fields.n.kind' = 'sequence', 'fields.n.start' = '${step}', 'fields.n.end' = '1000000');
    CREATE TABLE shown (n BIGINT) WITH ('connector' = 'print');
    INSERT INTO shown SELECT n FROM numbers;`
  const session = {
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkSession',
    metadata: { name: 'shared', namespace: JOBS },
    spec: { maxTaskManagers: 2, taskManager: { slots: 2 }, flinkConfiguration: world.configuration() },
  }
  const onSession = (name: string, step: number) => ({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name, namespace: JOBS },
    spec: { sessionName: 'shared', job: { upgradeMode: 'savepoint', sql: generated(step) } },
  })
  await world.apply(session, onSession('one', 1), onSession('two', 2))
  await world.reaches('one', runs(1))
  await world.reaches('two', runs(1))
  expect(await world.processes('shared')).toContain('pod/shared-jm-0')
  expect([...(await world.processes('one')), ...(await world.processes('two'))]).toEqual([])
})

test('what it has written is there exactly once, over all of it', { timeout: 120_000 }, async () => {
  const total = await numbers.stop()
  await expect.poll(() => written().length, { timeout: 60_000 }).toBeGreaterThanOrEqual(total)
  const versions = countedOnce(written(), total)
  expect(Object.keys(versions).sort()).toEqual(['a', 'b'])
  console.info(`exactly once: ${total} numbers by Kafka, keyed state and a transactional file sink on S3, by version ${JSON.stringify(versions)}`)
  await expect.poll(() => world.s3.lines(BUCKET, SQL_OUT).length, { timeout: 60_000 }).toBe(total / 2)
  expect(new Set(world.s3.lines(BUCKET, SQL_OUT)).size).toBe(total / 2)
})

test('deleted: pods, services, finalizers are gone, the savepoint stays', { timeout: 180_000 }, async () => {
  await world.kubectl('delete', 'flinkjobs,flinksessions', '--all', '--timeout=120s')
  expect(await world.names('flinkjobs,flinksessions')).toEqual([])
  const left = () => world.names('pods,services,statefulsets,secrets,ingresses,controllerrevisions,serviceaccounts,configmaps')
  await expect.poll(left, { timeout: 60_000 }).toEqual(['configmap/kube-root-ca.crt', 'serviceaccount/default'])
  expect(world.s3.objects(BUCKET)).toContain('_metadata')
})

/** Verbs that this story has no need for, and who has. */
const elsewhere: Readonly<Record<string, string>> = {
  'get millrace.dev/flinkjobs': 'a status is written of a job that the watch has not shown yet: operator/manager/flink-job-objects.ts',
  'get millrace.dev/flinksnapshots': 'a savepoint is looked at again that an operator before has begun: operator/snapshot/object-store.ts',
  'get apps/controllerrevisions': 'an operator that begins anew reads what is carried out: operator/manager/spec-revisions.ts',
  'update millrace.dev/flinkjobs/finalizers':
    'OwnerReferencesPermissionEnforcement, on at this API server, asks: without it no object with an owner could be made',
  'update millrace.dev/flinksessions/finalizers': 'likewise',
}

test.skipIf(!isOwnNode)('the operator has asked for nothing that it may not, and for each verb that it may', async () => {
  const asked = (world.node as KubernetesNode).audited(OPERATOR_ACCOUNT)
  expect(rightsMissing(asked)).toEqual([])
  const used = rightsUsed(asked)
  // Those of JobManagers that stand by: test/parts/node/high-availability.test.ts.
  const granted = await rightsGranted({ rbac: { standby: false } })
  expect(granted.length).toBeGreaterThan(40)
  expect(granted.filter(each => !used.has(each) && !(each in elsewhere)).sort()).toEqual([])
})

test('helm uninstall leaves the kinds and nothing else', { timeout: 60_000 }, async () => {
  await world.helm('uninstall', 'millrace', '--wait')
  const left = await world.node.kubectl(['get', 'clusterroles,clusterrolebindings', '-l', 'app.kubernetes.io/instance=millrace', '-o', 'name'])
  expect(left).toBe('')
  const inSystem = ['-n', SYSTEM, 'get', 'deployments,pods,services,roles,rolebindings,secrets,serviceaccounts', '-o', 'name']
  await expect.poll(async () => (await world.node.kubectl(inSystem)).trim(), { timeout: 30_000 }).toBe('serviceaccount/default')
})
