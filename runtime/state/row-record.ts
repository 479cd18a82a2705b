import { ByteReader } from '../common/bytes.ts'

/** How records lie in pages and segments (segment-writer.ts): a head, which is the state's place and whether it removes; the length of the rest; the rest. */
export const LENGTH_BYTES = 4
const HEAD_BYTES_MAX = 2
/** In the head. */
export const REMOVES = 1

/** Of records' heads below 2^14: 8,192 states. */
export function headSize(head: number): number {
  return head < 0x80 ? 1 : 2
}

/** Without saying whether it removes. */
export function headAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]! & ~REMOVES
  return first < 0x80 ? first : (first & 0x7f) | (bytes[at + 1]! << 7)
}

export function recordSize({ bytes, view }: ByteReader, at: number): number {
  const size = bytes[at]! < 0x80 ? 1 : 2
  return size + LENGTH_BYTES + view.getUint32(at + size, true)
}

/** Bytes of the records that are there to their end. */
export function wholeRecords(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes)
  let at = 0
  while (bytes.length - at > HEAD_BYTES_MAX + LENGTH_BYTES) {
    const next = at + recordSize(reader, at)
    if (next > bytes.length) break
    at = next
  }
  return at
}

export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > COPY_LOOP_MAX) to.set(from.subarray(start, end), at)
  else for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]!
}

/** Below this a loop is faster than a view and a call. */
const COPY_LOOP_MAX = 16
