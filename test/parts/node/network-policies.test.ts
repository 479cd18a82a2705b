import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { version } from '../../../bin/version.ts'
import { BUCKET, JOBS, MillraceOnNode, OPERATOR_ACCOUNT, runs } from '../../support/millrace-on-node.ts'
import { rightsMissing } from '../../support/operator-rights.ts'

/** The chart with networkPolicies.enabled, on a node whose policies are enforced by iptables (test/support/network-policy-enforcer.ts). */
let world: MillraceOnNode
let elsewhere: Server
beforeAll(async () => {
  world = await MillraceOnNode.start(({ node, s3 }) => {
    const { hostname, port } = new URL(s3.endpoint)
    return {
      networkPolicies: {
        enabled: true,
        egress: [{ to: [{ ipBlock: { cidr: `${hostname}/32` } }], ports: [{ protocol: 'TCP', port: Number(port) }] }],
        apiServer: [{ to: [{ ipBlock: { cidr: `${new URL(node.apiServer).hostname}/32` } }], ports: [{ protocol: 'TCP', port: 6443 }] }],
      },
    }
  })
  elsewhere = createServer(socket => socket.on('error', () => {}).end('hello')).listen(0, world.node.outside)
  await once(elsewhere, 'listening')
  await world.apply(numbers('mine'), numbers('theirs'), stranger)
  await world.reaches('mine', runs(1))
  await world.reaches('theirs', runs(1))
  await world.podsReady()
  await world.kubectl('wait', '--for=condition=Ready', 'pod/stranger', '--timeout=60s')
}, 300_000)
afterAll(async () => {
  elsewhere?.close()
  await world?.[Symbol.asyncDispose]()
}, 60_000)

const numbers = (name: string) =>
  world.job(name, {
    sql: `
      CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');
      CREATE TABLE written (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 's3://${BUCKET}/${name}', 'format' = 'csv');
      INSERT INTO written SELECT n FROM numbers;`,
  })

/** Of no job: no policy selects it. */
const stranger = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'stranger', namespace: JOBS },
  spec: {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'main',
        image: `millrace:${version}`,
        imagePullPolicy: 'Never',
        command: ['node', '-e', 'setInterval(() => {}, 1000)'],
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
}

/** `open`, or how it is refused. */
const connects = (pod: string, host: string, port: number) =>
  world.kubectl(
    'exec',
    pod,
    '--',
    'node',
    '-e',
    `const socket = require('node:net').connect({ host: '${host}', port: ${port}, timeout: 3000 }); const say = text => { process.stdout.write(text); process.exit() };
    socket.on('connect', () => say('open')); socket.on('error', error => say(error.code)); socket.on('timeout', () => say('ETIMEDOUT'))`,
  )
const addressOf = async (pod: string) => (await world.kubectl('get', 'pod', pod, '-o', 'jsonpath={.status.podIP}')).trim()
const refusal = expect.stringMatching(/ECONNREFUSED|ETIMEDOUT|ECONNRESET|EHOSTUNREACH|EACCES/) as unknown

test('jobs run, and write to S3, with a policy each', { timeout: 120_000 }, async () => {
  expect(await world.names('networkpolicies')).toEqual(['networkpolicy.networking.k8s.io/mine-job', 'networkpolicy.networking.k8s.io/theirs-job'])
  await expect.poll(() => world.s3.lines(BUCKET, 'mine').length, { timeout: 60_000 }).toBeGreaterThan(0)
})

test('any other egress is refused, and counted', { timeout: 60_000 }, async () => {
  const { port } = elsewhere.address() as AddressInfo
  const { outside } = world.node
  expect(await connects('stranger', outside, port)).toBe('open')
  const before = world.node.refused(await addressOf('mine-tm-0')).egress
  expect(await connects('mine-tm-0', outside, port)).toEqual(refusal)
  expect(await connects('mine-tm-0', await addressOf('stranger'), 8081)).toEqual(refusal)
  expect(world.node.refused(await addressOf('mine-tm-0')).egress).toBeGreaterThan(before)
})

test('pods of one job reach no port of another, nor does a stranger; those of the same do', { timeout: 60_000 }, async () => {
  const [theirs, mine] = [await addressOf('theirs-jm-0'), await addressOf('mine-jm-0')]
  for (const port of [8081, 6123]) {
    expect(await connects('mine-tm-0', theirs, port), `${port}`).toEqual(refusal)
    expect(await connects('mine-tm-0', mine, port), `${port}`).toBe('open')
  }
  const before = world.node.refused(theirs).ingress
  expect(await connects('stranger', theirs, 8081)).toEqual(refusal)
  expect(world.node.refused(theirs).ingress).toBeGreaterThan(before)
})

test('helm test passes, and the operator has all the rights it needs', { timeout: 120_000 }, async () => {
  expect(await world.helm('test', 'millrace', '--timeout', '100s')).toMatch(/Phase:\s+Succeeded/)
  expect(rightsMissing(world.node.audited(OPERATOR_ACCOUNT))).toEqual([])
  const ofPolicies = world.node.audited(OPERATOR_ACCOUNT).filter(({ objectRef }) => objectRef?.resource === 'networkpolicies')
  expect(new Set(ofPolicies.map(({ verb }) => verb))).toEqual(new Set(['get', 'patch']))
  expect(ofPolicies.some(({ responseStatus }) => responseStatus?.code === 201)).toBe(true)
})
