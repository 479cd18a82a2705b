import { spawn } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Cluster, millrace, processesOf, runMillrace, startCluster, TestFolder } from '../support/cluster.ts'
import {
  ended,
  exceptions,
  goesOn,
  type JobDetails,
  jobIdOf,
  type OverviewJson,
  running,
  slotsFree,
  submit,
  taskManagersOf,
  ticksJob,
} from '../support/jobs.ts'

/** Processes that die, hang or run out of something, and jobs that wait for what is not there. Every cluster's disposal looks for orphans. */

/** A process of the cluster that its own record does not know, as somebody starts one on another machine. It ends with the cluster. */
function startProcess(
  cluster: Cluster,
  kind: 'jobmanager' | 'taskmanager',
  options: Readonly<Record<string, string>> = {},
): { readonly pid: number; readonly exited: Promise<number | null> } {
  const properties = Object.entries(options).flatMap(([key, value]) => ['-D', `${key}=${value}`])
  const child = spawn(millrace, [kind, ...properties], { env: { ...process.env, ...cluster.environment }, stdio: 'ignore' })
  const exited = new Promise<number | null>(resolve => child.on('exit', code => resolve(code)))
  return { pid: child.pid ?? -1, exited }
}

const settled = (cluster: Cluster, taskManagers: number, free: number) =>
  cluster.until('/overview', (answer: OverviewJson) =>
    answer.taskmanagers === taskManagers && answer['slots-available'] === free ? true : undefined,
  )

async function gone(processes: () => readonly unknown[]): Promise<void> {
  await expect.poll(() => processes(), { timeout: 30_000, interval: 50 }).toEqual([])
}

