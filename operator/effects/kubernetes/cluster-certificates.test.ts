import { X509Certificate } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KubernetesWorld } from '../../../test/support/kubernetes-world.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { secrets, statefulSets } from '../../kube/resources.ts'
import { AUTHORITY_MS, LEAF_MS, SETTLE_MS } from '../certificate-rotation.ts'

const spec: FlinkJobSpec = {
  job: { script: 'export default () => {}', entryClass: 'default', args: [], state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
}

let world: KubernetesWorld
let executor: ReturnType<KubernetesWorld['executor']>
beforeEach(async () => {
  world = await KubernetesWorld.start()
  executor = world.executor()
})
afterEach(() => world[Symbol.asyncDispose]())

const secret = (name: string) => world.api.get(secrets, 'jobs', name)
const textOf = ({ data }: KubeObject & { readonly data?: unknown }, key: string) =>
  Buffer.from((data as Record<string, string>)[key] ?? '', 'base64').toString()
const certificate = async (name: string) => new X509Certificate(textOf(await secret(name), 'tls.crt'))

test('a cluster gets an authority, whose key no pod has, and a certificate a role, before its pods; the names in them are the roles', async () => {
  await executor.execute({ kind: 'startJobManager', spec })
  const authority = new X509Certificate(textOf(await secret('words-ca'), '0.crt'))
  expect(authority.subject).toBe('CN=FlinkJob jobs/words')
  for (const [name, role] of [
    ['words-jm-tls', 'jobmanager'],
    ['words-tm-tls', 'taskmanager'],
  ] as const) {
    const found = await secret(name)
    expect(found['type']).toBe('kubernetes.io/tls')
    expect(found.metadata.ownerReferences).toMatchObject([{ kind: 'FlinkJob', uid: world.owner.uid, controller: true }])
    expect(new X509Certificate(textOf(found, 'tls.crt')).subjectAltName).toBe(`DNS:${role}`)
    expect((await certificate(name)).verify(authority.publicKey)).toBe(true)
    expect(textOf(found, 'ca.crt')).toBe(authority.toString())
    expect(textOf(found, 'tls.key')).toContain('PRIVATE KEY')
  }
  const { items } = await world.api.list(statefulSets, { namespace: 'jobs' })
  const mounted = JSON.stringify(items)
  expect(mounted).toContain('words-jm-tls')
  expect(mounted).not.toContain('words-ca')
  expect(mounted).not.toContain('words-tm-tls')
})

test('while nothing is due nothing is asked; a month later certificates are renewed, a year later their authority, under pods that run', async () => {
  await executor.execute({ kind: 'startJobManager', spec })
  const first = await certificate('words-tm-tls')
  const versions = async () =>
    Promise.all(['words-ca', 'words-jm-tls', 'words-tm-tls'].map(async name => (await secret(name)).metadata.resourceVersion))
  const before = await versions()
  for (let day = 0; day < 15; day++) {
    world.advance(LEAF_MS / 30)
    await executor.keep?.(spec)
  }
  expect(await versions()).toEqual(before)
  world.advance(LEAF_MS / 4)
  await executor.keep?.(spec)
  const renewed = await certificate('words-tm-tls')
  expect(renewed.serialNumber).not.toBe(first.serialNumber)
  expect(renewed.issuer).toBe(first.issuer)
  expect((await versions())[0]).toBe(before[0])

  // Another operator, which has to read what there is.
  const another = world.executor()
  world.advance(AUTHORITY_MS * 0.65)
  await another.keep?.(spec)
  const both = textOf(await secret('words-tm-tls'), 'ca.crt')
  expect(both.match(/BEGIN CERTIFICATE/g)?.length).toBe(2)
  for (let look = 0; look < 3; look++) {
    world.advance(SETTLE_MS + 1_000)
    await another.keep?.(spec)
  }
  const successor = new X509Certificate(textOf(await secret('words-ca'), '0.crt'))
  expect(textOf(await secret('words-tm-tls'), 'ca.crt')).toBe(successor.toString())
  expect((await certificate('words-jm-tls')).verify(successor.publicKey)).toBe(true)
  expect((await certificate('words-tm-tls')).verify(successor.publicKey)).toBe(true)
})

test('a Secret of that name that is not ours is not touched, and one that holds no certificate is named', async () => {
  await world.api.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'words-ca', namespace: 'jobs' }, type: 'Opaque', data: {} })
  await expect(executor.execute({ kind: 'startJobManager', spec })).rejects.toThrow(
    'Secret jobs/words-ca is there already, and not of FlinkJob words',
  )
  await world.api.delete(secrets, 'jobs', 'words-ca')
  await executor.execute({ kind: 'startJobManager', spec })
  const found = await secret('words-tm-tls')
  await world.api.apply({ ...found, metadata: { name: 'words-tm-tls', namespace: 'jobs' }, data: { 'tls.crt': 'eA==' } } as KubeObject, 'somebody')
  await expect(world.executor().keep?.(spec)).rejects.toThrow('Secret jobs/words-tm-tls holds no certificate in tls.crt')
  await world.api.delete(secrets, 'jobs', 'words-tm-tls')
  await world.executor().keep?.(spec)
  expect((await certificate('words-tm-tls')).subjectAltName).toBe('DNS:taskmanager')
})

test('security.ssl.internal.enabled: false: no certificates, and pods without them', async () => {
  const plain = { ...spec, flinkConfiguration: { 'security.ssl.internal.enabled': 'false' } }
  await executor.execute({ kind: 'startJobManager', spec: plain })
  await executor.keep?.(plain)
  const { items } = await world.api.list(secrets, { namespace: 'jobs' })
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['words-token'])
  expect(JSON.stringify((await world.api.list(statefulSets, { namespace: 'jobs' })).items)).not.toContain('millrace-tls')
})
