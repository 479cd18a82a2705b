import { MessageChannel } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import { noLog } from '../common/log.ts'
import { createDoorbellBuffer, SharedDoorbell, SharedHostDoorbell } from '../network/doorbell.ts'
import type { ChannelElement } from '../network/frame.ts'
import { PageBudget } from '../network/page-pool.ts'
import type { ConnectorRegistry, FetcherSink, IoHost, SinkPort, SourcePort } from '../stream/spi/io-host.ts'
import { LocalIoHost } from './io-host-local.ts'
import { type IoPortMessage, RingIoHost } from './io-host-ring.ts'
import { IoRuntime } from './io-runtime.ts'
import { startIoWorker } from './io-worker.ts'

/** Both media must behave the same; each test runs on each. */
interface Medium {
  readonly io: IoHost
  /** Resolves when the slot was woken. */
  woken(): Promise<void>
  close(): Promise<void>
  /** The slot's thread ends without a word. */
  die(): void
  readonly usedPages: () => number
}

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

function parts(registry: ConnectorRegistry) {
  return { registry, clock: systemClock, log: noLog, taskManager: { id: 'tm', stdout: () => {}, stderr: () => {} } }
}

function localMedium(registry: ConnectorRegistry): Medium {
  const runtime = new IoRuntime(parts(registry))
  let ring: () => void = () => {}
  const io = new LocalIoHost(runtime, () => ring())
  const woken = () =>
    new Promise<void>(resolve => {
      ring = resolve
      setImmediate(resolve)
    })
  return { io, woken, close: () => runtime.close(), die() {}, usedPages: () => 0 }
}

function ringMedium(registry: ConnectorRegistry): Medium {
  const [ioBuffer, slotBuffer] = [createDoorbellBuffer(), createDoorbellBuffer()]
  const pages = PageBudget.create(256)
  const { port1, port2 } = new MessageChannel()
  const worker = startIoWorker({ ...parts(registry), bell: new SharedHostDoorbell(ioBuffer), pages })
  worker.attach(port2, new SharedDoorbell(slotBuffer))
  const io = new RingIoHost({ post: (message: IoPortMessage) => port1.postMessage(message), ioBell: new SharedDoorbell(ioBuffer), pages })
  const close = async () => {
    port1.close()
    await worker.close()
  }
  return { io, woken: () => new Promise(resolve => setImmediate(resolve)), close, die: () => port1.close(), usedPages: () => pages.used }
}

function open(kind: 'local' | 'rings', registry: ConnectorRegistry): Medium {
  const medium = kind === 'local' ? localMedium(registry) : ringMedium(registry)
  closers.push(medium.close)
  return medium
}

async function next(port: SourcePort | SinkPort, medium: Medium): Promise<ChannelElement> {
  for (;;) {
    const element = port.poll()
    if (element !== undefined) return element
    await medium.woken()
  }
}

async function eventually(medium: Medium, condition: () => boolean): Promise<void> {
  while (!condition()) await medium.woken()
}

