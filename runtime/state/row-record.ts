import type { ByteReader } from '../common/bytes.ts'

/** How records lie in pages and segments (segment-writer.ts): a head, which is the state's place and whether it removes; the length of the rest; the rest. */
export const LENGTH_BYTES = 4
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

export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > COPY_LOOP_MAX) to.set(from.subarray(start, end), at)
  else for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]!
}

/** Below this a loop is faster than a view and a call. */
const COPY_LOOP_MAX = 16
