import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { crdFiles } from '../../../bin/crds.ts'
import { definitions } from '../../../operator/api/crd.ts'
import { API_VERSION } from '../../../operator/api/fields.ts'
import { type RuleExample, ruleExamples, soundSpecs } from '../../support/crd-rules.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'

let plane: KubeControlPlane
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  for (const [name, text] of crdFiles())
    await plane.kubectl(['apply', '--server-side', '-f', '-'], text).catch(error => expect.fail(`${name}: ${error}`))
  for (const { plural } of definitions) await plane.kubectl(['wait', '--for=condition=Established', `crd/${plural}.millrace.dev`, '--timeout=30s'])
})
afterAll(async () => plane?.[Symbol.asyncDispose]())

let count = 0
const named = (kind: string, spec: object, name = `example-${++count}`) => ({ apiVersion: API_VERSION, kind, metadata: { name }, spec })
const pathOf = (kind: string) => `/apis/${API_VERSION}/namespaces/default/${definitions.find(one => one.kind === kind)?.plural}`
const strict = '?fieldValidation=Strict'

interface Refusal {
  readonly message: string
  readonly details?: { readonly causes?: readonly { readonly field: string; readonly message: string }[] }
}

test('the CRDs are accepted, structural and established, with their columns, subresources and short names', async () => {
  for (const [, text] of crdFiles()) {
    const { metadata } = parse(text)
    const { body } = await plane.call('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${metadata.name}`)
    const { status, spec } = body as { status: { conditions: { type: string; status: string }[] }; spec: { names: object } }
    expect(Object.fromEntries(status.conditions.map(({ type, status }) => [type, status]))).toMatchObject({
      Established: 'True',
      NamesAccepted: 'True',
    })
    expect(status.conditions.find(({ type }) => type === 'NonStructuralSchema')).toBeUndefined()
    expect(spec.names).toMatchObject(parse(text).spec.names)
  }
  await plane.kubectl(['create', '-f', '-'], JSON.stringify(named('FlinkJob', soundSpecs.FlinkJob, 'listed')))
  expect(await plane.kubectl(['get', 'fj'])).toMatch(/^NAME\s+JOB STATE\s+LIFECYCLE\s+PARALLELISM\s+LAST SAVEPOINT\s+MESSAGE\s+AGE\nlisted\s/)
  expect(await plane.kubectl(['explain', 'flinkjob.spec.job.upgradeMode'])).toContain('How a changed job goes on')
  await plane.kubectl(['scale', 'fj/listed', '--replicas=3'])
  expect(await plane.kubectl(['get', 'fj', 'listed', '-o', 'jsonpath={.spec.taskManager.replicas}'])).toBe('3')
})

describe('the API server holds each rule between fields as we do', () => {
  test.each(ruleExamples)('$kind $path $message', async ({ kind, spec, old, path, message }: RuleExample) => {
    const object = named(kind, old ?? spec)
    const created = await plane.call('POST', `${pathOf(kind)}${strict}`, object)
    let refused = created
    if (old !== undefined) {
      expect(created.status, JSON.stringify(created.body)).toBe(201)
      const { metadata } = created.body as { metadata: object }
      refused = await plane.call('PUT', `${pathOf(kind)}/${object.metadata.name}${strict}`, { ...object, metadata, spec })
    }
    expect(refused.status, JSON.stringify(refused.body)).toBe(422)
    const { details } = refused.body as Refusal
    expect(details?.causes?.map(cause => `${cause.field}: ${cause.message.replace(/^Invalid value: .*?: (?=[^"]*$)/s, '')}`)).toContainEqual(
      `${path}: ${message}`,
    )
  })
})

test('defaults are filled in', async () => {
  const { body } = await plane.call('POST', pathOf('FlinkJob'), named('FlinkJob', { job: { sql: 'SELECT 1' }, rollback: {} }))
  expect(body).toMatchObject({
    spec: {
      job: { state: 'running', upgradeMode: 'stateless', fallback: 'none' },
      deletionPolicy: 'Keep',
      deletionTimeout: '5 min',
      rollback: { enabled: true, deadline: '5 min' },
    },
  })
})

test('an unknown field is refused by name', async () => {
  const { status, body } = await plane.call('POST', `${pathOf('FlinkJob')}${strict}`, named('FlinkJob', { job: { sql: 'SELECT 1', paralelism: 2 } }))
  expect([status, (body as Refusal).message]).toEqual([400, expect.stringContaining('unknown field "spec.job.paralelism"')])
})

test('names at the length limit: 45 characters are a name, 46 are not, nor is one that begins with a digit', async () => {
  const create = (name: string) => plane.call('POST', pathOf('FlinkJob'), named('FlinkJob', soundSpecs.FlinkJob, name))
  expect((await create('a'.repeat(45))).status).toBe(201)
  for (const name of ['a'.repeat(46), '1-job']) {
    const { status, body } = await create(name)
    expect([status, (body as Refusal).message]).toEqual([
      422,
      expect.stringContaining('metadata.name must have up to 45 lower-case letters, digits and dashes'),
    ])
  }
})

test('a program of 1 MB fits', async () => {
  const { status } = await plane.call('POST', pathOf('FlinkJob'), named('FlinkJob', { job: { sql: 'x'.repeat(2 ** 20) } }))
  expect(status).toBe(201)
})

test('a status is written beside the spec only, and does not count as a generation', async () => {
  const object = named('FlinkJob', soundSpecs.FlinkJob)
  const created = (await plane.call('POST', pathOf('FlinkJob'), { ...object, status: { lifecycleState: 'STABLE' } })).body as {
    metadata: object
    status?: object
  }
  expect(created.status).toBeUndefined()
  const status = { lifecycleState: 'STABLE', jobManagerDeploymentStatus: 'READY', conditions: [] }
  const written = await plane.call('PUT', `${pathOf('FlinkJob')}/${object.metadata.name}/status`, {
    ...object,
    metadata: created.metadata,
    spec: { job: {} },
    status,
  })
  expect(written.body).toMatchObject({ metadata: { generation: 1 }, spec: { job: { sql: 'SELECT 1' } }, status })
  const stale = await plane.call('PUT', `${pathOf('FlinkJob')}/${object.metadata.name}/status`, { ...object, metadata: created.metadata, status })
  expect(stale.status).toBe(409)
})

test('what came before stays over a restart; a watch from before a compaction is told that it is gone', async () => {
  const { body } = await plane.call('GET', pathOf('FlinkJob'))
  const list = body as { items: object[]; metadata: { resourceVersion: string } }
  await plane.restartApiServer()
  // Ready as a whole, it still answers 429 for kinds whose storage it is looking at.
  await expect
    .poll(() => plane.call('GET', pathOf('FlinkJob')), { timeout: 30_000 })
    .toMatchObject({ body: { items: { length: list.items.length } } })
  await plane.call('POST', pathOf('FlinkJob'), named('FlinkJob', soundSpecs.FlinkJob))
  await plane.compactEtcd()
  // The server keeps a window of events; started anew it has none, and asks etcd.
  await plane.restartApiServer()
  const watch = () => plane.call('GET', `${pathOf('FlinkJob')}?watch=1&resourceVersion=1&timeoutSeconds=5`)
  await expect.poll(async () => JSON.stringify(await watch()), { timeout: 30_000 }).toMatch(/"code":410|"reason":"Expired"/)
})
