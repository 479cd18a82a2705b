import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { FlinkSession } from '../../operator/api/flink-session.ts'
import { counted, counting, UpHome } from '../support/up.ts'

/** FlinkJobs that share a FlinkSession, with real processes: what each of them counts goes on whatever happens to the other one and to the session. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const until = (look: () => unknown, wanted: object) => expect.poll(look, { timeout: 60_000 }).toMatchObject(wanted)
const job = (name: string) => home.object<FlinkJob>('flinkjobs', name)?.status
const session = () => home.object<FlinkSession>('flinksessions', 'shared')?.status
const running = { lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } }

function write(name: string, spec: string, kind = 'FlinkJob'): void {
  mkdirSync(join(home.directory, 'deploy'), { recursive: true })
  const head = `apiVersion: millrace.dev/v1alpha1\nkind: ${kind}\nmetadata:\n  name: ${name}\nspec:\n`
  writeFileSync(join(home.directory, 'deploy', `${name}.yaml`), `${head}${spec}`)
}

const remove = (name: string) => rmSync(join(home.directory, 'deploy', `${name}.yaml`))

const onSession = (prefix: string) =>
  `  sessionName: shared\n  job:\n    upgradeMode: savepoint\n    script: |\n${counting(prefix).trim().replaceAll(/^/gm, '      ')}\n`

const sessionSpec = `  maxTaskManagers: 2
  idleTimeout: 1 s
  deletionTimeout: 1 s
  flinkConfiguration:
    slot.idle.timeout: 200 ms
    execution.checkpointing.interval: 300 ms
`

test('seed-XB50: jobs on a session: TaskManagers on demand, an upgrade, a lost JobManager, a deletion that has them rest, and a session that is there again', async () => {
  write('one', onSession('one'))
  const { prints, stdout, stderr, child, exit } = home.run(join(home.directory, 'deploy'))
  await until(
    () => job('one')?.conditions,
    [
      { type: 'Ready', status: 'False', message: 'FlinkSession shared does not exist in this namespace' },
      {},
      {},
      { type: 'Degraded', status: 'True', reason: 'SessionNotFound' },
    ],
  )
  expect(home.clusterProcesses()).toEqual([])

  write('shared', sessionSpec, 'FlinkSession')
  await prints(/one 5 6\n/)
  expect(session()).toMatchObject({ lifecycleState: 'STABLE', taskManager: { replicas: 1 }, jobs: ['default/one'] })
  write('two', onSession('two'))
  await prints(/two 5 6\n/)
  expect(session()).toMatchObject({ taskManager: { replicas: 2 }, jobs: ['default/one', 'default/two'] })
  expect(home.clusterProcesses()).toHaveLength(3)
  const { jobId } = job('one')?.jobStatus ?? {}

  write('one', onSession('edited'))
  await prints(/edited \d+ \d+\n/)
  await until(() => job('one'), { ...running, observedGeneration: 2, jobStatus: { state: 'RUNNING', jobId } })
  expect(counted(stdout(), 'one|edited').map(([n, count]) => count - n)).toEqual(counted(stdout(), 'one|edited').map(() => 1))

  remove('two')
  await until(session, { taskManager: { replicas: 1 }, jobs: ['default/one'] })
  await until(() => home.clusterProcesses(), { length: 2 })
  expect(job('two')).toMatchObject({ lifecycleState: 'DELETED' })

  const [jobManager = ''] = home.clusterProcesses().filter(line => line.includes(' jobmanager '))
  const seen = counted(stdout(), 'edited').length
  process.kill(Number(jobManager.split(' ')[0]), 'SIGKILL')
  await until(session, { lost: { count: 1 }, lifecycleState: 'STABLE' })
  await until(() => job('one'), { ...running, restore: { kind: 'checkpoint' } })
  await expect.poll(() => counted(stdout(), 'edited').length, { timeout: 60_000 }).toBeGreaterThan(seen + 10)
  await until(() => job('one'), { recovery: { step: 'DONE', count: 1 } })

  remove('shared')
  await until(() => job('one'), { lifecycleState: 'SUSPENDED', restore: { kind: 'savepoint', reason: 'FlinkSession shared is being deleted' } })
  await expect.poll(() => home.object('flinksessions', 'shared'), { timeout: 60_000 }).toBeUndefined()
  expect(home.clusterProcesses()).toEqual([])
  await until(() => job('one')?.conditions[0], {
    type: 'Ready',
    status: 'False',
    message: expect.stringContaining('FlinkSession shared does not exist'),
  })

  const rested = counted(stdout(), 'edited').length
  write('shared', sessionSpec, 'FlinkSession')
  await until(() => job('one'), running)
  await expect.poll(() => counted(stdout(), 'edited').length, { timeout: 60_000 }).toBeGreaterThan(rested + 3)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])

  // What was printed behind the newest checkpoint of the lost JobManager is printed again, with the same count.
  const all = counted(stdout(), 'one|edited')
  for (const [n, count] of all) expect(count).toBe(n + 1)
  expect(new Set(all.map(([n]) => n)).size).toBe(1 + Math.max(...all.map(([n]) => n)))
})

test('an edit of the session that restarts its processes: a job without checkpoints goes on from a savepoint, each number once', async () => {
  const spec = (option: string) => `  maxTaskManagers: 1\n  flinkConfiguration:\n    web.refresh-interval: ${option}\n`
  write('shared', spec('3 s'), 'FlinkSession')
  write('one', onSession('one'))
  const { prints, stdout, stderr, child, exit } = home.run(join(home.directory, 'deploy'))
  await prints(/one 5 6\n/)
  const before = counted(stdout(), 'one').length
  write('shared', spec('4 s'), 'FlinkSession')
  await until(session, { observedGeneration: 2, lifecycleState: 'STABLE' })
  await until(() => job('one'), { ...running, restore: { kind: 'savepoint' } })
  await expect.poll(() => counted(stdout(), 'one').length, { timeout: 60_000 }).toBeGreaterThan(before + 10)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  const all = counted(stdout(), 'one')
  expect(all).toEqual(all.map((_, n) => [n, n + 1]))
})
