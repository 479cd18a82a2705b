import type { HostDoorbell } from '../network/doorbell.ts'
import type { Doorbell } from '../network/frame.ts'
import type { PageReserver } from '../network/page-pool.ts'
import { RingReader, RingWriter } from '../network/ring-channel.ts'
import { BlockWriter } from './io-blocks.ts'
import { BLOCK_PAGES, type IoPortMessage } from './io-host-ring.ts'
import { type IoPort, IoRuntime, type IoRuntimeOptions } from './io-runtime.ts'

/**
 * The I/O worker of a TaskManager: async halves of connectors, and whatever else shares its doorbell (the data exchange).
 *
 * 1. `attach` for each slot's message port, before or after the slot runs; its `open-…` messages make ports.
 * 2. The worker sleeps on its bell. Armed first, then everything is looked at once more, so that no ring is lost.
 * 3. A message port that closes (its slot's thread has ended) closes all its ports.
 */
export interface IoWorkerParts extends IoRuntimeOptions {
  readonly bell: HostDoorbell
  /**
   * The TaskManager's pages: a port's rings were counted by its slot (`RingIoHostParts.pages`) and are given back here, also when the
   * slot has died. Given to both or to neither.
   */
  readonly pages?: PageReserver
  /** Woken together with the ports: the exchange's channels. */
  readonly others?: readonly { wake(): void }[]
}

/** What this needs of a `MessagePort`. */
export interface SlotPort {
  on(event: 'message', listener: (message: IoPortMessage) => void): unknown
  on(event: 'close', listener: () => void): unknown
}

export interface IoWorker {
  readonly runtime: IoRuntime
  /** `slotBell` is the slot's, rung when data or credit comes for it. */
  attach(port: SlotPort, slotBell: Doorbell): void
  close(): Promise<void>
}

export function startIoWorker(parts: IoWorkerParts): IoWorker {
  const { bell, log, others = [] } = parts
  const runtime = new IoRuntime(parts)
  let closed = false

  const loop = () => {
    if (closed) return
    const rung = bell.sleepUnlessRung(() => false)
    runtime.wake()
    for (const other of others) other.wake()
    // Rung while arming: the event loop still gets its turn, sockets and files live there.
    if (rung === undefined) setImmediate(loop)
    else void rung.then(loop)
  }
  loop()

  return {
    runtime,
    attach(port, slotBell) {
      const ports = new Map<number, IoPort>()
      const closePort = (portId: number) => {
        const closing = ports.get(portId)
        ports.delete(portId)
        closing?.close().catch(error => log.warn('a connector failed to close', { portId, error: String(error) }))
      }
      port.on('message', message => {
        if (closed) return
        if (message.kind === 'close') closePort(message.portId)
        else ports.set(message.portId, withPages(openPort(runtime, message, slotBell), pageCount(message), parts.pages))
      })
      port.on('close', () => {
        for (const portId of [...ports.keys()]) closePort(portId)
      })
    },
    async close() {
      closed = true
      bell.close()
      await runtime.close()
    },
  }
}

type OpenMessage = Exclude<IoPortMessage, { kind: 'close' }>

function openPort(runtime: IoRuntime, message: OpenMessage, slotBell: Doorbell): IoPort {
  const options = { serializer: undefined, doorbell: slotBell }
  const { type } = message
  if (message.kind === 'open-source') {
    const blocks = message.blocks === undefined ? undefined : new BlockWriter(message.blocks)
    return runtime.openSource(type, message.options, new RingWriter(message.data, options), new RingReader(message.commands, options), blocks)
  }
  return runtime.openSink(type, message.options, new RingReader(message.data, options), new RingWriter(message.events, options))
}

function pageCount(message: OpenMessage): number {
  const blocks = message.kind === 'open-source' && message.blocks !== undefined ? BLOCK_PAGES : 0
  return message.data.pages.length + (message.kind === 'open-source' ? message.commands : message.events).pages.length + blocks
}

function withPages(port: IoPort, count: number, pages: PageReserver | undefined): IoPort {
  if (pages === undefined) return port
  return {
    async close() {
      try {
        await port.close()
      } finally {
        pages.release(count)
      }
    },
  }
}
