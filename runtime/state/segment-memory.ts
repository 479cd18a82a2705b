/**
 * Memory of one thread for the segments of keyed state that it hands over. It is shared with the thread that writes them to the store, and comes back from there to be
 * used again: pages that the process has touched already cost nothing.
 *
 * It does not move there instead, for the first ArrayBuffer that is detached in a thread makes V8 look, from then on and at every access to every typed array of
 * that thread, whether it is still there (the ArrayBufferDetaching protector): 8 % of what `keyed-sum-100k` takes. And it is not left to the garbage collector,
 * because V8 does not count shared memory and thus sees no reason to collect it.
 */
export class SegmentMemory {
  /** Oldest first. */
  private free: SharedArrayBuffer[] = []
  private freeBytes = 0
  private readonly keptMax: number

  /** `keptMax`: bytes kept at most for later segments. */
  constructor(keptMax = KEPT_MAX) {
    this.keptMax = keptMax
  }

  /** Room for a segment of `bytes`, or more room. Small ones are not worth sharing: they are copied. */
  take(bytes: number): { readonly room: Uint8Array; readonly isTouched: boolean } {
    if (bytes < SHARED_MIN) return { room: new Uint8Array(bytes), isTouched: true }
    const found = this.free.findIndex(({ byteLength }) => byteLength >= bytes && byteLength <= bytes * SLACK)
    const [buffer] = found < 0 ? [] : this.free.splice(found, 1)
    if (buffer === undefined) return { room: new Uint8Array(new SharedArrayBuffer(bytes)), isTouched: false }
    this.freeBytes -= buffer.byteLength
    return { room: new Uint8Array(buffer), isTouched: true }
  }

  /** Nobody reads it any more. Answers the bytes that are left to the garbage collector. */
  giveBack(buffers: Iterable<ArrayBufferLike>): number {
    let leftBytes = 0
    for (const buffer of buffers) {
      if (!(buffer instanceof SharedArrayBuffer)) continue
      this.free.push(buffer)
      this.freeBytes += buffer.byteLength
    }
    while (this.freeBytes > this.keptMax) {
      const bytes = this.free.shift()?.byteLength ?? 0
      this.freeBytes -= bytes
      leftBytes += bytes
    }
    return leftBytes
  }
}

const KEPT_MAX = 128 * 1024 * 1024
const SHARED_MIN = 64 * 1024
/** A buffer serves segments down to this part of it. */
const SLACK = 4

/** Of this thread. */
export const segmentMemory = new SegmentMemory()
