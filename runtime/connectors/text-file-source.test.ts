import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf, RecordingEnumeratorContext } from '../../test/support/connector-harness.ts'
import { runs } from '../../test/support/runs.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { OperatorSnapshot } from '../state/snapshot.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { builtInConnectorsOfEngine } from './built-in.ts'
import { type FileSplit, fileEnumerator, splitFiles } from './file-enumerator.ts'
import { readRange } from './file-fetcher.ts'
import { LineDecoder } from './line-decoder.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-text-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function enumerate(path: string, parallelism: number): Promise<RecordingEnumeratorContext> {
  const context = new RecordingEnumeratorContext(parallelism)
  const enumerator = fileEnumerator({ path }, context)
  enumerator.addReader(0)
  await enumerator.start()
  for (let i = 1; i < parallelism; i++) enumerator.addReader(i)
  return context
}

function harness(options: { loop?: boolean; linesPerSecond?: number; clock?: SimulatedClock; parallelism?: number } = {}): ConnectorHarness {
  const definition = builtInConnectorsOfEngine.textFile(folder, { loop: options.loop ?? false, linesPerSecond: options.linesPerSecond }, undefined)
  return new ConnectorHarness(operatorOf(definition), {
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    parallelism: options.parallelism ?? 1,
  })
}

async function readAll(splits: readonly SourceSplit[]): Promise<unknown[]> {
  const reader = await harness().open(splits)
  await reader.run()
  await reader.close()
  return reader.values()
}

async function readLines(range: FileSplit, chunkSizeBytes: number): Promise<string[]> {
  const lines: string[] = []
  const decoder = new LineDecoder()
  let restarted = false
  const block = new Uint8Array(chunkSizeBytes)
  const writeBlock = async (_tag: number, position: number, from: number, to: number) => {
    if (!restarted) decoder.restart(position)
    restarted = true
    decoder.feed(block.slice(from, to))
    for (let line = decoder.next(); line !== undefined; line = decoder.next()) lines.push(line)
  }
  await readRange(range, 0, { block: async () => block, writeBlock }, new AbortController().signal)
  const last = decoder.finish()
  return last === undefined ? lines : [...lines, last]
}

