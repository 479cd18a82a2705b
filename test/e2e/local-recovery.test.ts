import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, startCluster } from '../support/cluster.ts'
import { ended, running, submit, taskManagersOf } from '../support/jobs.ts'
import { runningSumsJob } from '../support/running-sums.ts'

const sumsJob = runningSumsJob({ count: 3_000, rowsPerSecond: 600 })

/** Copies in the folder of a TaskManager; those of one that was killed go when the next one begins. */
function copiesOf(cluster: Cluster, taskManagerId: string): readonly string[] {
  const root = join(cluster.folder.path, 'cluster/local-state')
  const pid = cluster.pidOf(`run/${taskManagerId}.json`)
  const own = readdirSync(root).find(name => (JSON.parse(readFileSync(join(root, name, 'owner.json'), 'utf8')) as { pid: number }).pid === pid)
  expect(own, 'the TaskManager has a folder').toBeDefined()
  return readdirSync(join(root, own ?? ''), { recursive: true, encoding: 'utf8' }).filter(name => name !== 'owner.json')
}

test('of two TaskManagers one is killed: the tasks of the other one come back from copies on its disk, and none is left behind', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2, configuration: { 'taskmanager.load-balance.mode': 'SLOTS' } })
  const checkpoints = join(cluster.folder.path, 'checkpoints')
  const path = await cluster.folder.write('sums.ts', sumsJob)
  const option = (key: string, value: string) => ['-D', `${key}=${value}`]
  const job = await submit(cluster, path, [
    ...['-p', '2'],
    ...option('execution.checkpointing.dir', `file://${checkpoints}`),
    ...option('execution.checkpointing.interval', '100 ms'),
    ...option('execution.checkpointing.data-inline-threshold', '0'),
    ...option('execution.checkpointing.local-backup.enabled', 'true'),
    ...option('execution.state-recovery.from-local', 'true'),
    ...option('restart-strategy.type', 'fixed-delay'),
    ...option('restart-strategy.fixed-delay.attempts', '3'),
    ...option('restart-strategy.fixed-delay.delay', '100 ms'),
  ])
  await running(cluster, job)
  const [lost = '', stays = ''] = await taskManagersOf(cluster, job)
  await cluster.until(`/jobs/${job}/checkpoints`, (answer: { readonly counts: { readonly completed: number } }) =>
    answer.counts.completed >= 3 ? true : undefined,
  )
  expect(copiesOf(cluster, stays).length).toBeGreaterThan(0)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await ended(cluster, job, 'FINISHED')
  const read = (await cluster.log(stays)).split('\n').filter(line => line.includes('the state of a task was read'))
  // What ran there before reads its copies alone; what came from the other one has none here.
  expect(read.filter(line => /localCopies=[1-9]\d* storeObjects=0/.test(line)).length).toBeGreaterThan(0)
  expect(read.filter(line => /localCopies=0 storeObjects=[1-9]/.test(line)).length).toBeGreaterThan(0)
  const last = new Map((await cluster.printed()).map(line => line.replace(/^\d+> /, '').split(' ').map(Number) as [number, number]).sort((a, b) => a[1] - b[1])) // biome-ignore format: one chain
  const expected = [0, 1, 2, 3, 4].map(key => [
    key,
    Array.from({ length: 3000 }, (_, i) => i + 1).reduce((sum, n) => (n % 5 === key ? sum + n : sum), 0),
  ])
  expect([...last].sort((a, b) => a[0] - b[0])).toEqual(expected)
  // They go with the slots, behind the end of the job.
  await cluster.until('/overview', () => (copiesOf(cluster, stays).length === 0 ? true : undefined))
})
