import { expect, test } from 'vitest'
import { finishInProcess } from './support/in-process-job.ts'

const lines = ['hello world', 'hello  flink', '', ' hello\tscala ']

function wordCount(batch: boolean, parallelism: number, chaining = true) {
  return finishInProcess(
    env => {
      env
        .fromCollection(lines)
        .flatMap((line: string, out: { collect(value: [string, number]): void }) => {
          for (const word of line.split(/\s+/)) if (word !== '') out.collect([word, 1])
        })
        .keyBy((pair: [string, number]) => pair[0])
        .reduce((a: [string, number], b: [string, number]) => [a[0], a[1] + b[1]] as [string, number])
        .print()
    },
    { batch, parallelism, chaining },
  )
}

const expected = ['(flink,1)', '(hello,3)', '(scala,1)', '(world,1)']
const withoutPrefix = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map(line => line.replace(/^\d+> /, ''))

test('word count in batch prints each word once with its final count', async () => {
  for (const parallelism of [1, 2, 4]) {
    const { stdout } = await wordCount(true, parallelism)
    expect(withoutPrefix(stdout).sort()).toEqual(expected)
  }
})

test('word count in streaming prints each intermediate count, in order per word', async () => {
  for (const chaining of [true, false]) {
    const { stdout } = await wordCount(false, 2, chaining)
    const counts = withoutPrefix(stdout)
    expect(counts.filter(text => text.startsWith('(hello'))).toEqual(['(hello,1)', '(hello,2)', '(hello,3)'])
    expect(counts.length).toBe(6)
  }
})
