import { readdirSync, readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { PAGE_SIZE, ROWS_PER_FRAME_MAX } from '../../runtime/network/frame.ts'
import type { JobResultJson } from '../../runtime/rest/types.ts'
import { defaultMaxParallelism, keyGroupOf, subtaskOfKeyGroup } from '../../runtime/serde/key-groups.ts'
import { Types } from '../../runtime/serde/types.ts'
import { type Cluster, processesOf, startCluster } from '../support/cluster.ts'
import { sessionProgram } from '../support/session.ts'

/** Many rows over two TaskManager processes: nothing lost or doubled, bounded memory, nothing left behind. */
const program = new URL('./volume-job.ts', import.meta.url).pathname
const soak = process.env['SOAK'] !== undefined
const total = soak ? 10_000_000 : 1_000_000

test('a million records (ten with SOAK) through HASH, REBALANCE and BROADCAST over two processes: none lost, none doubled', {
  timeout: 600_000,
}, async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const session = await sessionProgram(cluster, program)
  const parallelism = 4
  const result = await session.run('default', ['--count', String(total), '--folder', cluster.folder.path], parallelism)
  expect(result['application-status']).toBe('SUCCEEDED')
  report(`three edges at parallelism ${parallelism}`, total * (2 + parallelism), result)

  const [hash, rebalance, broadcast] = await Promise.all(['hash', 'rebalance', 'broadcast'].map(edge => received(cluster, edge, parallelism)))
  if (hash === undefined || rebalance === undefined || broadcast === undefined) throw new Error('three edges')
  for (const { doubled } of [...hash, ...rebalance, ...broadcast]) expect(doubled).toBe(0)
  // Each number at exactly one receiver.
  for (const receivers of [hash, rebalance]) {
    expect(receivers.reduce((sum, { received }) => sum + received, 0)).toBe(total)
    expect(missing(union(receivers.map(({ bits }) => bits)))).toEqual([])
  }
  // Each number at every receiver.
  for (const { received, bits } of broadcast) {
    expect(received).toBe(total)
    expect(missing(bits)).toEqual([])
  }
  // In turn: each of the four sources gives each receiver its fourth, give or take one.
  for (const { received } of rebalance) expect(Math.abs(received - total / parallelism)).toBeLessThanOrEqual(parallelism)
  // At the receiver that owns the key's group.
  const maxParallelism = defaultMaxParallelism(parallelism)
  for (let value = 0; value < total; value += 997) {
    const owner = subtaskOfKeyGroup(keyGroupOf(Types.SAFE_LONG, value, maxParallelism), maxParallelism, parallelism)
    expect(has(hash[owner]?.bits, value), `${value} at subtask ${owner}`).toBe(true)
  }

  // What REST counts is what the receivers counted, per subtask, over both processes.
  const job = await cluster.get<JobAnswer>(`/jobs/${result.id}`)
  for (const [edge, receivers] of Object.entries({ hash, rebalance, broadcast })) {
    const vertex = job.vertices.find(({ name }) => name.includes(edge))
    if (vertex === undefined) throw new Error(`no vertex ${edge} in ${job.vertices.map(({ name }) => name).join(', ')}`)
    const { subtasks } = await cluster.get<VertexAnswer>(`/jobs/${result.id}/vertices/${vertex.id}`)
    expect(subtasks.map(({ metrics }) => metrics['read-records'])).toEqual(receivers.map(({ received }) => received))
    expect(new Set(subtasks.map(subtask => subtask['taskmanager-id'])).size).toBe(2)
    expect(vertex.metrics['accumulated-busy-time']).toBeGreaterThan(0)
    const generated = `Sink__${edge}.rowsGenerated`
    const sums = await cluster.get(`/jobs/${result.id}/vertices/${vertex.id}/subtasks/metrics?get=${generated}&agg=sum`)
    expect(sums).toEqual([{ id: generated, sum: receivers.reduce((sum, { received }) => sum + received, 0) }])
  }
  const source = job.vertices.find(({ name }) => name.startsWith('Source'))
  // A broadcast row is one record out. Every byte that left a task came to another.
  expect(source?.metrics).toMatchObject({ 'read-records': 0, 'write-records': total * 3, 'read-bytes': 0 })
  expect(source?.metrics['write-bytes']).toBe(job.vertices.reduce((sum, { metrics }) => sum + metrics['read-bytes'], 0))
  report(
    `HASH alone at parallelism ${parallelism}`,
    total,
    await session.run('default', ['--count', String(total), '--folder', cluster.folder.path, '--edge', 'hash'], parallelism),
  )
  await allPagesBack(cluster)
  // A job's normal end is nothing to warn of.
  for (const id of await taskManagers(cluster)) expect(await cluster.log(id)).not.toMatch(/ (WARN|ERROR) /)
})

