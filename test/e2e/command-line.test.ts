import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, freePort, processesOf, runMillrace, startCluster, TestFolder } from '../support/cluster.ts'
import { ended, goesOn, jobIdOf, type OverviewJson, running, slotsFree, submit, ticksJob } from '../support/jobs.ts'

/** What the command line answers to requests that are right, wrong, or go to nobody. */
let cluster: Cluster
let ticks: string
let word: string

beforeAll(async () => {
  cluster = await startCluster({ taskManagers: 1, slots: 3 })
  ticks = await cluster.folder.write('ticks.ts', ticksJob)
  word = await cluster.folder.write(
    'words.ts',
    "import type { StreamExecutionEnvironment } from 'millrace'\nexport default (env: StreamExecutionEnvironment) => {\n  env.fromElements('a', 'b').map(word => word).print()\n}\n",
  )
})

afterAll(() => cluster[Symbol.asyncDispose]())

const hint = '\n\nUse the help option (-h or --help) to get help on the command.\n'
const exceptionHeader = `
------------------------------------------------------------
 The program finished with the following exception:

`

describe('jobs of a session', () => {
  const started = String.raw`\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d`

  test("build-6-list, build-6-cancel, seed-A10: several jobs at once, listed and cancelled in Flink's words", async () => {
    expect((await cluster.run(['list'])).stdout).toBe('Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n')
    const one = await submit(cluster, ticks)
    const two = await submit(cluster, ticks, ['-D', 'pipeline.name=second'])
    await running(cluster, one)
    await running(cluster, two)
    const finished = jobIdOf(await cluster.run(['run', word]))

    const listed = await cluster.run(['list'])
    expect(listed).toMatchObject({ code: 0, stderr: '' })
    expect(listed.stdout).toMatch(
      new RegExp(
        `^Waiting for response\\.\\.\\.
------------------ Running/Restarting Jobs -------------------
${started} : ${one} : ticks \\(RUNNING\\)
${started} : ${two} : second \\(RUNNING\\)
--------------------------------------------------------------
No scheduled jobs\\.
$`,
      ),
    )

    expect(await cluster.run(['cancel', one])).toMatchObject({ code: 0, stderr: '', stdout: `Cancelling job ${one}.\nCancelled job ${one}.\n` })
    await ended(cluster, one, 'CANCELED')
    await goesOn(cluster, two)
    const all = await cluster.run(['list', '-a'])
    expect(all.stdout).toMatch(
      new RegExp(
        `${started} : ${two} : second \\(RUNNING\\)
-+
No scheduled jobs\\.
---------------------- Terminated Jobs -----------------------
${started} : ${one} : ticks \\(CANCELED\\)
${started} : ${finished} : words \\(FINISHED\\)
--------------------------------------------------------------
$`,
      ),
    )

    // Cancelled is cancelled; what has finished cannot be.
    expect((await cluster.run(['cancel', one])).code).toBe(0)
    const late = await cluster.run(['cancel', finished])
    expect(late.code).toBe(1)
    expect(late.stderr).toContain('FINISHED')
    expect((await cluster.run(['cancel', two])).code).toBe(0)
    await ended(cluster, two, 'CANCELED')
    await slotsFree(cluster, 3)
  })

  test('an attached run whose job is cancelled by somebody else says so, and exits 1', async () => {
    const attached = cluster.run(['run', ticks])
    const id = await cluster.until(
      '/jobs/overview',
      (answer: { jobs: { jid: string; state: string }[] }) => answer.jobs.find(job => job.state === 'RUNNING')?.jid,
    )
    await running(cluster, id)
    await cluster.run(['cancel', id])
    const result = await attached
    expect(result.code).toBe(1)
    expect(result.stderr).toBe(`${exceptionHeader}Job 'ticks' was cancelled (JobID: ${id})\n`)
  })

  test.each([
    {
      args: ['cancel', '00000000000000000000000000000001'],
      stderr: `${exceptionHeader}Could not cancel job 00000000000000000000000000000001.\nCaused by: Job could not be found.\n`,
    },
    { args: ['cancel'], stdout: `Missing JobID. Specify a JobID to cancel a job.${hint}` },
    {
      args: ['cancel', 'ticks'],
      stdout: `Cannot parse JobID from "ticks". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.${hint}`,
    },
    { args: ['run'], stdout: `The job module should be specified, for example: millrace run job.ts${hint}` },
    { args: ['run', 'nothing.ts'], stdout: `Job file does not exist: nothing.ts${hint}` },
  ])('$args: what is missing or not there, exit 1', async ({ args, stderr = '', stdout }) => {
    const result = await cluster.run(args)
    expect(result).toMatchObject({ code: 1, stderr })
    if (stdout !== undefined) expect(result.stdout).toBe(stdout)
  })
})

