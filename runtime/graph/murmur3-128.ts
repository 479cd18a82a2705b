/**
 * MurmurHash3, x64, 128 bits, seed 0, over UTF-8, as 32 hex digits in byte order: what Flink makes operator ids of (an operator with
 * `uid("x")` has the same id here and there). Written for texts of a few kilobytes while a graph is built, not for rows.
 */
const C1 = 0x87c37b91114253d5n
const C2 = 0x4cf5ad432745937fn

export function murmur3Hex(text: string): string {
  const bytes = new TextEncoder().encode(text)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks = bytes.length >> 4
  let h1 = 0n
  let h2 = 0n
  for (let block = 0; block < blocks; block++) {
    h1 ^= mixFirst(view.getBigUint64(block * 16, true))
    h1 = u64(u64(rotateLeft(h1, 27n) + h2) * 5n + 0x52dce729n)
    h2 ^= mixSecond(view.getBigUint64(block * 16 + 8, true))
    h2 = u64(u64(rotateLeft(h2, 31n) + h1) * 5n + 0x38495ab5n)
  }
  const tail = blocks * 16
  h1 ^= mixFirst(littleEndian(bytes, tail, Math.min(tail + 8, bytes.length)))
  h2 ^= mixSecond(littleEndian(bytes, tail + 8, bytes.length))
  const length = BigInt(bytes.length)
  h1 ^= length
  h2 ^= length
  h1 = u64(h1 + h2)
  h2 = u64(h2 + h1)
  h1 = avalanche(h1)
  h2 = avalanche(h2)
  h1 = u64(h1 + h2)
  h2 = u64(h2 + h1)
  return hexLittleEndian(h1) + hexLittleEndian(h2)
}

function mixFirst(k: bigint): bigint {
  return u64(rotateLeft(u64(k * C1), 31n) * C2)
}

function mixSecond(k: bigint): bigint {
  return u64(rotateLeft(u64(k * C2), 33n) * C1)
}

function avalanche(value: bigint): bigint {
  let h = value
  h = u64((h ^ (h >> 33n)) * 0xff51afd7ed558ccdn)
  h = u64((h ^ (h >> 33n)) * 0xc4ceb9fe1a85ec53n)
  return h ^ (h >> 33n)
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}

function rotateLeft(value: bigint, by: bigint): bigint {
  return u64(value << by) | (value >> (64n - by))
}

function littleEndian(bytes: Uint8Array, from: number, to: number): bigint {
  let value = 0n
  for (let i = to - 1; i >= from; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0)
  return value
}

function hexLittleEndian(value: bigint): string {
  let text = ''
  for (let i = 0n; i < 8n; i++) text += ((value >> (i * 8n)) & 0xffn).toString(16).padStart(2, '0')
  return text
}