describe.each(['local', 'rings'] as const)('ports over %s', kind => {
  test('bytes and events of a fetcher arrive in order and are copies', async () => {
    const shared = new Uint8Array([1, 2, 3])
    const medium = open(kind, {
      sinks: {},
      fetchers: {
        count: (_options, sink) => ({
          async command(what, data) {
            for (let i = 0; i < 20; i++) {
              shared[0] = i
              await sink.write(7, i * 3, shared)
            }
            await sink.event('finished', { what, ...data })
          },
          close: async () => {},
        }),
      },
    })
    const port = medium.io.openSource('count', {})
    port.send('go', { tag: 7 })
    const elements: ChannelElement[] = []
    while (elements.at(-1)?.kind !== 'event') elements.push(await next(port, medium))
    expect(elements.slice(0, 20)).toEqual(
      Array.from({ length: 20 }, (_, i) => ({ kind: 'raw', tag: 7, position: i * 3, bytes: new Uint8Array([i, 2, 3]) })),
    )
    expect(elements[20]).toEqual({ kind: 'event', what: 'finished', data: JSON.stringify({ what: 'go', tag: 7 }) })
    port.close()
  })

  test('a fetcher is held back while nobody reads, and let go with an error when the port closes', async () => {
    let written = 0
    let stopped: unknown
    const medium = open(kind, {
      sinks: {},
      fetchers: {
        endless: (_options, sink: FetcherSink, { signal }) => {
          const run = (async () => {
            for (;;) {
              await sink.write(0, 0, new Uint8Array(64 * 1024))
              written++
            }
          })().catch(error => {
            stopped = { error, aborted: signal.aborted }
          })
          return { command() {}, close: () => run }
        },
      },
    })
    const port = medium.io.openSource('endless', {})
    await next(port, medium)
    let before = -1
    for (let same = 0; same < 20; same = written === before ? same + 1 : 0) {
      before = written
      await medium.woken()
    }
    expect(written).toBeLessThan(10)
    await next(port, medium)
    await next(port, medium)
    port.close()
    await eventually(medium, () => stopped !== undefined)
    expect(stopped).toMatchObject({ aborted: true, error: { code: 'CANCELLED' } })
    await eventually(medium, () => medium.usedPages() === 0)
  })

  test('blocks arrive in order, read where they were filled, and hold the fetcher back while nobody reads', async () => {
    const count = 12
    let filled = 0
    let stopped: unknown
    const medium = open(kind, {
      sinks: {},
      fetchers: {
        blocks: (_options, sink: FetcherSink) => ({
          command: () => {
            const run = async () => {
              for (let i = 0; i < count; i++) {
                const block = await sink.block()
                block.fill(i, 10, 1000)
                filled++
                await sink.writeBlock(3, i * 990, 10, 1000)
              }
              await sink.event('finished', {})
              for (;;) {
                await sink.block()
                await sink.writeBlock(3, 0, 0, 1)
              }
            }
            run().catch(error => {
              stopped = error
            })
          },
          close: async () => {},
        }),
      },
    })
    const port = medium.io.openSource('blocks', {}, 'blocks')
    port.send('go', {})
    let before = -1
    for (let same = 0; same < 20; same = filled === before ? same + 1 : 0) {
      before = filled
      await medium.woken()
    }
    expect(filled).toBeLessThan(8)
    for (let i = 0; i < count; i++) {
      const element = await next(port, medium)
      expect(element).toEqual({ kind: 'raw', tag: 3, position: i * 990, bytes: new Uint8Array(990).fill(i) })
    }
    expect(await next(port, medium)).toMatchObject({ what: 'finished' })
    port.close()
    await eventually(medium, () => stopped !== undefined)
    expect(stopped).toMatchObject({ code: 'CANCELLED' })
    await eventually(medium, () => medium.usedPages() === 0)
  })

  test('large bytes pass whole', async () => {
    const big = Uint8Array.from({ length: 1_000_000 }, (_, i) => i % 251)
    const medium = open(kind, {
      sinks: {},
      fetchers: { big: (_options, sink) => ({ command: () => void sink.write(1, 2, big), close: async () => {} }) },
    })
    const port = medium.io.openSource('big', {})
    port.send('go', {})
    const element = await next(port, medium)
    expect(element.kind === 'raw' && Buffer.compare(element.bytes, big)).toBe(0)
    port.close()
  })

  test('a sink takes one thing at a time, in order, and offers beyond the credit are refused', async () => {
    const taken: string[] = []
    let running = 0
    let release: (() => void) | undefined
    const medium = open(kind, {
      fetchers: {},
      sinks: {
        slow: () => ({
          async write(bytes) {
            expect(++running).toBe(1)
            await new Promise<void>(resolve => {
              release = resolve
            })
            taken.push(Buffer.from(bytes).toString())
            running--
          },
          command(what, _data, reply) {
            expect(running).toBe(0)
            reply('finished', { what, taken: taken.length })
          },
          close: async () => {},
        }),
      },
    })
    const port = medium.io.openSink('slow', {})
    let offered = 0
    while (port.offer(Buffer.from(String(offered)))) offered++
    expect(offered).toBeLessThan(20)
    let event: ChannelElement | undefined
    let sent = false
    while (event === undefined) {
      if (!sent) sent = port.send('end', {})
      release?.()
      release = undefined
      await medium.woken()
      event = port.poll()
    }
    expect(event).toEqual({ kind: 'event', what: 'finished', data: JSON.stringify({ what: 'end', taken: offered }) })
    expect(taken).toEqual(Array.from({ length: offered }, (_, i) => String(i)))
    port.close()
  })

  test('what fails in an async half becomes an error event, and the rest is taken and dropped', async () => {
    let closed = 0
    const medium = open(kind, {
      fetchers: {
        broken: () => {
          throw new FlinkError('CONNECTION_REFUSED', 'nobody there')
        },
      },
      sinks: {
        broken: () => ({
          write: async () => {
            throw new FlinkError('EXTERNAL_SYSTEM', 'disk full')
          },
          command() {},
          close: async () => void closed++,
        }),
      },
    })
    expect(await next(medium.io.openSource('broken', {}), medium)).toMatchObject({
      kind: 'event',
      what: 'error',
      data: expect.stringContaining('nobody there'),
    })
    expect(await next(medium.io.openSource('unknown', {}), medium)).toMatchObject({ what: 'error', data: expect.stringContaining('unknown') })
    const sink = medium.io.openSink('broken', {})
    let offered = 0
    await eventually(medium, () => {
      if (sink.offer(new Uint8Array(1000))) offered++
      return offered === 100
    })
    expect(await next(sink, medium)).toMatchObject({
      what: 'error',
      data: JSON.stringify({ tag: -1, code: 'EXTERNAL_SYSTEM', message: 'disk full' }),
    })
    sink.close()
    await eventually(medium, () => closed === 1)
  })
})

test('when a slot dies its ports are closed and their pages come back', async () => {
  let closed = 0
  const medium = open('rings', { sinks: {}, fetchers: { idle: () => ({ command() {}, close: async () => void closed++ }) } })
  medium.io.openSource('idle', {})
  medium.io.openSource('idle', {})
  expect(medium.usedPages()).toBeGreaterThan(0)
  medium.die()
  await eventually(medium, () => closed === 2)
  expect(medium.usedPages()).toBe(0)
})

test('without pages a connector is refused by name', () => {
  const io = new RingIoHost({ post: () => {}, ioBell: { ring() {} }, pages: PageBudget.create(2) })
  expect(() => io.openSink('print', {})).toThrow(/insufficient number of network buffers: connector print needs \d+ pages/)
})
