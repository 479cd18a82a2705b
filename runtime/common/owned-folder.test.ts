import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createOwnedFolder } from './owned-folder.ts'

function parentFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), 'owned-folder-test-'))
  onTestFinished(() => rmSync(parent, { recursive: true }))
  return parent
}

function foreign(parent: string, name: string, owner: object | undefined): string {
  mkdirSync(join(parent, name))
  if (owner !== undefined) writeFileSync(join(parent, name, 'owner.json'), JSON.stringify(owner))
  return join(parent, name)
}

test('folders of dead owners are removed, those of living ones, of other hosts and of strangers are not', () => {
  const parent = parentFolder()
  const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }))
  const abandoned = foreign(parent, 'x-dead', { host: hostname(), pid: dead, startTime: '1' })
  // The pid has been given to another process, here to this one.
  const reused = foreign(parent, 'x-reused', { host: hostname(), pid: process.pid, startTime: 'long ago' })
  const elsewhere = foreign(parent, 'x-elsewhere', { host: `not-${hostname()}`, pid: dead, startTime: '1' })
  const unmarked = foreign(parent, 'x-unmarked', undefined)
  const others = foreign(parent, 'y-dead', { host: hostname(), pid: dead, startTime: '1' })
  const first = createOwnedFolder(parent, 'x-')
  const second = createOwnedFolder(parent, 'x-')
  expect([abandoned, reused].filter(existsSync)).toEqual([])
  for (const kept of [elsewhere, unmarked, others, first, second]) expect(existsSync(kept)).toBe(true)
  expect(JSON.parse(readFileSync(join(first, 'owner.json'), 'utf8'))).toMatchObject({ pid: process.pid })
})
