import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import { type Doorbell, PAGE_SIZE } from '../network/frame.ts'
import type { PageReserver } from '../network/page-pool.ts'
import { createUnpooledRing, type RingDescriptor } from '../network/ring.ts'
import { RingReader, RingWriter } from '../network/ring-channel.ts'
import type { IoHost, SinkPort, SourcePort, SourceTransfer } from '../stream/spi/io-host.ts'
import { BLOCK_COUNT, BLOCK_SIZE, BlockReader, type BlocksDescriptor, createBlocks } from './io-blocks.ts'
import { ChannelSinkPort, ChannelSourcePort } from './io-ports.ts'

/**
 * Slot side of connectors' ports over shared rings. The slot makes the rings itself, counted against the TaskManager's pages (the
 * I/O worker gives them back when it closes the port), and tells it over the message port it was given; main is not asked. Messages, slot to I/O worker:
 * 1. `open-source` / `open-sink` with the two rings. Rows may be offered at once: the ring holds them until the other side attaches.
 * 2. `close` when the task closes its operator. A slot that dies instead closes its message port, which closes all its ports.
 */
export type IoPortMessage =
  | {
      readonly kind: 'open-source'
      readonly portId: number
      readonly type: string
      readonly options: JsonObject
      readonly data: RingDescriptor
      readonly commands: RingDescriptor
      /** The fetcher's bytes go there. */
      readonly blocks: BlocksDescriptor | undefined
    }
  | {
      readonly kind: 'open-sink'
      readonly portId: number
      readonly type: string
      readonly options: JsonObject
      readonly data: RingDescriptor
      readonly events: RingDescriptor
    }
  | { readonly kind: 'close'; readonly portId: number }

export interface RingIoHostParts {
  /** To the I/O worker's `IoWorker.attach`. */
  post(message: IoPortMessage): void
  /** The I/O worker's bell. */
  readonly ioBell: Doorbell
  readonly pages?: PageReserver
}

export class RingIoHost implements IoHost {
  private readonly parts: RingIoHostParts
  private nextPortId = 0

  constructor(parts: RingIoHostParts) {
    this.parts = parts
  }

  openSource(type: string, options: JsonObject, transfer: SourceTransfer = 'ring'): SourcePort {
    const { ioBell } = this.parts
    const portId = this.nextPortId++
    const inBlocks = transfer === 'blocks'
    const [data, commands] = this.rings(type, portId, inBlocks ? REFERENCE_PAGES : SOURCE_DATA_PAGES, inBlocks ? BLOCK_PAGES : 0)
    const blocks = inBlocks ? createBlocks() : undefined
    this.parts.post({ kind: 'open-source', portId, type, options, data, commands, blocks })
    const close = () => this.parts.post({ kind: 'close', portId })
    return new ChannelSourcePort(
      new RingReader(data, { serializer: undefined, doorbell: ioBell }),
      new RingWriter(commands, { serializer: undefined, doorbell: ioBell }),
      close,
      blocks === undefined ? undefined : new BlockReader(blocks, ioBell),
    )
  }

  openSink(type: string, options: JsonObject): SinkPort {
    const { ioBell } = this.parts
    const portId = this.nextPortId++
    const [data, events] = this.rings(type, portId, SINK_DATA_PAGES)
    this.parts.post({ kind: 'open-sink', portId, type, options, data, events })
    const close = () => this.parts.post({ kind: 'close', portId })
    return new ChannelSinkPort(
      new RingWriter(data, { serializer: undefined, doorbell: ioBell }),
      new RingReader(events, { serializer: undefined, doorbell: ioBell }),
      true,
      close,
    )
  }

  private rings(type: string, portId: number, dataPages: number, others = 0): [RingDescriptor, RingDescriptor] {
    const needed = dataPages + CONTROL_PAGES + others
    if (this.parts.pages !== undefined && !this.parts.pages.tryReserve(needed))
      throw new FlinkError(
        'INSUFFICIENT_NETWORK_BUFFERS',
        `insufficient number of network buffers: connector ${type} needs ${needed} pages; raise taskmanager.memory.network.min`,
      )
    return [
      createUnpooledRing(dataPages, 2 * portId, `io/${type}/${portId}/data`),
      createUnpooledRing(CONTROL_PAGES, 2 * portId + 1, `io/${type}/${portId}/control`),
    ]
  }
}

/** A fetcher's chunk of 64 KiB and the next one behind it. */
const SOURCE_DATA_PAGES = 6
/** A reference for every block, and an event behind them. */
const REFERENCE_PAGES = BLOCK_COUNT + 1
/** What blocks count for in the TaskManager's pages. */
export const BLOCK_PAGES = (BLOCK_COUNT * BLOCK_SIZE) / PAGE_SIZE
const SINK_DATA_PAGES = 4
const CONTROL_PAGES = 1