describe('a TaskManager that ends or hangs', () => {
  test('bad-kill and bad-stop: kill -9 is noticed by its closed socket, SIGSTOP by its heartbeat; only its own jobs fail, and it comes back', async () => {
    // Far above what a busy machine delays a heartbeat by, and far below the test's patience.
    await using cluster = await startCluster({
      taskManagers: 3,
      slots: 1,
      configuration: { 'heartbeat.interval': '500 ms', 'heartbeat.timeout': '4 s' },
    })
    const path = await cluster.folder.write('ticks.ts', ticksJob)
    const wide = await submit(cluster, path, ['-p', '2'])
    const other = await submit(cluster, path)
    await running(cluster, wide)
    await running(cluster, other)
    const [lost = ''] = await taskManagersOf(cluster, wide)
    const [stopped = ''] = await taskManagersOf(cluster, other)
    expect([...new Set([...(await taskManagersOf(cluster, wide)), stopped])].length).toBe(3)

    process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
    await ended(cluster, wide, 'FAILED')
    const reason = new RegExp(
      `^FlinkError: TaskManager with id ${lost} is no longer reachable: connection to ${lost} (was closed by the other side|failed: .*ECONNRESET)\\.?$`,
    )
    const [entry] = await exceptions(cluster, wide)
    expect(entry).toMatchObject({
      exceptionName: 'FlinkError[TASKMANAGER_LOST]',
      taskManagerId: lost,
      taskName: expect.stringMatching(/ - execution #0$/),
    })
    expect(entry?.stacktrace.split('\n')[0]).toMatch(reason)
    // The other half of it was cancelled, and its slot serves again.
    await settled(cluster, 2, 1)
    await goesOn(cluster, other)

    const pid = cluster.pidOf(`run/${stopped}.json`)
    process.kill(pid, 'SIGSTOP')
    await ended(cluster, other, 'FAILED')
    expect((await exceptions(cluster, other))[0]?.stacktrace.split('\n')[0]).toBe(
      `FlinkError: The heartbeat of TaskManager with id ${stopped} timed out.`,
    )
    await settled(cluster, 1, 1)

    process.kill(pid, 'SIGCONT')
    await slotsFree(cluster, 2)
    const next = await submit(cluster, path, ['-p', '2'])
    await running(cluster, next)
    await goesOn(cluster, next)
    // stop-cluster ends it with its job, and finds the dead TaskManager no obstacle.
  })
})

describe('a slot that has not what it needs', () => {
  test('seed-A12 and bad-slots: out of memory fails its own job with the figures, not its neighbour; too few slots wait until a TaskManager joins', async () => {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { 'taskmanager.memory.task.heap.size': '160m' } })
    const path = await cluster.folder.write('ticks.ts', ticksJob)
    const neighbour = await submit(cluster, path)
    await running(cluster, neighbour)
    const pid = cluster.pidOf('run/taskmanager-0.json')

    const hoard = await cluster.folder.write(
      'hoard.ts',
      `import type { StreamExecutionEnvironment } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  const kept: unknown[] = []
  env.fromSequence(1, 1e9).map(n => { kept.push(new Array(1000).fill(n)); return n }).name('hoard').filter(n => n < 0).print()
}
`,
    )
    const hoarding = await cluster.run(['run', hoard])
    expect(hoarding.code).toBe(1)
    expect(hoarding.stderr).toContain('raise taskmanager.memory.task.heap.size or lower the parallelism per TaskManager')
    expect(hoarding.stderr).toMatch(/the slot exceeded its heap limit of 80 MB( \(\d+ MB in use\))?; raise/)
    expect((await exceptions(cluster, jobIdOf(hoarding)))[0]).toMatchObject({
      exceptionName: 'FlinkError[OUT_OF_MEMORY]',
      taskManagerId: 'taskmanager-0',
      taskName: 'Source: Sequence Source -> hoard -> Filter -> Sink: Print to Std. Out (1/1) - execution #0',
    })
    await goesOn(cluster, neighbour)
    await settled(cluster, 1, 1)
    expect(cluster.pidOf('run/taskmanager-0.json')).toBe(pid)

    const grouped = await cluster.folder.write('grouped.ts', ticksJob.replace(".name('pass')", ".name('pass').slotSharingGroup('heavy')"))
    const waiting = await submit(cluster, grouped, ['-p', '2'])
    // One for the source, one of the group 'heavy' at parallelism 2: one slot is there.
    const needs = await cluster.until(`/jobs/${waiting}`, (job: JobDetails) => {
      expect(job.state).toBe('RUNNING')
      return job['millrace-message']
    })
    expect(needs).toMatch(/^needs [23] slots \(.*group heavy: \d.*\), \d free$/)
    const message = await cluster.until(`/jobs/${waiting}`, (job: JobDetails) =>
      job['millrace-message']?.endsWith(', 0 free') ? job['millrace-message'] : undefined,
    )
    expect(message).toBe('needs 2 slots (group heavy: 2), 0 free')
    const job = await cluster.get<JobDetails>(`/jobs/${waiting}`)
    expect(job.vertices.map(vertex => vertex.tasks['SCHEDULED'])).toEqual([1, 2])
    expect((await cluster.run(['list'])).stdout).toContain(` : ${waiting} : grouped (RUNNING)\n    ${message}\n`)
    await expect.poll(() => cluster.log('jobmanager-0'), { timeout: 10_000 }).toContain(`job grouped ${message}`)

    const joined = startProcess(cluster, 'taskmanager', { 'taskmanager.numberOfTaskSlots': '2' })
    await running(cluster, waiting)
    await goesOn(cluster, waiting)
    expect((await cluster.get<JobDetails>(`/jobs/${waiting}`))['millrace-message']).toBeUndefined()
    // `stop-cluster` knows only what `start-cluster` has started: this one is the test's to end.
    process.kill(joined.pid, 'SIGTERM')
    await joined.exited
  })

  test('a container that doubles beyond the heap of its slot fails its own job with the figures; the TaskManager and its neighbour go on', async () => {
    await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { 'taskmanager.memory.task.heap.size': '250m' } })
    const neighbour = await submit(cluster, await cluster.folder.write('ticks.ts', ticksJob))
    await running(cluster, neighbour)
    const pid = cluster.pidOf('run/taskmanager-0.json')
    // The table of a Map with 2^21 entries is 59 MB; the next one of 117 MB is made while it is still there, in one piece.
    const hoard = await cluster.folder.write(
      'hoard.js',
      `export default env => {
  const seen = new Map()
  env.fromSequence(1, 1e9).map(n => { for (let i = 0; i < 100; i++) seen.set(n * 100 + i, i); return n }).name('hoard').filter(n => n < 0).print()
}
`,
    )
    const hoarding = await cluster.run(['run', hoard])
    expect(hoarding.code).toBe(1)
    const message = /the slot exceeded its heap limit of 125 MB \((\d+) MB in use\); raise taskmanager\.memory\.task\.heap\.size or lower/
    expect(Number(message.exec(hoarding.stderr)?.[1])).toBeGreaterThan(125)
    expect((await exceptions(cluster, jobIdOf(hoarding)))[0]).toMatchObject({ exceptionName: 'FlinkError[OUT_OF_MEMORY]' })
    await goesOn(cluster, neighbour)
    await settled(cluster, 1, 1)
    expect(cluster.pidOf('run/taskmanager-0.json')).toBe(pid)
    // Over REST the same as in its file.
    expect(await (await fetch(`${cluster.address}/taskmanagers/taskmanager-0/log`)).text()).toMatch(/taskmanager started/)
  })

  test('seed-XB11: a job that gets no slots in time fails with what was missing', async () => {
    await using folder = await TestFolder.create()
    const path = await folder.write('ticks.ts', ticksJob)
    const options = ['-D', 'taskmanager.numberOfTaskSlots=1', '-D', 'slot.request.timeout=1500 ms', '-p', '3']
    const result = await runMillrace(['run', '-t', 'local', ...options, path], { MILLRACE_DIR: join(folder.path, 'cluster') })
    expect(result.code).toBe(1)
    expect(result.stderr).toContain(
      'Caused by: NoResourceAvailableException: could not acquire the slots of the job within slot.request.timeout (1.5 s): it needs 2 slots (group default: 2), 0 free, 1 in the cluster\n',
    )
    await gone(() => processesOf(folder.path))
  })
})

