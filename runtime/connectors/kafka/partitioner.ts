/** Kafka's murmur2 over a record's key: what Java's producer and all that follow it put records of equal keys together by. */
export function murmur2(data: Uint8Array, from: number, to: number): number {
  const length = to - from
  let hash = SEED ^ length
  let at = from
  for (; at + 4 <= to; at += 4) {
    let word = data[at]! | (data[at + 1]! << 8) | (data[at + 2]! << 16) | (data[at + 3]! << 24)
    word = Math.imul(word, FACTOR)
    word ^= word >>> 24
    word = Math.imul(word, FACTOR)
    hash = Math.imul(hash, FACTOR) ^ word
  }
  const rest = to - at
  if (rest === 3) hash ^= data[at + 2]! << 16
  if (rest >= 2) hash ^= data[at + 1]! << 8
  if (rest >= 1) {
    hash ^= data[at]!
    hash = Math.imul(hash, FACTOR)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, FACTOR)
  return hash ^ (hash >>> 15)
}

export function partitionOfKey(data: Uint8Array, from: number, to: number, partitionCount: number): number {
  return (murmur2(data, from, to) & 0x7fffffff) % partitionCount
}

const SEED = 0x9747b28c
const FACTOR = 0x5bd1e995
