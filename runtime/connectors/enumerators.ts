import type { JsonObject } from '../common/json.ts'
import type { SourceSplit, SplitEnumerator, SplitEnumeratorContext } from '../stream/spi/source.ts'
import { listingEnumerator, roundRobin } from './split-assignment.ts'

/** Enumerators that need nothing from outside. */

/** `splits`, made while the graph was built, round robin. */
export function staticEnumerator(options: JsonObject, context: SplitEnumeratorContext, restored?: JsonObject): SplitEnumerator {
  const splits = (options['splits'] ?? []) as readonly SourceSplit[]
  return listingEnumerator(context, restored, parallelism => roundRobin(splits, parallelism))
}

/** One contiguous part of from..to (inclusive, decimal text) for each reader; the first parts take the remainder, as in Flink. */
export function sequenceEnumerator(options: JsonObject, context: SplitEnumeratorContext, restored?: JsonObject): SplitEnumerator {
  const from = BigInt(String(options['from']))
  const to = BigInt(String(options['to']))
  return listingEnumerator(context, restored, parallelism => splitSequence(from, to, parallelism))
}

export interface SequenceSplit extends SourceSplit {
  /** Next number, decimal text. */
  readonly next: string
  /** Last number, inclusive. */
  readonly to: string
}

export function splitSequence(from: bigint, to: bigint, parallelism: number): SequenceSplit[][] {
  const count = to < from ? 0n : to - from + 1n
  const base = count / BigInt(parallelism)
  const remainder = Number(count % BigInt(parallelism))
  let next = from
  return Array.from({ length: parallelism }, (_, i) => {
    const size = base + (i < remainder ? 1n : 0n)
    if (size === 0n) return []
    const split = { splitId: `sequence-${i}`, next: next.toString(), to: (next + size - 1n).toString() }
    next += size
    return [split]
  })
}

/** Indices 0, 1, 2, … below `count` (absent = without end), dealt to the readers one by one, so that all of them advance together. */
export function stridedEnumerator(options: JsonObject, context: SplitEnumeratorContext, restored?: JsonObject): SplitEnumerator {
  const count = typeof options['count'] === 'number' ? options['count'] : null
  return listingEnumerator(context, restored, parallelism =>
    Array.from({ length: parallelism }, (_, i) => [{ splitId: `indices-${i}`, next: i, step: parallelism, count }]),
  )
}

export interface StridedSplit extends SourceSplit {
  readonly next: number
  readonly step: number
  readonly count: number | null
}