describe('bad-option', () => {
  test('all problems of a configuration at once, each with its origin and the nearest name; nothing is submitted', async () => {
    const before = await cluster.get<{ jobs: unknown[] }>('/jobs/overview')
    const result = await cluster.run(['run', '-D', 'task.cancelation.interval=1s', '-D', 'rest.prot=3', '-D', 'parallelism.default=eleven', word])
    expect(result).toMatchObject({ code: 1, stderr: '' })
    expect(result.stdout).toBe(`the configuration has 3 problems:
  unknown option task.cancelation.interval, did you mean task.cancellation.interval? (-D)
  unknown option rest.prot, did you mean rest.port? (-D)
  option parallelism.default: expected a whole number, got "eleven" (-D)${hint}`)
    expect((await cluster.get<{ jobs: unknown[] }>('/jobs/overview')).jobs.length).toBe(before.jobs.length)
  })

  test('a flag or an action that does not exist', async () => {
    expect(await cluster.run(['list', '-x'])).toMatchObject({ code: 1, stdout: `Unrecognized option: -x${hint}` })
    const action = await cluster.run(['strat-cluster'])
    expect(action.code).toBe(1)
    expect(action.stdout).toMatch(/^"strat-cluster" is not a valid action\.\n[\s\S]*\nDid you mean "start-cluster"\?\n/)
  })

  test('in the file of the configuration: start-cluster starts nothing', async () => {
    await using folder = await TestFolder.create()
    const file = await folder.write('conf/config.yaml', 'rest.port: 8081\ntaskmanager.numberOfTaskSlot: 2\n')
    const result = await runMillrace(['start-cluster'], { MILLRACE_DIR: join(folder.path, 'cluster'), MILLRACE_CONF_DIR: join(folder.path, 'conf') })
    expect(result.code).toBe(1)
    expect(result.stdout).toContain(`unknown option taskmanager.numberOfTaskSlot, did you mean taskmanager.numberOfTaskSlots? (${file}`)
    expect(existsSync(join(folder.path, 'cluster'))).toBe(false)
    expect(processesOf(folder.path)).toEqual([])
  })
})

test.each(['rest.port', 'jobmanager.rpc.port', 'taskmanager.data.port'])(
  'bad-port: %s in use: start-cluster names port and option, and leaves no process',
  async option => {
    await using folder = await TestFolder.create()
    const environment = { MILLRACE_DIR: join(folder.path, 'cluster') }
    const server = await occupied()
    try {
      const ports: Record<string, number> = { 'rest.port': 0, 'jobmanager.rpc.port': 0, [option]: server.port }
      const properties = Object.entries(ports).flatMap(([key, value]) => ['-D', `${key}=${value}`])
      const result = await runMillrace(['start-cluster', ...properties], environment)
      expect(result).toMatchObject({ code: 1, stdout: '' })
      expect(result.stderr).toMatch(
        new RegExp(`port ${server.port} on \\S+ is in use: set another one with -D ${option}=<port> \\(option ${option}\\)`),
      )
      expect(result.stderr).toMatch(/(jobmanager|taskmanager)-0 ended while the cluster was starting; the end of its log .*-0\.log:/)
    } finally {
      await new Promise(resolve => server.server.close(resolve))
    }
    expect(processesOf(folder.path)).toEqual([])
  },
)

function occupied(): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') return reject(new Error('a TCP server has a port'))
      resolve({ server, port: address.port })
    })
  })
}

