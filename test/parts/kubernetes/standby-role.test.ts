import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlinkJobSpec } from '../../../operator/api/flink-job.ts'
import { jobManagerObjects } from '../../../operator/effects/kubernetes/objects.ts'
import { leaderLease, standbyObjects } from '../../../operator/effects/kubernetes/standby-objects.ts'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import { LeaderElection } from '../../../operator/kube/leader-election.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { apiVersionOf, configMaps, leases, pods, secrets, typeOf } from '../../../operator/kube/resources.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { clusterInput, fullSpec } from '../../support/kubernetes-cluster.ts'

/** What JobManagers that stand by may do at a real kube-apiserver, asked with a token of their account. */
const LEASE = 'jobs.words-leader'
const { serviceAccount: _theirs, ...unnamed } = fullSpec
const spec: FlinkJobSpec = { ...unnamed, jobManager: { replicas: 2 } }
const { owner } = clusterInput(spec)

let plane: KubeControlPlane
let api: KubeApi
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.kubectl(['create', 'namespace', 'jobs'])
  for (const object of [...standbyObjects(owner, spec), leaderLease(owner)]) await applied(object)
  const { status, body } = await plane.call('POST', '/api/v1/namespaces/jobs/serviceaccounts/words-jm/token', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  })
  expect(status).toBe(201)
  const { token } = (body as { readonly status: { readonly token: string } }).status
  api = new KubeApi({ auth: withToken(plane.url, token, plane.ca), clock: systemClock, random: systemRandom })
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
})

async function applied(object: KubeObject, dryRun = ''): Promise<void> {
  const type = typeOf(object)
  const root = type.group === '' ? '/api/v1' : `/apis/${apiVersionOf(type)}`
  const path = `${root}/namespaces/jobs/${type.plural}/${object.metadata.name}?fieldManager=millrace&force=true&fieldValidation=Strict${dryRun}`
  const { status, body } = await plane.call('PATCH', path, object, { contentType: 'application/apply-patch+yaml' })
  expect([status, status === 201 ? '' : JSON.stringify(body)], `${object.kind} ${object.metadata.name}`).toEqual([201, ''])
}

test('a server takes the pods of JobManagers that stand by, and knows each field', async () => {
  for (const object of jobManagerObjects({ ...clusterInput(spec), startId: 'abc' })) await applied(object, '&dryRun=All')
})

test('their account reads and patches the Lease of their cluster, and nothing else', async () => {
  const mayI = async (verb: string, resource: string, name?: string) =>
    (
      await plane
        .kubectl([
          'auth',
          'can-i',
          verb,
          name === undefined ? resource : `${resource}/${name}`,
          '-n',
          'jobs',
          '--as',
          'system:serviceaccount:jobs:words-jm',
        ])
        .catch(({ message }: Error) => message)
    ).includes('yes')
  const asked: [string, string, string | undefined][] = []
  for (const verb of ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'])
    for (const resource of ['leases', 'pods', 'secrets', 'configmaps', 'statefulsets', 'roles'])
      for (const name of [undefined, LEASE, 'jobs.other-leader']) asked.push([verb, resource, name])
  const allowed = []
  for (const [verb, resource, name] of asked) if (await mayI(verb, resource, name)) allowed.push([verb, resource, name])
  expect(allowed).toEqual([
    ['get', 'leases', LEASE],
    ['patch', 'leases', LEASE],
  ])
  for (const type of [pods, secrets, configMaps, leases])
    await expect(api.list(type, { namespace: 'jobs' })).rejects.toMatchObject({ reason: 'Forbidden' })
}, 120_000)

test('that is enough to lead, to renew, and to give the Lease back', async () => {
  const holder = async () => {
    const { body } = await plane.call('GET', `/apis/coordination.k8s.io/v1/namespaces/jobs/leases/${LEASE}`)
    return (body as { readonly spec?: { readonly holderIdentity?: string; readonly renewTime?: string } }).spec ?? {}
  }
  const ending = new AbortController()
  const election = (identity: string) =>
    new LeaderElection({ api, namespace: 'jobs', name: LEASE, identity, clock: systemClock, random: systemRandom, log: noLog, retryPeriodMs: 50 })
  const ended = election('words-jm-0').run(async leading => {
    const first = (await holder()).renewTime
    await expect.poll(async () => (await holder()).renewTime, { timeout: 10_000 }).not.toBe(first)
    ending.abort()
    expect(leading.reason).not.toBe('lost')
  }, ending.signal)
  expect(await ended).toBe('ended')
  expect((await holder()).holderIdentity ?? '').toBe('')
  expect(await election('words-jm-1').run(async () => expect((await holder()).holderIdentity).toBe('words-jm-1'), new AbortController().signal)).toBe(
    'ended',
  )
})
