import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { finishInProcess, runInProcess } from '../../test/support/in-process-job.ts'
import type { SinkContext, SourceContext } from '../stream/functions.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-jobs-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

const counting = (count: number) => ({
  async run(ctx: SourceContext<number>) {
    for (let i = 0; i < count; i++) await ctx.collect(i)
  },
  cancel() {},
})

describe('connectors inside jobs', () => {
  test('an own source and an asynchronous own sink: every row once, every sink closed', async () => {
    const received: number[] = []
    let closed = 0
    await finishInProcess(
      env => {
        env
          .addSource(counting(5_000))
          .rebalance()
          .map((value: number) => value + 1)
          .addSink({
            async invoke(value: number, _context: SinkContext) {
              await null
              received.push(value)
            },
            close() {
              closed++
            },
          })
      },
      { parallelism: 2 },
    )
    expect(received.sort((a, b) => a - b)).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1))
    expect(closed).toBe(2)
  })

  test('a failure downstream cancels an own source that would never end, and says which record it was', async () => {
    let cancelled = 0
    const result = await runInProcess(env => {
      env
        .addSource({
          async run(ctx: SourceContext<number>) {
            for (let i = 0; ; i++) await ctx.collect(i)
          },
          cancel() {
            cancelled++
          },
        })
        .map((value: number) => {
          if (value === 3_000) throw new Error('cannot map 3000')
          return value
        })
        .print()
    })
    expect(result.state).toBe('FAILED')
    expect(result.error?.message).toMatch(/cannot map 3000.*record 3001 of the source function/)
    expect(cancelled).toBe(1)
  })

  test('a failing own sink fails the job with its message', async () => {
    const result = await runInProcess(env => {
      env
        .fromCollection([1, 2, 3])
        .addSink({ invoke: (value: number) => (value === 2 ? Promise.reject(new Error('no connection')) : Promise.resolve()) })
    })
    expect(result.error?.message).toContain('no connection')
  })

  test.each([1, 3])('text in and text out at parallelism %i', async parallelism => {
    const input = join(folder, `in-${parallelism}.txt`)
    const output = join(folder, `out-${parallelism}`)
    const lines = Array.from({ length: 2_000 }, (_, i) => `line ${i} ${'é'.repeat(i % 7)}`)
    await writeFile(input, lines.join('\r\n'))
    await finishInProcess(env => void env.readTextFile(input).writeAsText(output), { parallelism })
    const files = parallelism === 1 ? [output] : (await readdir(output)).map(name => join(output, name))
    expect(files.length).toBe(parallelism)
    const written = (await Promise.all(files.map(file => readFile(file, 'utf8')))).join('')
    expect(written.split('\n').slice(0, -1).sort()).toEqual([...lines].sort())
  })

  test('a vanished file fails the job and is named', async () => {
    const missing = join(folder, 'not-there.txt')
    const result = await runInProcess(env => void env.readTextFile(missing).print())
    expect(result.state).toBe('FAILED')
    expect(result.error?.message).toContain(`file ${missing} does not exist`)
  })

  test('a line larger than several pages passes', async () => {
    const input = join(folder, 'long.txt')
    const long = 'y'.repeat(300_000)
    await writeFile(input, `a\n${long}\nb\n`)
    const { stdout } = await finishInProcess(env => void env.readTextFile(input).print())
    expect(stdout).toBe(`a\n${long}\nb\n`)
  })

  test('numbers of a sequence reach every subtask once', async () => {
    const { stdout } = await finishInProcess(env => void env.fromSequence(1, 1_000).print('n'), { parallelism: 4 })
    const rows = stdout.trimEnd().split('\n')
    expect(rows.map(row => Number(row.split('> ')[1])).sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
    expect(new Set(rows.map(row => row.split('> ')[0]))).toEqual(new Set(['n:1', 'n:2', 'n:3', 'n:4']))
  })
})
