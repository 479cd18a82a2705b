import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { type Cluster, startCluster, TestFolder } from '../support/cluster.ts'
import { ended, exceptions, type JobDetails, type OverviewJson, submit, taskManagersOf } from '../support/jobs.ts'
import { SmallDisk } from '../support/small-disk.ts'

/** Batch jobs in stages with real processes and real disks; what a lost machine does to them is held by test/sim/blocking.test.ts as well. */
const count = 200_000
const groups = 1_000
const budget = 1_000_000

/** Three vertices in three sharing groups; the second waits, when it is deployed, until `mark` is there. */
const program = (mark: string) => `import { existsSync } from 'node:fs'
import type { StreamExecutionEnvironment } from 'millrace'
const waiting = {
  async open() {
    while (!existsSync(${JSON.stringify(mark)})) await new Promise(resolve => setTimeout(resolve, 20))
  },
  map(row) { return [row[0], row[1].length] },
}
export default (env: StreamExecutionEnvironment) => {
  env.fromSequence(0, ${count - 1}).map(n => [n % ${groups}, 'x'.repeat(100 + n % 7)]).name('written').slotSharingGroup('red')
    .rebalance().map(waiting).name('waiting').setParallelism(1).slotSharingGroup('blue')
    .keyBy(row => row[0]).reduce((a, b) => [a[0], a[1] + b[1]]).name('sums').slotSharingGroup('green').print()
}
`

function expectedSums(): string[] {
  const sums = new Map<number, number>()
  for (let n = 0; n < count; n++) sums.set(n % groups, (sums.get(n % groups) ?? 0) + 100 + (n % 7))
  return [...sums].map(([key, sum]) => `(${key},${sum})`).sort()
}

const printed = async (cluster: Cluster) => (await cluster.printed()).map(line => line.replace(/^\d+> /, '')).sort()

const batch = ['-p', '2', '-D', 'execution.runtime-mode=BATCH']

/** Files of blocking results, of all TaskManagers there have been. */
function resultFiles(folder: TestFolder): { path: string; size: number }[] {
  return readdirSync(join(folder.path, 'tmp'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name !== 'owner.json')
    .map(entry => join(entry.parentPath, entry.name))
    .map(path => ({ path, size: statSync(path).size }))
}

const start = (folder: TestFolder) =>
  startCluster({
    taskManagers: 2,
    slots: 1,
    configuration: {
      'io.tmp.dirs': join(folder.path, 'tmp'),
      'taskmanager.memory.framework.off-heap.batch-shuffle.size': `${budget}b`,
      // What waits for its mark does not hear that it is cancelled.
      'task.cancellation.interval': '200 ms',
    },
  })

function verticesAre(cluster: Cluster, job: string, wanted: Readonly<Record<string, string>>): Promise<true> {
  return cluster.until(`/jobs/${job}`, ({ vertices }: JobDetails) => {
    const isThere = ([name, status]: readonly [string, string]) => vertices.some(vertex => vertex.name.includes(name) && vertex.status === status)
    return Object.entries(wanted).every(isThere) ? true : undefined
  })
}

/** Of each result that the TaskManagers' logs tell of. */
async function storedResults(cluster: Cluster): Promise<{ memoryBytes: number; diskBytes: number }[]> {
  const logs = await Promise.all(['taskmanager-0', 'taskmanager-1'].map(id => cluster.log(id)))
  return logs.flatMap(log =>
    [...log.matchAll(/blocking result stored .* memoryBytes=(\d+) diskBytes=(\d+)/g)].map(([, memory, disk]) => ({
      memoryBytes: Number(memory),
      diskBytes: Number(disk),
    })),
  )
}

async function until(isSo: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(isSo()).toBe(true), { timeout: 10_000, interval: 20 })
}

