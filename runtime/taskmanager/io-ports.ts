import { assert } from '../common/assert.ts'
import type { JsonObject } from '../common/json.ts'
import type { ChannelElement, ChannelReader, ChannelWriter } from '../network/frame.ts'
import type { SinkPort, SourcePort } from '../stream/spi/io-host.ts'
import type { BlockReader } from './io-blocks.ts'

/** A slot's ends of the channel pairs to the I/O worker, over any medium. */
export class ChannelSourcePort implements SourcePort {
  private readonly data: ChannelReader
  private readonly commands: ChannelWriter
  private readonly onClose: () => void
  private readonly blocks: BlockReader | undefined
  /** Commands without credit. Not bounded: there is one per split and per completed checkpoint. */
  private waiting: ChannelElement[] = []
  private closed = false

  /** With `blocks`, the bytes that come are references into them. */
  constructor(data: ChannelReader, commands: ChannelWriter, onClose: () => void, blocks?: BlockReader) {
    this.data = data
    this.commands = commands
    this.onClose = onClose
    this.blocks = blocks
  }

  poll(): ChannelElement | undefined {
    this.pumpCommands()
    const { blocks } = this
    blocks?.release()
    const element = this.data.poll()
    return blocks === undefined || element?.kind !== 'raw' ? element : { ...element, bytes: blocks.open(element.bytes) }
  }

  send(what: string, data: JsonObject): void {
    this.waiting.push({ kind: 'event', what, data: JSON.stringify(data) })
    this.pumpCommands()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.waiting = []
    this.onClose()
    this.data.close()
    this.commands.close()
  }

  private pumpCommands(): void {
    if (!this.commands.flush() || this.waiting.length === 0) return
    let sent = 0
    while (sent < this.waiting.length && this.commands.offer(this.waiting[sent]!)) sent++
    if (sent > 0) this.waiting = this.waiting.slice(sent)
  }
}

export class ChannelSinkPort implements SinkPort {
  private readonly data: ChannelWriter
  private readonly events: ChannelReader
  private readonly onClose: () => void
  private readonly copies: boolean
  private closed = false

  /** `copies`: the medium copies what it is offered; otherwise the bytes are copied here. */
  constructor(data: ChannelWriter, events: ChannelReader, copies: boolean, onClose: () => void) {
    this.data = data
    this.events = events
    this.copies = copies
    this.onClose = onClose
  }

  offer(bytes: Uint8Array, tag = 0): boolean {
    assert(!this.closed, 'nothing is offered to a closed port')
    return this.data.offer({ kind: 'raw', tag, position: 0, bytes: this.copies ? bytes : bytes.slice() })
  }

  send(what: string, data: JsonObject): boolean {
    return this.data.offer({ kind: 'event', what, data: JSON.stringify(data) })
  }

  poll(): ChannelElement | undefined {
    // The rest of a large frame goes on whenever the task is awake.
    this.data.flush()
    return this.events.poll()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    // What was taken is to arrive; a frame whose rest finds no room now is lost with the task.
    this.data.flush()
    this.onClose()
    this.events.close()
    this.data.close()
  }
}
