import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { OutputTail } from './output-tail.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('lines are answered whole, once, in order; a file that is not there yet is empty', async () => {
  const path = join(folder, 'out')
  const tail = new OutputTail(path)
  expect(await tail.read()).toBe('')
  appendFileSync(path, 'one\ntw')
  expect(await tail.read()).toBe('one\n')
  expect(await tail.read()).toBe('')
  appendFileSync(path, 'o\nthree')
  expect(await tail.read()).toBe('two\n')
  expect(await tail.read(true)).toBe('three')
  expect(await tail.read(true)).toBe('')
})

test('a letter of several bytes that is written in two pieces is not broken', async () => {
  const path = join(folder, 'out')
  const tail = new OutputTail(path)
  const bytes = Buffer.from('größe\n')
  appendFileSync(path, bytes.subarray(0, 3))
  expect(await tail.read()).toBe('')
  appendFileSync(path, bytes.subarray(3))
  expect(await tail.read()).toBe('größe\n')
})

test('much output comes in pieces that end at lines', async () => {
  const path = join(folder, 'out')
  const lines = Array.from({ length: 50_000 }, (_, i) => `line ${i}\n`).join('')
  appendFileSync(path, lines)
  const tail = new OutputTail(path)
  let all = ''
  for (let piece = await tail.read(); piece !== ''; piece = await tail.read()) {
    expect(piece.length).toBeLessThan(lines.length)
    expect(piece.endsWith('\n')).toBe(true)
    all += piece
  }
  expect(all).toBe(lines)
})