test('bad-jobmanager: nobody answers: every action names the address and exits 1, without a stack', async () => {
  const address = `localhost:${await freePort()}`
  const id = '00000000000000000000000000000001'
  for (const args of [
    ['run', '-m', address, word],
    ['list', '-m', address],
    ['cancel', '-m', address, id],
  ]) {
    const result = await cluster.run(args)
    expect(result.code).toBe(1)
    expect(result.stderr).toBe(
      `${exceptionHeader}${args[0] === 'cancel' ? `Could not cancel job ${id}.\nCaused by: ` : ''}no JobManager answers at ${address}: ECONNREFUSED\n`,
    )
  }
})

test('bad-jobmanager: a TaskManager that finds no JobManager within its time says where it looked, and ends', async () => {
  const port = await freePort()
  const result = await cluster.run(['taskmanager', '-D', `jobmanager.rpc.port=${port}`, '-D', 'taskmanager.registration.timeout=700 ms'])
  expect(result.code).toBe(1)
  expect(result.stderr).toMatch(
    new RegExp(
      `could not register at localhost:${port} within taskmanager\\.registration\\.timeout \\(700 ms\\): cannot connect to the jobmanager at localhost:${port}: ECONNREFUSED`,
    ),
  )
})

test('bad-token: a TaskManager with another token is refused at once, told where its own came from, and the cluster stays as it is', async () => {
  await using folder = await TestFolder.create()
  const result = await runMillrace(['taskmanager'], { ...cluster.environment, MILLRACE_DIR: folder.path })
  expect(result.code).toBe(1)
  expect(result.stderr).toMatch(
    /the jobmanager at localhost:\d+ refuses taskmanager localhost-[0-9a-f]{6}: the token of the rpc hello is missing or wrong; both must have the same: here it is that of .*\/cluster-token \(MILLRACE_DIR\)/,
  )
  expect(await cluster.log('jobmanager-0')).toMatch(
    /WARN {2}rpc connection refused .*code=UNAUTHENTICATED reason="the token of the rpc hello is missing or wrong"/,
  )
  const configured = await runMillrace(['taskmanager', '-D', 'cluster.token=guessed'], cluster.environment)
  expect(configured.code).toBe(1)
  expect(configured.stderr).toContain('here it is that of option cluster.token')
  expect(configured.stderr).not.toContain('guessed')
  expect((await cluster.get<OverviewJson>('/overview')).taskmanagers).toBe(1)
})

test.each([
  ['run', '-m', 'yarn-cluster'],
  ['run', '-t', 'yarn-per-job'],
  ['run', '-t', 'yarn-session'],
  ['yarn-session', '-n', '2', '-s', '2', '-d'],
])('seed-XB10: %s %s %s is refused and names what takes its place', async (...args) => {
  const result = await cluster.run(args[0] === 'run' ? [...args, word] : args)
  expect(result.code).toBe(1)
  expect(result.stdout).toContain('Millrace does not run on YARN')
  for (const counterpart of ['millrace start-cluster', 'FlinkSession', 'FlinkJob']) expect(result.stdout).toContain(counterpart)
})

test('a second start-cluster beside a running one is refused, and the first one is left alone', async () => {
  const result = await cluster.run(['start-cluster'])
  expect(result.code).toBe(1)
  expect(result.stderr).toMatch(
    /a cluster of .* is running already: jobmanager-0 \(pid \d+\), taskmanager-0 \(pid \d+\); end it with millrace stop-cluster, or set MILLRACE_DIR for another one/,
  )
  expect((await cluster.get<OverviewJson>('/overview')).taskmanagers).toBe(1)
})

test('printToErr writes to the stderr of -t local and to the .err file of a TaskManager, print to the other one', async () => {
  const path = await cluster.folder.write(
    'both.js',
    "export default env => { const rows = env.fromElements('x', 'y'); rows.print('out'); rows.printToErr('err') }\n",
  )
  const local = await runMillrace(['run', '-t', 'local', '-p', '1', path], { MILLRACE_DIR: join(cluster.folder.path, 'local') })
  expect(local).toMatchObject({ code: 0, stderr: 'err> x\nerr> y\n' })
  expect(local.stdout).toContain('out> x\nout> y\n')
  expect(local.stdout).not.toContain('err>')
  expect((await cluster.run(['run', path])).code).toBe(0)
  expect(await readFile(join(cluster.folder.path, 'cluster', 'log', 'taskmanager-0.err'), 'utf8')).toBe('err> x\nerr> y\n')
})
