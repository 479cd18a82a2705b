import { assert } from '../common/assert.ts'
import type { ChannelDeployment } from '../graph/deployment.ts'
import type { ChannelReader, ChannelWriter, Doorbell } from '../network/frame.ts'
import { LocalChannel } from '../network/local-channel.ts'
import { RingReader, RingWriter } from '../network/ring-channel.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import type { ChannelMedium } from './channel-medium.ts'

/** Makes a slot's ends of its channels. `wake` puts the task of this end back into the slot's run queue. */
export interface ChannelProvider {
  writer(channel: ChannelDeployment, serializer: TypeSerializer<unknown>, wake: () => void): ChannelWriter
  reader(channel: ChannelDeployment, serializer: TypeSerializer<unknown>, wake: () => void): ChannelReader
}

/** Frames a channel inside one slot may hold: the same credit as a ring's pages, so that no edge buffers more for being local. */
const LOCAL_CAPACITY = 2

/** Both ends of an edge inside a slot meet here by channel id; rows pass by reference. */
export class LocalEdges {
  private readonly edges = new Map<string, { readonly channel: LocalChannel; consumer: () => void; producer: () => void }>()
  private readonly capacity: number

  constructor(capacity = LOCAL_CAPACITY) {
    this.capacity = capacity
  }

  writer(channelId: string, wake: () => void): ChannelWriter {
    const edge = this.edge(channelId)
    edge.producer = wake
    return edge.channel.writer
  }

  reader(channelId: string, wake: () => void): ChannelReader {
    const edge = this.edge(channelId)
    edge.consumer = wake
    return edge.channel.reader
  }

  private edge(channelId: string) {
    const present = this.edges.get(channelId)
    if (present !== undefined) return present
    const edge = {
      channel: new LocalChannel(this.capacity, { ring: () => edge.consumer() }, { ring: () => edge.producer() }),
      consumer: () => {},
      producer: () => {},
    }
    this.edges.set(channelId, edge)
    return edge
  }
}

export interface RingChannelOptions {
  medium(channelId: string): ChannelMedium | undefined
  asProducer(medium: ChannelMedium): Doorbell
  asConsumer(medium: ChannelMedium): Doorbell
  readonly recordSizeMax: number
  readonly localCapacity?: number
}

/** Edges inside the slot by reference, all others over the rings that the TaskManager's main thread has made. */
export class RingChannelProvider implements ChannelProvider {
  private readonly options: RingChannelOptions
  private readonly local: LocalEdges

  constructor(options: RingChannelOptions) {
    this.options = options
    this.local = new LocalEdges(options.localCapacity)
  }

  writer(channel: ChannelDeployment, serializer: TypeSerializer<unknown>, wake: () => void): ChannelWriter {
    if (channel.peer.kind === 'slot') return this.local.writer(channel.channelId, wake)
    const medium = this.medium(channel)
    return new RingWriter(medium.ring, { serializer, doorbell: this.options.asProducer(medium), recordSizeMax: this.options.recordSizeMax })
  }

  reader(channel: ChannelDeployment, serializer: TypeSerializer<unknown>, wake: () => void): ChannelReader {
    if (channel.peer.kind === 'slot') return this.local.reader(channel.channelId, wake)
    const medium = this.medium(channel)
    return new RingReader(medium.ring, { serializer, doorbell: this.options.asConsumer(medium), recordSizeMax: this.options.recordSizeMax })
  }

  private medium(channel: ChannelDeployment): ChannelMedium {
    const medium = this.options.medium(channel.channelId)
    assert(medium !== undefined, `channel ${channel.channelId} is wired`)
    return medium
  }
}
