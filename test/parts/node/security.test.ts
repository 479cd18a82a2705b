import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { JOBS, MillraceOnNode, runs, SYSTEM } from '../../support/millrace-on-node.ts'

/** Who may do what: of accounts at the API server, and of the pods of one job at another one. */
let world: MillraceOnNode
beforeAll(async () => {
  world = await MillraceOnNode.start()
  await world.apply(counting('mine'), counting('theirs'))
  await world.reaches('mine', runs(1))
  await world.reaches('theirs', runs(1))
  await world.podsReady()
}, 240_000)
afterAll(() => world?.[Symbol.asyncDispose](), 60_000)

const counting = (name: string) =>
  world.job(name, {
    sql: `
      CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '5', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');
      CREATE TABLE shown (n BIGINT) WITH ('connector' = 'print');
      INSERT INTO shown SELECT n FROM numbers;`,
  })

/** Regenerate with UPDATE_RIGHTS=1, and read what has changed. */
const GOLDEN = join(import.meta.dirname, 'rights.txt')

/** As `kubectl auth can-i --list` says it: resources, urls, names, verbs. */
async function rightsOf(account: string, namespace: string): Promise<readonly string[]> {
  const list = await world.node.kubectl(['auth', 'can-i', '--list', '--no-headers', `--as=system:serviceaccount:${account}`, '-n', namespace])
  const lines = list.split('\n').filter(Boolean)
  return [...new Set(lines.map(line => line.trim().replaceAll(/ {2,}/g, '  ')))].sort()
}

test('every service account may do what the golden file says, and nothing else', async () => {
  const { items } = JSON.parse(await world.node.kubectl(['get', 'serviceaccounts', '-A', '-o', 'json'])) as {
    readonly items: readonly { readonly metadata: { readonly name: string; readonly namespace: string } }[]
  }
  const accounts = items.flatMap(({ metadata: { name, namespace } }) => (namespace === SYSTEM || namespace === JOBS ? [`${namespace}:${name}`] : []))
  const everybody = await rightsOf('nowhere:nobody', JOBS)
  const parts = [['# every account', ...everybody]]
  for (const account of accounts.sort())
    for (const namespace of [SYSTEM, JOBS]) {
      const rights = await rightsOf(account, namespace)
      parts.push([`# ${account.replace(':', '/')} in ${namespace}, besides`, ...rights.filter(line => !everybody.includes(line))])
    }
  const text = `${parts.map(lines => lines.join('\n')).join('\n\n')}\n`
  if (process.env['UPDATE_RIGHTS'] === '1') writeFileSync(GOLDEN, text)
  expect(text).toBe(readFileSync(GOLDEN, 'utf8'))
})

test('pods of jobs have no token of the API server', async () => {
  for (const pod of await world.processes())
    expect(await inPod(pod, "say(require('node:fs').existsSync('/var/run/secrets/kubernetes.io'))"), pod).toBe('false')
})

/** What the program says in the pod, which has no shell. */
async function inPod(pod: string, program: string): Promise<string> {
  const prelude = "const say = value => process.stdout.write(String(value)); const file = path => require('node:fs').readFileSync(path);"
  return world.kubectl('exec', pod, '--', 'node', '-e', `${prelude}(async () => { ${program} })().catch(error => say(error.code ?? error))`)
}

test('REST of a job answers nothing without its token, also not with that of another job', async () => {
  const ask = (pod: string, header: string) =>
    inPod(
      pod,
      `const token = file('/var/run/secrets/millrace/token'); say((await fetch('http://theirs-rest:8081/jobs/overview', { headers: ${header} })).status)`,
    )
  expect(await ask('mine-tm-0', '{}')).toBe('401')
  expect(await ask('mine-tm-0', "{ authorization: 'Bearer ' + token }")).toBe('401')
  expect(await ask('theirs-tm-0', "{ authorization: 'Bearer ' + token }")).toBe('200')
})

/** The certificate of a server counts for its own authority alone, and so does that of a client: both ends refuse. */
const shake = (host: string, port: number, trusted: string) => `
  const folder = '/var/run/secrets/millrace-tls/'
  const socket = require('node:tls').connect({ host: '${host}', port: ${port}, ca: ${trusted}, cert: file(folder + 'tls.crt'), key: file(folder + 'tls.key'),
    rejectUnauthorized: ${trusted !== 'undefined'}, checkServerIdentity: () => undefined })
  socket.on('secureConnect', () => socket.write('anybody there?'))
  await new Promise((resolve, reject) => { socket.on('error', reject); socket.on('close', resolve); socket.on('data', () => reject(new Error('answered'))); setTimeout(() => reject(new Error('open')), 3000) })
  say('closed')`

test('a pod of one job cannot speak to the JobManager or a TaskManager of another', { timeout: 60_000 }, async () => {
  const address = (await world.kubectl('get', 'pod', 'theirs-tm-0', '-o', 'jsonpath={.status.podIP}')).trim()
  for (const [host, port] of [
    ['theirs-jobmanager', 6123],
    [address, 6122],
  ] as const) {
    // By what it trusts it does not even say anything.
    expect(await inPod('mine-tm-0', shake(host, port, "file(folder + 'ca.crt')")), host).toMatch(/SELF_SIGNED|UNABLE_TO|CERT|ECONNRESET/)
    // By trusting anybody it is refused by the other side.
    expect(await inPod('mine-tm-0', shake(host, port, 'undefined')), host).toMatch(/ALERT|ECONNRESET|closed/)
  }
})

test('a TaskManager of one job is not let into another', { timeout: 60_000 }, async () => {
  const program = `
    const { spawnSync } = require('node:child_process')
    const options = { 'jobmanager.rpc.address': 'theirs-jobmanager', 'jobmanager.rpc.port': 6123, 'cluster.token-file': '/var/run/secrets/millrace/token', 'taskmanager.host': process.env.POD_IP,
      'taskmanager.resource-id': 'stranger', 'security.ssl.internal.enabled': true, 'security.ssl.internal.certificates': '/var/run/secrets/millrace-tls', 'taskmanager.registration.timeout': '5 s' }
    const args = ['/opt/millrace/dist/millrace.js', 'taskmanager', ...Object.entries(options).flatMap(([key, value]) => ['-D', key + '=' + value])]
    const { status, stderr, stdout } = spawnSync(process.execPath, args, { timeout: 40_000, encoding: 'utf8' })
    say(status + ' ' + stdout + stderr)`
  const said = await inPod('mine-tm-0', program)
  expect(said).toMatch(/^[1-9]/)
  const overview = await inPod(
    'theirs-tm-0',
    `const token = file('/var/run/secrets/millrace/token'); say(await (await fetch('http://theirs-rest:8081/taskmanagers', { headers: { authorization: 'Bearer ' + token } })).text())`,
  )
  expect((JSON.parse(overview) as { readonly taskmanagers: readonly { readonly id: string }[] }).taskmanagers.map(({ id }) => id)).toEqual([
    'taskmanager-0',
  ])
})