test('with the sink slowed tenfold pages, memory and the lead of the source stay bounded', { timeout: 600_000 }, async () => {
  // 32 pages: the rings of the job, and little beside them.
  await using cluster = await startCluster({
    taskManagers: 2,
    slots: 1,
    configuration: { 'taskmanager.memory.network.min': '1mb', 'taskmanager.memory.network.max': '1mb' },
  })
  const session = await sessionProgram(cluster, program)
  const [parallelism, size, count] = [2, 200, soak ? 2_000_000 : 60_000]
  const run = async (rows: number, delayUs: number) => {
    const progress = await cluster.folder.write('progress', '\0'.repeat(8 * 2 * parallelism))
    const args = ['--count', String(rows), '--size', String(size), '--delay-us', String(delayUs), '--folder', cluster.folder.path]
    const samples = await sample(cluster, progress, parallelism, rows, session.run('slow', args, parallelism))
    const sinks = await Promise.all(
      [0, 1].map(async subtask => JSON.parse(await readFile(join(cluster.folder.path, `sink-${subtask}.json`), 'utf8')) as SlowSink),
    )
    expect(sinks.reduce((sum, { received }) => sum + received, 0)).toBe(rows)
    return { samples, sinks }
  }
  const fast = await run(20_000, 0)
  // CPU time: how busy the machine is must not count.
  const usPerRow = Math.max(...fast.sinks.map(({ cpuUs, received }) => cpuUs / received))
  const { samples, sinks } = await run(count, 9 * usPerRow)

  // Frames on the way, the most rows each may hold. A ring's pages hold as many rows as fit; all else may be whole frames: of each channel the
  // builder and two in the spill, then inside the slot the channel's two, between TaskManagers the one half written; one in the sink's hands.
  const rowsPerPage = Math.ceil(PAGE_SIZE / size)
  const inSlot = (1 + 2 + 2) * ROWS_PER_FRAME_MAX
  const remote = (1 + 2 + 1) * ROWS_PER_FRAME_MAX + 2 * buffersPerChannel * rowsPerPage
  // And the row that the source is just emitting.
  const capacity = parallelism * (inSlot + remote * (parallelism - 1) + ROWS_PER_FRAME_MAX + 1)
  const ahead = Math.max(...sinks.map(({ aheadMax }) => aheadMax))
  expect(ahead).toBeLessThanOrEqual(capacity)
  // More was under way than one page: the source was faster, and what held it back was the channels.
  expect(ahead).toBeGreaterThan(rowsPerPage)

  for (const { used, all } of samples.flatMap(({ pages }) => pages)) expect(used).toBeLessThanOrEqual(all)
  for (const id of await taskManagers(cluster)) {
    const { peak, all } = await pagesOf(cluster, id)
    expect(all).toBe(32)
    expect(peak).toBeLessThanOrEqual(all)
    // Two channels to and two from the other process.
    expect(peak).toBeGreaterThanOrEqual(2 * buffersPerChannel)
  }

  const memory = [0, 1].map(process => {
    const half = (from: number, to: number) => median(samples.filter(({ done }) => done > from && done <= to).map(({ rss }) => rss[process] ?? 0))
    return { first: half(0, 0.5), second: half(0.5, 1) }
  })
  for (const { first, second } of memory) expect(second).toBeLessThanOrEqual(first * 1.1)
  console.log(
    `slow sink: ${(9 * usPerRow).toFixed(1)} us a row; ahead ${ahead} of ${capacity} rows; ${samples.length} samples; resident ${memory.map(({ first, second }) => `${mib(first)} -> ${mib(second)} MiB`).join(', ')}`,
  )
  await allPagesBack(cluster)
})

