import { SharedDoorbell } from '../network/doorbell.ts'
import type { Doorbell } from '../network/frame.ts'
import type { RingDescriptor } from '../network/ring.ts'

/**
 * The medium of a channel between two threads of one TaskManager: a ring, and who listens at its ends. Structured-clonable; what a
 * `SlotWiring` carries per channel.
 *
 * Slots are deployed in any order, so an end is an index into the TaskManager's table of doorbells that its thread writes when it
 * attaches. Ringing an end that nobody has attached to is nothing: whoever attaches looks into the ring afterwards.
 */
export interface ChannelMedium {
  readonly ring: RingDescriptor
  /** Two Int32: doorbell index of producer and consumer, -1 = not attached yet. */
  readonly ends: SharedArrayBuffer
}

const PRODUCER = 0
const CONSUMER = 1

export function createMedium(ring: RingDescriptor): ChannelMedium {
  const ends = new SharedArrayBuffer(8)
  new Int32Array(ends).fill(-1)
  return { ring, ends }
}

/** Attaches as producer with doorbell `own`; answers the consumer's doorbell. */
export function attachProducer(medium: ChannelMedium, own: number, doorbells: readonly SharedArrayBuffer[]): Doorbell {
  return attach(medium, PRODUCER, CONSUMER, own, doorbells)
}

/** Attaches as consumer with doorbell `own`; answers the producer's doorbell. */
export function attachConsumer(medium: ChannelMedium, own: number, doorbells: readonly SharedArrayBuffer[]): Doorbell {
  return attach(medium, CONSUMER, PRODUCER, own, doorbells)
}

function attach(medium: ChannelMedium, end: number, other: number, own: number, doorbells: readonly SharedArrayBuffer[]): Doorbell {
  const words = new Int32Array(medium.ends)
  Atomics.store(words, end, own)
  return new EndDoorbell(words, other, doorbells)
}

class EndDoorbell implements Doorbell {
  private readonly words: Int32Array
  private readonly end: number
  private readonly doorbells: readonly SharedArrayBuffer[]
  private bell: SharedDoorbell | undefined = undefined

  constructor(words: Int32Array, end: number, doorbells: readonly SharedArrayBuffer[]) {
    this.words = words
    this.end = end
    this.doorbells = doorbells
  }

  ring(): void {
    if (this.bell === undefined) {
      const index = Atomics.load(this.words, this.end)
      const buffer = index < 0 ? undefined : this.doorbells[index]
      if (buffer === undefined) return
      this.bell = new SharedDoorbell(buffer)
    }
    this.bell.ring()
  }
}
