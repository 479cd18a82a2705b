import type { JsonObject } from '../common/json.ts'
import { callbackDoorbell } from '../network/doorbell.ts'
import { LocalChannel } from '../network/local-channel.ts'
import type { IoHost, SinkPort, SourcePort } from '../stream/spi/io-host.ts'
import { ChannelSinkPort, ChannelSourcePort } from './io-ports.ts'
import type { IoPort, IoRuntime } from './io-runtime.ts'

/**
 * Both halves of connectors in one thread: for the in-process slot host, simulation and tests. The same credits as between threads;
 * the async half runs in a turn of its own, never inside a call of the slot.
 */
export class LocalIoHost implements IoHost {
  private readonly runtime: IoRuntime
  private readonly wake: () => void
  private readonly post: (callback: () => void) => void
  private posted = false

  /** `wake` puts the task back into its run queue; `post` runs a callback soon, in order (simulation brings its own). */
  constructor(runtime: IoRuntime, wake: () => void, post: (callback: () => void) => void = queueMicrotask) {
    this.runtime = runtime
    this.wake = wake
    this.post = post
  }

  /** `blocks` need no memory of their own here: what a fetcher hands over is the slot's. */
  openSource(type: string, options: JsonObject): SourcePort {
    const data = new LocalChannel(CREDITS, this.slotBell, this.ioBell)
    const commands = new LocalChannel(CREDITS, this.ioBell, this.slotBell)
    const port = this.runtime.openSource(type, options, data.writer, commands.reader)
    return new ChannelSourcePort(data.reader, commands.writer, () => closeQuietly(port))
  }

  openSink(type: string, options: JsonObject): SinkPort {
    const data = new LocalChannel(CREDITS, this.ioBell, this.slotBell)
    const events = new LocalChannel(CREDITS, this.slotBell, this.ioBell)
    const port = this.runtime.openSink(type, options, data.reader, events.writer)
    return new ChannelSinkPort(data.writer, events.reader, false, () => closeQuietly(port))
  }

  private readonly slotBell = callbackDoorbell(() => this.wake())

  private readonly ioBell = callbackDoorbell(() => {
    if (this.posted) return
    this.posted = true
    this.post(() => {
      this.posted = false
      this.runtime.wake()
    })
  })
}

const CREDITS = 4

/** The task that owned the port has ended: a connector that fails to close has nobody to tell but the log of the host. */
function closeQuietly(port: IoPort): void {
  void port.close().catch(() => {})
}
