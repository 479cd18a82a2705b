import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../runtime/common/clock.ts'
import { endNotedProcesses, notedProcess, startChild, writeNote } from './child-processes.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const sleeper = 'process.stdin.resume(); console.log("up")'

function start(script: string) {
  const child = startChild({
    command: [process.execPath, '-e', script],
    env: process.env,
    stdoutPath: join(folder, 'out'),
    stderrPath: join(folder, 'err'),
    notePath: join(folder, 'child.pid'),
  })
  return { child, notePath: join(folder, 'child.pid') }
}

test('a child is noted while it lives and stopped by a signal', async () => {
  const { child, notePath } = start(sleeper)
  expect(notedProcess(notePath)).toBe(child.pid)
  await child.stop(systemClock, 10_000)
  expect(child.exit?.description).toBe('was ended by SIGTERM')
  expect(existsSync(notePath)).toBe(false)
})

test('a child that does not listen is killed', async () => {
  const { child } = start('process.on("SIGTERM", () => {}); require("node:fs").writeSync(1, "up"); setInterval(() => {}, 1000)')
  await expect.poll(() => existsSync(join(folder, 'out')) && readFileSync(join(folder, 'out'), 'utf8')).toBe('up')
  await child.stop(systemClock, 100)
  expect(child.exit?.description).toBe('was ended by SIGKILL')
})

test('a command that cannot be started is answered like one that ended', async () => {
  const child = startChild({
    command: [join(folder, 'nowhere')],
    env: process.env,
    stdoutPath: join(folder, 'out'),
    stderrPath: join(folder, 'err'),
    notePath: join(folder, 'child.pid'),
  })
  await expect.poll(() => child.exit?.description).toMatch(/^could not be started: /)
})

test('processes that an earlier run left are ended', async () => {
  const { child } = start(sleeper)
  expect(await endNotedProcesses(folder, systemClock, 10_000)).toBe(1)
  await expect.poll(() => child.exit?.description).toBe('was ended by SIGTERM')
})

test('a process that got the pid of an old note is left alone', async () => {
  const path = join(folder, 'old.pid')
  writeNote(path, process.pid)
  expect(notedProcess(path)).toBe(process.pid)
  writeFileSync(path, JSON.stringify({ pid: process.pid, startTime: '1' }))
  expect(notedProcess(path)).toBeUndefined()
  expect(await endNotedProcesses(folder, systemClock, 10_000)).toBe(0)
  writeFileSync(path, '{"pid":')
  expect(notedProcess(path)).toBeUndefined()
})
