import { expect, test } from 'vitest'
import { murmur2 } from './partitioner.ts'

/** The pairs of Kafka's own UtilsTest. */
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('the hash of the key %s is that of the Java producer', (text, hash) => {
  const bytes = new TextEncoder().encode(`+${text}`)
  expect(murmur2(bytes, 1, bytes.length)).toBe(hash)
})
