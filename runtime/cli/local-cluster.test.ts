import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import type { RestClient } from '../rest/types.ts'
import { createLocalCluster, runningRecords } from './local-cluster.ts'

/** Stands for bin/millrace: describes itself as the real one does, and lives until it is told to end. */
const FAKE = `
import { renameSync, writeFileSync } from 'node:fs'
const [kind, , record, ...properties] = process.argv.slice(2)
const id = record.match(/([^/]+)\\.json$/)[1]
if (properties.includes('break=' + id)) { console.error('broken on purpose'); process.exit(3) }
process.on('SIGTERM', () => process.exit(0))
setInterval(() => {}, 1000)
console.error('started with ' + properties.join(' '))
writeFileSync(record + '.part', JSON.stringify({ kind, id, pid: process.pid, webAddress: 'http://localhost:1', rpcHost: 'rpc-host', rpcPort: 7 }))
renameSync(record + '.part', record)
`

function world(interrupted = new AbortController().signal) {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-cluster-'))
  const program = join(directory, 'fake.mjs')
  writeFileSync(program, FAKE)
  const cluster = createLocalCluster({
    directory,
    logDirectory: () => join(directory, 'log'),
    launcher: [process.execPath, program],
    startTimeoutMs: 10_000,
    clock: systemClock,
    interrupted,
    // Registered is who is running.
    rest: () => ({ overview: async () => ({ taskmanagers: runningRecords(directory).length - 1 }) }) as unknown as RestClient,
  })
  const start = (clientEntries: Record<string, string> = {}) =>
    cluster.start({ taskManagers: 2, slots: 1, clientEntries, configuration: Configuration.empty })
  return { directory, cluster, start }
}

const alive = (pid: number) => existsSync(`/proc/${pid}`)

test('starts a JobManager, then TaskManagers that know where it is, waits for all, and stops all', async () => {
  const { directory, cluster, start } = world()
  const { webAddress, started } = await start({ 'rest.port': '0' })
  expect(webAddress).toBe('http://localhost:1')
  expect(started.map(one => one.id)).toEqual(['jobmanager-0', 'taskmanager-0', 'taskmanager-1'])
  const log = readFileSync(join(directory, 'log', 'taskmanager-1.log'), 'utf8')
  expect(log).toContain('-D rest.port=0 -D jobmanager.rpc.address=rpc-host -D jobmanager.rpc.port=7 -D taskmanager.resource-id=taskmanager-1')

  await expect(start()).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('running already: jobmanager-0') })
  expect((await cluster.stop()).map(one => one.id)).toEqual(['jobmanager-0', 'taskmanager-0', 'taskmanager-1'])
  // Stopped is who has let its memory go; the system takes a moment more until the pid is gone.
  await expect.poll(() => started.filter(one => alive(one.pid))).toEqual([])
  expect(runningRecords(directory)).toEqual([])
  expect(await cluster.stop()).toEqual([])
})

test('a process that dies at the start: the end of its log, and nothing is left running', async () => {
  const { directory, start } = world()
  await expect(start({ break: 'taskmanager-1' })).rejects.toMatchObject({
    message: expect.stringMatching(/taskmanager-1 ended while the cluster was starting[\s\S]*broken on purpose/),
  })
  expect(runningRecords(directory)).toEqual([])
  // Logs are appended to: what earlier clusters wrote says nothing about this one.
  await expect(start({ break: 'taskmanager-1' })).rejects.toMatchObject({
    message: expect.not.stringMatching(/broken on purpose[\s\S]*broken on purpose/),
  })
})

test('Ctrl-C while it starts ends what was started', async () => {
  const { directory, start } = world(AbortSignal.abort(new Error('SIGINT')))
  await expect(start()).rejects.toThrow('SIGINT')
  expect(runningRecords(directory)).toEqual([])
})

test('a pid that belongs to somebody else by now is not taken for ours', async () => {
  const { directory, cluster, start } = world()
  await start()
  await cluster.stop()
  const path = join(directory, 'run', 'jobmanager-0.json')
  writeFileSync(path, JSON.stringify({ kind: 'jobmanager', id: 'jobmanager-0', pid: process.pid }))
  expect(runningRecords(directory)).toEqual([])
})

test('the launcher finds its Node and itself through a link, from another directory', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-link-'))
  const launcher = new URL('../../bin/millrace', import.meta.url).pathname
  symlinkSync(launcher, join(folder, 'first'))
  symlinkSync('first', join(folder, 'millrace'))
  const text = execFileSync(join(folder, 'millrace'), ['--version'], { cwd: '/', encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } })
  expect(text).toMatch(/^Version: \d+\.\d+\.\d+, Commit ID: \w+\n$/)
})