test('a batch job runs stage by stage in fewer slots than it has vertices, its results in memory and on the disk, of which nothing is left', async () => {
  await using folder = await TestFolder.create()
  await using cluster = await start(folder)
  const mark = join(folder.path, 'mark')
  const job = await submit(cluster, await folder.write('job.ts', program(mark)), batch)
  await verticesAre(cluster, job, { written: 'FINISHED', waiting: 'INITIALIZING', sums: 'CREATED' })

  // Four vertices of parallelism 2, 2, 1 and 2, in three sharing groups.
  expect(await cluster.get<OverviewJson>('/overview')).toMatchObject({ 'slots-total': 2 })
  const files = resultFiles(folder)
  expect(files.length).toBe(2)
  for (const { size } of files) expect(size).toBeGreaterThan(10 * budget)
  const stored = await storedResults(cluster)
  for (const { memoryBytes } of stored) expect(memoryBytes).toBeLessThanOrEqual(budget)
  const onDisk = stored.filter(({ diskBytes }) => diskBytes > 0)
  expect(onDisk.map(({ diskBytes }) => diskBytes).sort()).toEqual(files.map(({ size }) => size).sort())
  expect(stored.length - onDisk.length, 'results that found room in memory').toBe(2)
  for (const { memoryBytes } of onDisk) expect(memoryBytes, 'the first part of one that did not').toBeGreaterThan(0)

  writeFileSync(mark, '')
  await ended(cluster, job, 'FINISHED')
  expect(await printed(cluster)).toEqual(expectedSums())
  await until(() => resultFiles(folder).length === 0)
  expect(readdirSync(join(folder.path, 'tmp')).length, 'one folder a TaskManager').toBe(2)
  expect((await cluster.run(['stop-cluster'])).code).toBe(0)
  await until(() => readdirSync(join(folder.path, 'tmp')).length === 0)
})

test('kill -9 of a TaskManager that only holds results: the job runs anew to the same end, and the next TaskManager removes the files', async () => {
  await using folder = await TestFolder.create()
  await using cluster = await start(folder)
  const mark = join(folder.path, 'mark')
  const restarting = ['-D', 'restart-strategy.type=fixed-delay', '-D', 'restart-strategy.fixed-delay.delay=200 ms']
  const job = await submit(cluster, await folder.write('job.ts', program(mark)), [...batch, ...restarting])
  await verticesAre(cluster, job, { written: 'FINISHED', waiting: 'INITIALIZING' })
  const [reading] = await taskManagersOf(cluster, job, 'waiting')
  const lost = ['taskmanager-0', 'taskmanager-1'].find(id => id !== reading) ?? ''
  expect(resultFiles(folder).length).toBe(2)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await cluster.until(`/jobs/${job}/metrics?get=numRestarts`, (answer: readonly { readonly value: string }[]) =>
    answer[0]?.value === '1' ? true : undefined,
  )
  writeFileSync(mark, '')
  cluster.startTaskManager('taskmanager-2', 1)
  await ended(cluster, job, 'FINISHED')
  expect(await printed(cluster)).toEqual(expectedSums())
  expect(await exceptions(cluster, job)).toMatchObject([{ exceptionName: 'FlinkError[TASKMANAGER_LOST]', taskManagerId: lost }])
  await until(() => resultFiles(folder).length === 0)
  expect(readdirSync(join(folder.path, 'tmp')).length, 'folders of the two that live').toBe(2)
})

test('a result that finds no room on the disk fails the task that makes it, and names the file', async () => {
  await using folder = await TestFolder.create()
  using _disk = SmallDisk.mount(join(folder.path, 'tmp'))
  await using cluster = await start(folder)
  const job = await submit(cluster, await folder.write('job.ts', program(join(folder.path, 'mark'))), batch)
  await ended(cluster, job, 'FAILED')
  const [failure] = await exceptions(cluster, job)
  expect(failure?.taskName).toContain('written')
  expect(failure?.stacktrace).toContain(`a blocking result could not be written to ${join(folder.path, 'tmp', 'millrace-results-')}`)
  expect(failure?.stacktrace).toContain('ENOSPC: no space left on device, write')
  await until(() => resultFiles(folder).length === 0)
})

test('a batch job takes no checkpoints, says so, and shows its files when it ends', async () => {
  await using folder = await TestFolder.create()
  await using cluster = await startCluster({ taskManagers: 1, slots: 1 })
  const out = join(folder.path, 'out')
  const path = await folder.write(
    'job.ts',
    `import { FileSink, SimpleStringEncoder, type StreamExecutionEnvironment } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSequence(1, 1000).keyBy(n => n % 10).map(n => n).sinkTo(FileSink.forRowFormat(${JSON.stringify(out)}, new SimpleStringEncoder()).build())
}
`,
  )
  const result = await cluster.run(['run', '-D', 'execution.runtime-mode=BATCH', '-D', 'execution.checkpointing.interval=1 s', path])
  expect(result.stdout).toMatch(/has finished/)
  const rows = readdirSync(out, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .flatMap(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8').trimEnd().split('\n'))
  expect(rows.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1))
  expect(await cluster.log('jobmanager-0')).toContain('Disabled Checkpointing. Checkpointing is not supported and not needed')
})