describe('build-2-orphans', () => {
  test('TaskManagers whose JobManager was killed cancel their jobs, register with the next one, and end when there is none', async () => {
    await using cluster = await startCluster({ taskManagers: 2, slots: 1, configuration: { 'taskmanager.registration.timeout': '6 s' } })
    const path = await cluster.folder.write('ticks.ts', ticksJob)
    await running(cluster, await submit(cluster, path, ['-p', '2']))
    process.kill(cluster.pidOf('run/jobmanager-0.json'), 'SIGKILL')

    const second = startProcess(cluster, 'jobmanager')
    await expect
      .poll(
        () =>
          fetch(`${cluster.address}/overview`)
            .then(answer => answer.ok)
            .catch(() => false),
        { timeout: 20_000 },
      )
      .toBe(true)
    await slotsFree(cluster, 2)
    const next = await submit(cluster, path, ['-p', '2'])
    await running(cluster, next)

    process.kill(second.pid, 'SIGKILL')
    await second.exited
    await gone(() => cluster.processes())
    expect(await cluster.log('taskmanager-0')).toMatch(
      /could not register at localhost:\d+ within taskmanager\.registration\.timeout \(6000 ms\): cannot connect to the jobmanager at localhost:\d+: ECONNREFUSED/,
    )
    expect(await cluster.run(['stop-cluster'])).toMatchObject({ code: 0, stdout: 'No cluster is running.\n' })
  })

  test.each(['SIGKILL', 'SIGINT'] as const)('run -t local that ends by %s leaves no process', async signal => {
    await using folder = await TestFolder.create()
    const path = await folder.write('ticks.ts', ticksJob)
    const child = spawn(millrace, ['run', '-t', 'local', '-p', '2', path], {
      env: { ...process.env, MILLRACE_DIR: join(folder.path, 'cluster') },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const exited = new Promise<number | null>(resolve => child.on('exit', code => resolve(code)))
    await new Promise<void>(resolve => child.stdout.on('data', (bytes: Buffer) => (bytes.includes('submitted') ? resolve() : undefined)))
    expect(processesOf(folder.path).length).toBe(1)
    child.kill(signal)
    expect(await exited).toBe(signal === 'SIGKILL' ? null : 130)
    await gone(() => processesOf(folder.path))
  })

  test('what a killed run -t local left in the folder for temporary files is removed by the next one', async () => {
    await using folder = await TestFolder.create()
    const temporary = join(folder.path, 'tmp')
    await mkdir(temporary)
    const environment = { MILLRACE_DIR: join(folder.path, 'cluster'), TMPDIR: temporary }
    const child = spawn(millrace, ['run', '-t', 'local', await folder.write('ticks.ts', ticksJob)], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    await new Promise<void>(resolve => child.stdout.on('data', (bytes: Buffer) => (bytes.includes('submitted') ? resolve() : undefined)))
    const left = (await readdir(temporary)).filter(name => name.startsWith('millrace-'))
    expect(left.length).toBe(1)
    child.kill('SIGKILL')
    await gone(() => processesOf(folder.path))
    const next = await runMillrace(
      ['run', '-t', 'local', await folder.write('few.js', 'export default env => { env.fromElements(1).print() }\n')],
      environment,
    )
    expect(next.code).toBe(0)
    expect((await readdir(temporary)).filter(name => name.startsWith('millrace-'))).toEqual([])
  })

  test('run -t local that is killed while its program is being planned leaves no planner', async () => {
    await using folder = await TestFolder.create()
    const path = await folder.write('endless.ts', 'export default () => { console.error("planning"); for (;;) {} }\n')
    const child = spawn(millrace, ['run', '-t', 'local', path], {
      env: { ...process.env, MILLRACE_DIR: join(folder.path, 'cluster') },
      stdio: 'ignore',
    })
    const exited = new Promise(resolve => child.on('exit', resolve))
    const planners = () => processesOf(folder.path).filter(({ command }) => command.includes('/planner.'))
    await expect.poll(() => planners().length, { timeout: 20_000, interval: 20 }).toBe(1)
    child.kill('SIGKILL')
    await exited
    await gone(() => processesOf(folder.path))
  })

  test('stop-cluster while jobs run, one of them in an endless loop, leaves no process', async () => {
    const cluster = await startCluster({ taskManagers: 2, slots: 2, configuration: { 'task.cancellation.interval': '500 ms' } })
    await using disposed = cluster
    await running(disposed, await submit(cluster, await cluster.folder.write('ticks.ts', ticksJob), ['-p', '2']))
    const endless = 'export default env => { env.fromSequence(1, 9).map(n => { while (n > 3) {} return n }).print() }\n'
    await running(disposed, await submit(cluster, await cluster.folder.write('endless.js', endless), ['-p', '2']))
    const stopped = await cluster.run(['stop-cluster'])
    expect(stopped).toMatchObject({ code: 0, stderr: '' })
    expect(stopped.stdout).toMatch(/^Stopped jobmanager .*\nStopped taskmanager .*\nStopped taskmanager .*\n$/)
    expect(cluster.processes()).toEqual([])
    // What was let go in order on one side first is no lost connection.
    for (const id of ['taskmanager-0', 'taskmanager-1']) expect(await cluster.log(id)).not.toContain('data connection')
  })
})