test('jobs that finish, fail or are cancelled leave no pages, threads, files or memory in the TaskManagers', { timeout: 600_000 }, async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const session = await sessionProgram(cluster, program)

  const failed = await session.run('failing', [], 4)
  expect(failed['application-status']).toBe('FAILED')
  expect(JSON.stringify(failed['failure-cause'])).toContain('row 100000 is refused')
  await allPagesBack(cluster)

  const cancelled = await session.submit('endless', [], 4)
  await cluster.until(`/jobs/${cancelled}`, (job: JobAnswer) =>
    job.vertices.every(({ metrics }) => metrics['read-records'] + metrics['write-records'] > 100_000) ? true : undefined,
  )
  // A TaskManager reports once a second: the job may run before the next report shows its pages.
  for (const id of await taskManagers(cluster)) {
    await cluster.until(`/taskmanagers/${id}/metrics?get=Status.Shuffle.Netty.UsedMemorySegments`, (metrics: { value: string }[]) =>
      Number(metrics[0]?.value ?? 0) > 0 ? true : undefined,
    )
  }
  await session.rest.cancelJob(cancelled)
  expect((await session.result(cancelled))['application-status']).toBe('CANCELED')
  await allPagesBack(cluster)

  const before = footprints(cluster)
  expect(before.length).toBe(2)
  // Cancelled on the way up, each a few looks later than the one before: as scheduled, while its threads start, while it opens, as it runs.
  for (let looks = 0; looks <= 12; looks += 2) {
    const early = await session.submit('endless', [], 4)
    let left = looks
    await cluster.until(`/jobs/${early}`, () => (left-- <= 0 ? true : undefined))
    await session.rest.cancelJob(early)
    expect((await session.result(early))['application-status']).toBe('CANCELED')
  }
  const rounds = soak ? 100 : 15
  for (let round = 0; round < rounds; round++) {
    const jobs = await Promise.all([0, 1].map(() => session.run('short', [], 2)))
    for (const job of jobs) expect(job['application-status']).toBe('SUCCEEDED')
  }
  await allPagesBack(cluster)
  const after = footprints(cluster)
  console.log(`${2 * rounds} short jobs: ${before.map((one, i) => `${show(one)} -> ${show(after[i])}`).join('; ')}`)
  for (const [i, one] of before.entries()) {
    expect(after[i]?.threads).toBeLessThanOrEqual(one.threads)
    expect(after[i]?.files).toBeLessThanOrEqual(one.files)
    expect(after[i]?.rss).toBeLessThanOrEqual(one.rss * 1.25)
  }
})

/** `taskmanager.network.memory.buffers-per-channel` by default. */
const buffersPerChannel = 2

interface JobAnswer {
  readonly vertices: readonly { readonly id: string; readonly name: string; readonly metrics: IoAnswer }[]
}

interface VertexAnswer {
  readonly subtasks: readonly { readonly metrics: IoAnswer; readonly 'taskmanager-id': string }[]
}

interface IoAnswer {
  readonly 'read-records': number
  readonly 'write-records': number
  readonly 'read-bytes': number
  readonly 'write-bytes': number
  readonly 'accumulated-busy-time': number
}

interface SlowSink {
  readonly received: number
  readonly aheadMax: number
  readonly cpuUs: number
}

interface Received {
  readonly received: number
  readonly doubled: number
  readonly bits: Uint8Array
}

async function received(cluster: Cluster, edge: string, parallelism: number): Promise<Received[]> {
  const folder = cluster.folder.path
  const files = (await readdir(folder)).filter(name => name.startsWith(`${edge}-`) && name.endsWith('.json'))
  expect(files.length).toBe(parallelism)
  return Promise.all(
    Array.from({ length: parallelism }, async (_, subtask) => ({
      ...(JSON.parse(await readFile(join(folder, `${edge}-${subtask}.json`), 'utf8')) as { received: number; doubled: number }),
      bits: await readFile(join(folder, `${edge}-${subtask}.bits`)),
    })),
  )
}

function union(maps: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(maps[0]?.length ?? 0)
  for (const bits of maps) for (let i = 0; i < all.length; i++) all[i] = (all[i] ?? 0) | (bits[i] ?? 0)
  return all
}

/** The first numbers that are not there. */
function missing(bits: Uint8Array): number[] {
  const gone: number[] = []
  for (let value = 0; value < total && gone.length < 10; value++) if (!has(bits, value)) gone.push(value)
  return gone
}

function has(bits: Uint8Array | undefined, value: number): boolean {
  return bits !== undefined && ((bits[value >>> 3] ?? 0) & (1 << (value & 7))) !== 0
}

