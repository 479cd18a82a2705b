import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Console, OutputFile } from './output-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-output-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Takes what is written when it is told to. */
function standingConsole() {
  const waiting: (() => void)[] = []
  const seen: string[] = []
  const write = (bytes: Uint8Array | string, done?: unknown) => {
    // The stream reads the bytes later, as a worker's does while an earlier write is on its way.
    waiting.push(() => {
      seen.push(Buffer.from(bytes).toString())
      ;(done as () => void)()
    })
    return true
  }
  const take = () => {
    for (const one of waiting.splice(0)) one()
  }
  return { console: { write } as Console, seen, take }
}

test('what is printed is in the file and on the console, though the sink uses its buffer again', async () => {
  const path = join(folder, 'both.out')
  const { console, seen, take } = standingConsole()
  const file = new OutputFile({ path, console, copies: true })
  const buffer = Buffer.from('first\n')
  await file.write(buffer)
  buffer.write('other\n')
  await file.write(buffer)
  take()
  await file.close()
  expect([readFileSync(path, 'utf8'), seen]).toEqual(['first\nother\n', ['first\n', 'other\n']])
})

test('a console that stands still holds no job up: beyond 1 MiB it is told what is only in the file', async () => {
  const path = join(folder, 'still.out')
  const { console, seen, take } = standingConsole()
  const file = new OutputFile({ path, console, copies: true })
  const line = Buffer.alloc(700_000, 'x')
  for (let n = 0; n < 3; n++) await file.write(line)
  take()
  await file.write(Buffer.from('later\n'))
  take()
  await file.close()
  expect(readFileSync(path).length).toBe(2_100_006)
  expect(seen.map(text => (text.length < 200 ? text : text.length))).toEqual([700_000, `[1400000 bytes are only in ${path}]\n`, 'later\n'])
})

test('copied only where somebody looks at the console', async () => {
  const path = join(folder, 'quiet.out')
  const { console, seen } = standingConsole()
  const file = new OutputFile({ path, console, copies: false })
  await file.write(Buffer.from('line\n'))
  await file.close()
  expect([readFileSync(path, 'utf8'), seen]).toEqual(['line\n', []])
})
