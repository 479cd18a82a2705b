/** Below, a copy costs less than memory of its own. */
const SHARED_MIN = 1 << 20

/** Zeroed. Large ones lie in shared memory, so that handing them to another thread copies nothing. */
export function shareableBytes(length: number): Uint8Array {
  return length < SHARED_MIN ? new Uint8Array(length) : new Uint8Array(new SharedArrayBuffer(length))
}
