import { expect, test } from 'vitest'
import { murmur3Hex } from './murmur3-128.ts'

test('equals the published vectors of MurmurHash3 x64 128', () => {
  expect(murmur3Hex('')).toBe('0'.repeat(32))
  expect(murmur3Hex('hello')).toBe('029bbd41b3a7d8cb191dae486a901e5b')
  expect(murmur3Hex('The quick brown fox jumps over the lazy dog')).toBe('6c1b07bc7bbc4be347939ac4a93c437a')
})
