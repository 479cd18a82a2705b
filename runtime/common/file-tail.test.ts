import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readFileTail } from './file-tail.ts'

test('the end of a file, whole characters only; a missing file is told from an empty one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'file-tail-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'text')
  expect(await readFileTail(path, 10)).toBeUndefined()
  writeFileSync(path, '')
  expect(await readFileTail(path, 10)).toBe('')
  writeFileSync(path, 'a€b€c')
  expect(await readFileTail(path, 100)).toBe('a€b€c')
  // Nine bytes: a, three, b, three, c.
  expect(await Promise.all([1, 2, 3, 4, 5, 8].map(max => readFileTail(path, max)))).toEqual(['c', 'c', 'c', '€c', 'b€c', '€b€c'])
})
