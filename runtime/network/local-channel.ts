/** A channel inside one thread: elements pass by reference through a ring of `capacity` places; the same contract as a shared ring. */
import { assert } from '../common/assert.ts'
import type { ChannelElement, ChannelReader, ChannelWriter, ControlElement, Doorbell } from './frame.ts'

export class LocalChannel {
  readonly writer: ChannelWriter
  readonly reader: ChannelReader

  constructor(capacity: number, consumer: Doorbell, producer: Doorbell) {
    assert(capacity >= 1, 'a local channel holds at least one element')
    const queue = new LocalQueue(capacity, consumer, producer)
    this.writer = queue
    this.reader = queue
  }
}

class LocalQueue implements ChannelWriter, ChannelReader {
  private readonly elements: (ChannelElement | undefined)[]
  private head = 0
  private size = 0
  private priority: ControlElement | undefined = undefined
  private producerWaiting = false
  private readonly consumer: Doorbell
  private readonly producer: Doorbell

  constructor(capacity: number, consumer: Doorbell, producer: Doorbell) {
    this.elements = new Array<ChannelElement | undefined>(capacity).fill(undefined)
    this.consumer = consumer
    this.producer = producer
  }

  get queued(): number {
    return this.size
  }

  offer(element: ChannelElement): boolean {
    const capacity = this.elements.length
    if (this.size === capacity) {
      this.producerWaiting = true
      return false
    }
    let at = this.head + this.size
    if (at >= capacity) at -= capacity
    this.elements[at] = element
    this.size++
    // Rung for the first one only: a consumer that is behind has not gone to sleep on this channel.
    if (this.size === 1) this.consumer.ring()
    return true
  }

  flush(): boolean {
    return true
  }

  offerPriority(element: ControlElement): boolean {
    if (this.priority !== undefined) return false
    this.priority = element
    this.consumer.ring()
    return true
  }

  poll(): ChannelElement | undefined {
    if (this.size === 0) return undefined
    const element = this.elements[this.head]
    this.elements[this.head] = undefined
    this.head++
    if (this.head === this.elements.length) this.head = 0
    this.size--
    if (this.producerWaiting) {
      this.producerWaiting = false
      this.producer.ring()
    }
    return element
  }

  pollPriority(): ControlElement | undefined {
    const element = this.priority
    this.priority = undefined
    return element
  }

  /** Either side: what is queued stays readable, so that a producer may close before its consumer has read everything. */
  close(): void {}
}