interface Sample {
  /** Share of the rows that the sinks have taken. */
  readonly done: number
  readonly rss: readonly number[]
  readonly pages: readonly { readonly used: number; readonly all: number }[]
}

/** Looks at the TaskManagers until the job ends. */
async function sample(
  cluster: Cluster,
  progress: string,
  parallelism: number,
  rows: number,
  job: Promise<{ readonly 'application-status': string }>,
): Promise<Sample[]> {
  const samples: Sample[] = []
  const ended = new AbortController()
  const end = job.finally(() => ended.abort())
  const processes = taskManagerProcesses(cluster)
  expect(processes.length).toBe(2)
  const ids = await taskManagers(cluster)
  for await (const _ of setInterval(50)) {
    if (ended.signal.aborted) break
    const bytes = await readFile(progress)
    const counts = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
    const done = counts.slice(parallelism).reduce((sum, count) => sum + count, 0) / rows
    samples.push({ done, rss: processes.map(residentBytes), pages: await Promise.all(ids.map(id => pagesOf(cluster, id))) })
  }
  expect((await end)['application-status']).toBe('SUCCEEDED')
  return samples
}

async function taskManagers(cluster: Cluster): Promise<string[]> {
  const { taskmanagers } = await cluster.get<{ taskmanagers: { id: string }[] }>('/taskmanagers')
  return taskmanagers.map(({ id }) => id)
}

async function pagesOf(cluster: Cluster, id: string): Promise<{ used: number; peak: number; all: number; cpuTime: number }> {
  const names = [
    'Status.Shuffle.Netty.UsedMemorySegments',
    'Status.Shuffle.Netty.PeakMemorySegments',
    'Status.Shuffle.Netty.TotalMemorySegments',
    'Status.JVM.CPU.Time',
  ]
  const metrics = await cluster.get<{ id: string; value: string }[]>(`/taskmanagers/${id}/metrics?get=${names.join(',')}`)
  const [used = 0, peak = 0, all = 0, cpuTime = 0] = names.map(name => Number(metrics.find(metric => metric.id === name)?.value ?? 0))
  return { used, peak, all, cpuTime }
}

/** Waits for a report made after this call (its CPU time has grown) that shows every page in the pool. */
async function allPagesBack(cluster: Cluster): Promise<void> {
  for (const id of await taskManagers(cluster)) {
    const { cpuTime } = await pagesOf(cluster, id)
    await cluster.until(
      `/taskmanagers/${id}/metrics?get=Status.Shuffle.Netty.UsedMemorySegments,Status.JVM.CPU.Time`,
      (metrics: { id: string; value: string }[]) => {
        const value = (name: string) => Number(metrics.find(metric => metric.id === name)?.value ?? Number.NaN)
        return value('Status.JVM.CPU.Time') > cpuTime && value('Status.Shuffle.Netty.UsedMemorySegments') === 0 ? true : undefined
      },
    )
    const { metrics, freeSlots, slotsNumber } = await cluster.get<{ metrics: Record<string, number>; freeSlots: number; slotsNumber: number }>(
      `/taskmanagers/${id}`,
    )
    expect(metrics['nettyShuffleMemorySegmentsAvailable']).toBe(metrics['nettyShuffleMemorySegmentsTotal'])
    expect(freeSlots).toBe(slotsNumber)
  }
}

interface Footprint {
  readonly threads: number
  readonly files: number
  readonly rss: number
}

function footprints(cluster: Cluster): Footprint[] {
  return taskManagerProcesses(cluster).map(pid => ({
    threads: readdirSync(`/proc/${pid}/task`).length,
    files: readdirSync(`/proc/${pid}/fd`).length,
    rss: residentBytes(pid),
  }))
}

function taskManagerProcesses(cluster: Cluster): number[] {
  return processesOf(cluster.folder.path)
    .filter(({ command }) => command.includes(' taskmanager '))
    .map(({ pid }) => pid)
    .sort((a, b) => a - b)
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0)
}

function show(one: Footprint | undefined): string {
  return one === undefined ? '?' : `${one.threads} threads, ${one.files} files, ${mib(one.rss)} MiB`
}

/** Said, not asserted: the machine is not always quiet. */
function report(what: string, records: number, job: JobResultJson): void {
  const elapsedMs = job['net-runtime']
  console.log(
    `${what}: ${records.toLocaleString('en')} records received in ${elapsedMs} ms, ${Math.round((records / elapsedMs) * 1_000).toLocaleString('en')} records/s`,
  )
}
