import type { StreamExecutionEnvironment } from '../../runtime/api/index.ts'

/** Prints `a 1`, `b 1`, `a 2`: counts of three words, in keyed state. */
export function countWords(env: StreamExecutionEnvironment): void {
  env
    .fromElements('a', 'b', 'a')
    .map(word => ({ word, count: 1 }))
    .keyBy(row => row.word)
    .reduce((a, b) => ({ word: a.word, count: a.count + b.count }))
    .map(({ word, count }) => `${word} ${count}`)
    .print()
}
