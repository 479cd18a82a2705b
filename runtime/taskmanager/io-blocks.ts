import { assert } from '../common/assert.ts'
import type { Doorbell } from '../network/frame.ts'

/**
 * Memory that a fetcher reads into and its slot reads from, beside the port's ring: bulk bytes that went through the ring's pages would be
 * copied page by page at both ends. What travels in the ring, in order with everything else, is which part of which block has bytes.
 *
 * 1. The fetcher's end takes blocks in turn. One that is still with the slot is waited for: that is the credit.
 * 2. It publishes a block by the ring; the slot reads there until it gives the block back, at its next poll.
 * 3. A fetcher that finds no free block sets `WAITING` and looks once more; the slot looks at it after each release and rings. Whichever comes
 *    second sees the other.
 */
export interface BlocksDescriptor {
  readonly buffer: SharedArrayBuffer
}

export const BLOCK_SIZE = 1024 * 1024
/** One is read by the slot, one is ready, one is being filled. */
export const BLOCK_COUNT = 3

const WAITING = BLOCK_COUNT
/** Words of control in front of the blocks, to the end of a cache line. */
const CONTROL_SIZE = 64

export function createBlocks(): BlocksDescriptor {
  return { buffer: new SharedArrayBuffer(CONTROL_SIZE + BLOCK_COUNT * BLOCK_SIZE) }
}

export class BlockWriter {
  private readonly words: Int32Array
  private readonly blocks: readonly Uint8Array[]
  private next = 0

  constructor({ buffer }: BlocksDescriptor) {
    this.words = wordsOf(buffer)
    this.blocks = blocksOf(buffer)
  }

  /** The block to fill next; undefined = it is with the slot, which rings when it gives one back. The same one until it is published. */
  tryTake(): Uint8Array | undefined {
    const { words, next } = this
    if (Atomics.load(words, next) === 0) return this.blocks[next]
    Atomics.store(words, WAITING, 1)
    return Atomics.load(words, next) === 0 ? this.blocks[next] : undefined
  }

  /** The block taken last belongs to the slot from now on; answers the reference that goes to it, of bytes `from..to`. */
  publish(from: number, to: number): Uint8Array {
    assert(from >= 0 && from <= to && to <= BLOCK_SIZE, 'a part of a block lies in it')
    const { next } = this
    Atomics.store(this.words, next, 1)
    this.next = next + 1 === BLOCK_COUNT ? 0 : next + 1
    return new Uint8Array(Int32Array.of(next, from, to).buffer)
  }
}

export class BlockReader {
  private readonly words: Int32Array
  private readonly blocks: readonly Uint8Array[]
  private readonly producer: Doorbell
  private held = -1

  constructor({ buffer }: BlocksDescriptor, producer: Doorbell) {
    this.words = wordsOf(buffer)
    this.blocks = blocksOf(buffer)
    this.producer = producer
  }

  /** The bytes that a reference names: shared memory, valid until `release`. */
  open(reference: Uint8Array): Uint8Array {
    assert(this.held < 0 && reference.length === 12, 'one block is read at a time')
    const view = new DataView(reference.buffer, reference.byteOffset, reference.byteLength)
    this.held = view.getInt32(0, true)
    const block = this.blocks[this.held]
    assert(block !== undefined, 'a reference names a block of this port')
    return block.subarray(view.getInt32(4, true), view.getInt32(8, true))
  }

  release(): void {
    if (this.held < 0) return
    Atomics.store(this.words, this.held, 0)
    this.held = -1
    if (Atomics.load(this.words, WAITING) === 1 && Atomics.exchange(this.words, WAITING, 0) === 1) this.producer.ring()
  }
}

function wordsOf(buffer: SharedArrayBuffer): Int32Array {
  return new Int32Array(buffer, 0, BLOCK_COUNT + 1)
}

function blocksOf(buffer: SharedArrayBuffer): Uint8Array[] {
  return Array.from({ length: BLOCK_COUNT }, (_, i) => new Uint8Array(buffer, CONTROL_SIZE + i * BLOCK_SIZE, BLOCK_SIZE))
}
