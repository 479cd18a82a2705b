import { IndexedRandom } from './hash.ts'

/** Rows of 64 bytes: an int (4), a double (8), 52 characters of ASCII. They repeat after `EXCHANGE_CYCLE`, a power of two. */
export const EXCHANGE_CYCLE = 1024
export const EXCHANGE_ROW_BYTES = 64

export function exchangeRow(index: number): [number, number, string] {
  const random = new IndexedRandom(64)
  random.at(index)
  // One text, not a rope of 52 that every reader would have to put together.
  const text = String.fromCharCode(...Array.from({ length: 52 }, () => 97 + random.below(26)))
  // Halves: sums of them are exact in any order.
  return [random.below(1_000_000), random.below(2_000_000) / 2, text]
}