describe('text file source', () => {
  test('splits of any number and chunks of any size cover every line exactly once', async () => {
    const path = join(folder, 'property.txt')
    const content = fc.array(fc.constantFrom('a', 'bc', 'é', '\r', '\n', '\n', 'long line of words'), { maxLength: 40 }).map(parts => parts.join(''))
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 9 }), async (text, parallelism, chunkSizeBytes) => {
        await writeFile(path, text)
        const size = Buffer.byteLength(text)
        const lines: string[] = []
        for (const split of splitFiles([{ path, size }], parallelism).flat()) lines.push(...(await readLines(split, chunkSizeBytes)))
        const expected = text.split('\n')
        if (expected.at(-1) === '') expected.pop()
        expect(lines).toEqual(expected.map(line => line.replace(/\r$/, '')))
      }),
      { numRuns: runs(250) },
    )
    await rm(path)
  })

  test('reads the files of a folder in order of name, follows links, leaves out hidden files and folders', async () => {
    const root = join(folder, 'many')
    await mkdir(join(root, 'nested'), { recursive: true })
    await writeFile(join(root, 'b.txt'), 'b1\nb2')
    await writeFile(join(root, 'a.txt'), 'a1\n')
    await writeFile(join(root, 'empty.txt'), '')
    await writeFile(join(root, '_SUCCESS'), 'no')
    await writeFile(join(root, '.hidden'), 'no')
    await writeFile(join(root, 'nested', 'deep.txt'), 'no')
    await symlink('a.txt', join(root, 'c-link'))
    const context = await enumerate(root, 1)
    expect([...context.ended]).toEqual([0])
    expect(await readAll(context.assigned[0] ?? [])).toEqual(['a1', 'b1', 'b2', 'a1'])
  })

  test('gives every reader about the same share, cutting one file', async () => {
    const path = join(folder, 'one.txt')
    const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`)
    await writeFile(path, `${lines.join('\n')}\n`)
    const context = await enumerate(path, 4)
    expect([...context.ended].sort()).toEqual([0, 1, 2, 3])
    const parts = await Promise.all(context.assigned.map(readAll))
    expect(parts.flat()).toEqual(lines)
    for (const part of parts) expect(part.length).toBeGreaterThan(200)
  })

  test('whole files go to a reader until it has its share of the bytes, then to the next', () => {
    const files = [5, 30, 4, 4, 4, 20].map((size, i) => ({ path: `f${i}`, size }))
    const ranges = splitFiles(files, 3, true).map(list => list.map(({ path, start, end }) => `${path} ${start}-${end}`))
    expect(ranges).toEqual([['f0 0-5', 'f1 0-30'], ['f2 0-4', 'f3 0-4', 'f4 0-4', 'f5 0-20'], []])
  })

  test('a path that vanished is an error that names it, at the listing and at the reading', async () => {
    const missing = join(folder, 'missing.txt')
    const context = await enumerate(missing, 2)
    expect(context.failure).toMatchObject({ code: 'NOT_FOUND', message: `file ${missing} does not exist` })
    await expect(readAll([{ splitId: 's', path: missing, start: 0, end: 10, position: -1 }])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `file ${missing} does not exist`,
    })
  })

  test('refuses compressed files and file systems it does not have, by name', async () => {
    const path = join(folder, 'log.gz')
    await writeFile(path, 'x')
    expect((await enumerate(path, 1)).failure).toMatchObject({ code: 'UNSUPPORTED' })
    expect((await enumerate('s3://bucket/log', 1)).failure).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining('s3') })
  })

  test('restored after every row, at the position of its snapshot, no line is lost or doubled', async () => {
    const path = join(folder, 'restore.txt')
    await writeFile(path, 'één\r\ntwo\n\nfour\nlast without line feed')
    const context = await enumerate(path, 1)
    let snapshot: OperatorSnapshot | undefined
    const seen: unknown[] = []
    for (let i = 0; i < 10; i++) {
      const reader = harness()
      reader.rowsPerPoll = 1
      if (snapshot !== undefined) reader.operator.restore?.(snapshot)
      await reader.open(snapshot === undefined ? context.assigned[0] : [])
      await reader.run(() => reader.rows.length === 1)
      seen.push(...reader.values())
      snapshot = reader.snapshot()
      await reader.close()
    }
    expect(seen).toEqual(['één', 'two', '', 'four', 'last without line feed'])
  })

  test('says where a row came from', async () => {
    const path = join(folder, 'where.txt')
    await writeFile(path, 'one\ntwo\nthree\n')
    const reader = harness()
    reader.rowsPerPoll = 1
    await reader.open([{ splitId: 's', path, start: 0, end: 14, position: -1 }])
    await reader.run(() => reader.rows.length === 2)
    expect(reader.source.describePosition()).toBe(`file ${path}, line 2`)
    await reader.close()
  })

  test('replays in a loop at the given rate', async () => {
    const path = join(folder, 'loop.txt')
    await writeFile(path, 'a\nb\nc\n')
    const clock = new SimulatedClock()
    const reader = harness({ loop: true, linesPerSecond: 10, clock })
    await reader.open([{ splitId: 's', path, start: 0, end: 6, position: -1 }])
    const span = reader.run(() => reader.rows.length >= 20)
    const counts: number[] = []
    for (let i = 0; i < 40 && reader.rows.length < 20; i++) {
      // Reading the file is real; only the rate is on the clock.
      while (reader.rows.length < i + 1) await new Promise(resolve => setImmediate(resolve))
      counts.push(reader.rows.length)
      clock.advanceBy(100)
    }
    await span
    expect(counts.slice(0, 5)).toEqual([1, 2, 3, 4, 5])
    expect(reader.values().slice(0, 7)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a'])
    await reader.close()
  })
})
