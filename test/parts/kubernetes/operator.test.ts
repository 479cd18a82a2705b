import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { KubeApi } from '../../../operator/kube/kube-api.ts'
import { withToken } from '../../../operator/kube/kube-auth.ts'
import type { KubeObject } from '../../../operator/kube/object-api.ts'
import { flinkJobs, leases, pods } from '../../../operator/kube/resources.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { freePorts } from '../../support/guarded-process.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { root } from '../../support/up.ts'

/** `millrace operator` as a process against a real kube-apiserver without nodes: as far as the pod that plans a job. */
let plane: KubeControlPlane
let api: KubeApi
let folder: string
interface RunningOperator {
  readonly child: ChildProcess
  readonly exit: Promise<number | string | null>
  readonly probe: (path: string) => Promise<{ readonly status: number; readonly text: string } | undefined>
  readonly log: () => string
}
const started: RunningOperator[] = []

beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
  api = new KubeApi({ auth: withToken(plane.url, plane.token, plane.ca), clock: systemClock, random: systemRandom })
  folder = mkdtempSync(join(tmpdir(), 'millrace-operator-'))
  writeFileSync(join(folder, 'token'), plane.token)
  writeFileSync(join(folder, 'ca.crt'), plane.ca)
})
afterEach(async () => {
  for (const each of started.splice(0)) {
    each.child.kill('SIGKILL')
    await each.exit
  }
})
afterAll(async () => {
  api?.close()
  await plane?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function operator(port: number, ...args: string[]): RunningOperator {
  const kube = ['--kube-url', plane.url, '--token-file', join(folder, 'token'), '--ca-file', join(folder, 'ca.crt')]
  const child = spawn(
    join(root, 'bin/millrace'),
    ['operator', '--image', 'example/millrace:1', ...kube, '--leader-election-namespace', 'default', '--probe-address', `127.0.0.1:${port}`, ...args],
    { env: { ...process.env, MILLRACE_DIR: join(folder, 'home') }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  const exit = new Promise<number | string | null>(resolve => child.on('close', (code, signal) => resolve(code ?? signal)))
  const probe = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
    return answer === undefined ? undefined : { status: answer.status, text: await answer.text() }
  }
  const made = { child, exit, probe, log: () => log }
  started.push(made)
  return made
}

const job = (name: string): KubeObject => ({
  apiVersion: 'millrace.dev/v1alpha1',
  kind: 'FlinkJob',
  metadata: { name, namespace: 'default' },
  spec: { job: { script: 'export default env => { env.fromElements(1).print() }' } },
})
const poll = <T>(look: () => Promise<T>) => expect.poll(look, { timeout: 60_000, interval: 100 })
const holder = async () => {
  const lease = await api.get(leases, 'default', 'millrace-operator').catch(() => undefined)
  return (lease?.spec as { readonly holderIdentity?: string } | undefined)?.holderIdentity ?? ''
}
const isLeading = async (one: RunningOperator) => /millrace_operator_leader 1/.test((await one.probe('/metrics'))?.text ?? '')
/** A planner pod of the job. */
const planners = async (name: string) =>
  (await api.list(pods, { namespace: 'default' })).items.filter(({ metadata }) => metadata.name.startsWith(`${name}-`))

test('one of two leads and works; killed, the other one takes over; stopped, it gives the lease back', async () => {
  const [first, second] = (await freePorts(2)) as [number, number]
  const one = operator(first)
  await poll(() => isLeading(one)).toBe(true)
  const two = operator(second)
  await poll(async () => (await two.probe('/readyz'))?.status).toBe(200)
  const before = await holder()

  await api.create(job('planned'))
  await poll(async () => (await planners('planned')).length).toBe(1)
  const [pod] = await planners('planned')
  expect(pod?.spec).toMatchObject({ restartPolicy: 'Never', automountServiceAccountToken: false })
  const found = await api.get(flinkJobs, 'default', 'planned')
  expect(found.metadata.finalizers).toEqual(['millrace.dev/cleanup'])
  expect(found.status).toMatchObject({
    lifecycleState: 'CREATED',
    conditions: expect.arrayContaining([expect.objectContaining({ type: 'Ready', status: 'False' })]),
  })
  expect(await isLeading(two)).toBe(false)

  one.child.kill('SIGKILL')
  await poll(() => isLeading(two)).toBe(true)
  expect(await holder()).not.toBe(before)
  await api.create(job('later'))
  await poll(async () => (await planners('later')).length).toBe(1)
  // What the first one began is not begun again.
  expect((await planners('planned')).length).toBe(1)

  two.child.kill('SIGTERM')
  expect(await two.exit, two.log()).toBe(0)
  expect(await holder()).toBe('')
})

test('an API server that is restarted is waited for, and what was changed meanwhile is seen', async () => {
  const [port] = (await freePorts(1)) as [number]
  const one = operator(port)
  await poll(() => isLeading(one)).toBe(true)
  await api.create(job('steady'))
  await poll(async () => (await planners('steady')).length).toBe(1)
  await plane.restartApiServer()
  await api.create(job('behind'))
  await poll(async () => (await planners('behind')).length).toBe(1)
  expect(one.child.exitCode).toBe(null)
  const { text = '' } = (await one.probe('/metrics')) ?? {}
  expect(text).toMatch(/^millrace_operator_jobs\{lifecycle_state="CREATED"\} \d+$/m)
  one.child.kill('SIGTERM')
  expect(await one.exit, one.log()).toBe(0)
})

test('logs are lines of JSON, and no secret stands in them', async () => {
  const [port] = (await freePorts(1)) as [number]
  const one = operator(port)
  await poll(() => isLeading(one)).toBe(true)
  const secret = 'wJalrXUtnFEMI'
  await api.create({
    ...job('secretive'),
    spec: { job: { script: 'export default () => {}' }, flinkConfiguration: { 's3.secret-key': secret, 'no.such.option': '1' } },
  })
  await poll(async () => JSON.stringify((await api.get(flinkJobs, 'default', 'secretive')).status ?? {})).toContain('no.such.option')
  // A pass that fails is what is logged most of.
  await plane.restartApiServer()
  await api.create(job('logged'))
  await poll(async () => (await planners('logged')).length).toBe(1)
  one.child.kill('SIGTERM')
  expect(await one.exit, one.log()).toBe(0)
  const lines = one.log().trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(2)
  for (const line of lines) expect(JSON.parse(line), line).toMatchObject({ level: expect.any(String) })
  for (const hidden of [secret, plane.token]) expect(one.log()).not.toContain(hidden)
})

test('bad options are answered with what was expected', async () => {
  const bad = operator(1, '--probe-address', 'nowhere')
  expect(await bad.exit).toBe(1)
  expect(bad.log()).toContain('option --probe-address: expected host:port, got nowhere')
})
