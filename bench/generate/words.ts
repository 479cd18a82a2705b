import { IndexedRandom } from './hash.ts'

/**
 * Lines of `WORDS_PER_LINE` words for the word count: `distinct` different words of 3 to 12 letters, the one of rank r with a frequency
 * proportional to 1 / r. The same text for the same arguments on every machine.
 */
export const WORDS_PER_LINE = 10
const SEED = 20_260_101

export function vocabulary(distinct: number): string[] {
  const random = new IndexedRandom(SEED)
  const words = new Set<string>()
  for (let index = 0; words.size < distinct; index++) {
    random.at(index)
    let word = ''
    for (let length = 3 + random.below(10); length > 0; length--) word += String.fromCharCode(97 + random.below(26))
    words.add(word)
  }
  return [...words]
}

/** Chunks of whole lines, about 1 MiB each. */
export function* wordLines(lines: number, distinct: number): Generator<Uint8Array> {
  const words = vocabulary(distinct).map(word => Buffer.from(`${word} `))
  const limits = cumulativeFrequencies(distinct)
  const random = new IndexedRandom(SEED + 1)
  const chunk = Buffer.allocUnsafe(2 ** 20)
  let length = 0
  for (let line = 0; line < lines; line++) {
    random.at(line)
    for (let i = 0; i < WORDS_PER_LINE; i++) {
      const word = words[rankOf(limits, random.fraction())] as Buffer
      length += word.copy(chunk, length)
    }
    chunk[length - 1] = 10
    if (length > 2 ** 20 - 256) {
      yield Uint8Array.prototype.slice.call(chunk, 0, length)
      length = 0
    }
  }
  if (length > 0) yield Uint8Array.prototype.slice.call(chunk, 0, length)
}

function cumulativeFrequencies(distinct: number): Float64Array {
  const limits = new Float64Array(distinct)
  let total = 0
  for (let rank = 1; rank <= distinct; rank++) limits[rank - 1] = total += 1 / rank
  for (let i = 0; i < distinct; i++) limits[i] = (limits[i] ?? 0) / total
  return limits
}

/** The first rank whose cumulative frequency lies above `fraction`. */
function rankOf(limits: Float64Array, fraction: number): number {
  let low = 0
  let high = limits.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((limits[middle] ?? 1) > fraction) high = middle
    else low = middle + 1
  }
  return low
}
