import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import { type Clock, systemClock } from '../common/clock.ts'
import { createLogger, type LogEntry } from '../common/log.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import { createTcpNetwork, type DataNetwork, type DataSocket } from './data-socket.ts'
import { LocalHostDoorbell } from './doorbell.ts'
import { ExchangeClient } from './exchange-client.ts'
import * as protocol from './exchange-protocol.ts'
import type { ExchangeScope } from './exchange-scope.ts'
import { type ExchangeServer, startExchangeServer } from './exchange-server.ts'
import type { ChannelElement, Doorbell } from './frame.ts'
import { createUnpooledRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const strings: TypeSerializer<unknown> = { write: (value, out) => out.string(value as string), read: input => input.string() }
const scope: ExchangeScope = { jobId: 'job', generation: 1, region: 0, attempt: 2 }
const HOST = '127.0.0.1'
const silent: Doorbell = { ring: () => {} }

const rows = (...values: string[]): ChannelElement => ({ kind: 'object', rows: values, timestamps: undefined, rowKinds: undefined })

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Every socket made through it, so that tests can watch what is written and cut connections. */
function watchedNetwork() {
  const sockets: DataSocket[] = []
  const sent: { type: number; number: number; size: number }[] = []
  const watch = (socket: DataSocket): DataSocket => {
    sockets.push(socket)
    return {
      peer: socket.peer,
      write(pieces, onWritten) {
        const first = pieces[0]!
        sent.push({
          type: first[4]!,
          number: first.length >= 9 ? protocol.readU32(first, 5) : 0,
          size: first.length >= 13 ? protocol.readU32(first, 9) : 0,
        })
        socket.write(pieces, onWritten)
      },
      onData: callback => socket.onData(callback),
      onClose: callback => socket.onClose(callback),
      end: () => socket.end(),
      destroy: () => socket.destroy(),
    }
  }
  const network: DataNetwork = {
    listen: options => createTcpNetwork().listen({ ...options, onConnection: socket => options.onConnection(watch(socket)) }),
    connect: async options => watch(await createTcpNetwork().connect(options)),
  }
  return { network, sockets, sent }
}

async function setup({
  requestTimeoutMs = 10_000,
  clientToken = 'secret',
  clientClock = systemClock,
}: {
  requestTimeoutMs?: number
  clientToken?: string
  clientClock?: Clock
} = {}) {
  const watched = watchedNetwork()
  const gone: string[] = []
  const warnings: string[] = []
  const warned: LogEntry[] = []
  const log = createLogger(entry => {
    warnings.push(entry.message)
    warned.push(entry)
  }, 'warn')
  const server = await startExchangeServer({
    network: watched.network,
    clock: systemClock,
    log,
    host: HOST,
    port: 0,
    token: 'secret',
    requestTimeoutMs,
    onChannelGone: (_scope, channelId) => gone.push(channelId),
  })
  const client = new ExchangeClient({
    network: watched.network,
    clock: clientClock,
    log,
    token: clientToken,
    taskManagerId: 'tm-consumer',
    requestTimeoutMs,
  })
  cleanups.push(
    () => client.close(),
    () => server.close(),
  )
  const peer = { taskManagerId: 'tm-producer', host: HOST, dataPort: server.port }
  const ioWorker: Doorbell = {
    ring: () =>
      queueMicrotask(() => {
        server.pump()
        client.pump()
      }),
  }
  return { ...watched, gone, warnings, warned, server, client, peer, ioWorker }
}

/** A slot that writes `elements` into its ring as fast as it takes them. */
function produce(server: ExchangeServer, ioWorker: Doorbell, channelId: string, slots: number, elements: ChannelElement[], channelScope = scope) {
  const ring = createUnpooledRing(slots, 0, channelId, true)
  const writer = new RingWriter(ring, { serializer: strings, doorbell: ioWorker })
  const state: { error: unknown; sent: number } = { error: undefined, sent: 0 }
  const step = () => {
    try {
      while (writer.flush() && state.sent < elements.length && writer.offer(elements[state.sent]!)) state.sent++
    } catch (error) {
      state.error = error
    }
  }
  const bell: Doorbell = { ring: () => queueMicrotask(step) }
  step()
  server.register(channelScope, ring, bell)
  return state
}

/** A slot that reads until the end or an error. */
async function consume(
  client: ExchangeClient,
  peer: Parameters<ExchangeClient['request']>[1],
  ioWorker: Doorbell,
  channelId: string,
  slots: number,
  channelScope = scope,
) {
  // Each TaskManager numbers its rings for itself.
  const ring = createUnpooledRing(slots, 17, channelId, true)
  const host = new LocalHostDoorbell()
  const reader = new RingReader(ring, { serializer: strings, doorbell: ioWorker })
  client.request(channelScope, peer, ring, host)
  const got: unknown[] = []
  for (;;) {
    const element = reader.poll()
    if (element === undefined) await host.sleepUnlessRung(() => reader.queued > 0)
    else if (element.kind === 'object') got.push(...element.rows)
    else if (element.kind === 'end') {
      client.releaseChannel(channelScope, channelId)
      return got
    }
  }
}

describe('exchange over TCP', () => {
  test('two channels of one connection arrive complete and in order, with frames larger than either ring', async () => {
    const { server, client, peer, ioWorker, sockets } = await setup()
    const make = (name: string, count: number): ChannelElement[] => [
      ...Array.from({ length: count }, (_, i) => rows(`${name}${i}`, 'x'.repeat((i * 37_771) % 150_000))),
      { kind: 'end' },
    ]
    produce(server, ioWorker, 'e/0/0', 2, make('a', 60))
    produce(server, ioWorker, 'e/1/0', 1, make('b', 40))
    const [a, b] = await Promise.all([consume(client, peer, ioWorker, 'e/0/0', 1), consume(client, peer, ioWorker, 'e/1/0', 3)])
    expect(a).toEqual(make('a', 60).flatMap(e => (e.kind === 'object' ? e.rows : [])))
    expect(b).toEqual(make('b', 40).flatMap(e => (e.kind === 'object' ? e.rows : [])))
    // One connection, seen from both ends.
    expect(sockets).toHaveLength(2)
  })

  test('segments never exceed the credit that was granted before them', async () => {
    const { server, client, peer, ioWorker, sent } = await setup()
    produce(server, ioWorker, 'e/0/0', 4, [rows('y'.repeat(1_000_000)), ...Array.from({ length: 50 }, (_, i) => rows(`${i}`)), { kind: 'end' }])
    await consume(client, peer, ioWorker, 'e/0/0', 2)
    let credit = 0
    let segments = 0
    for (const message of sent) {
      if (message.type === protocol.REQUEST) credit += 2
      if (message.type === protocol.CREDIT) credit += message.size
      if (message.type === protocol.SEGMENT) {
        segments++
        credit--
      }
      expect(credit).toBeGreaterThanOrEqual(0)
      expect(credit).toBeLessThanOrEqual(2)
    }
    expect(segments).toBeGreaterThan(80)
  })

  test('a consumer that does not read holds the producer back', async () => {
    const { server, client, peer, ioWorker, sent } = await setup()
    const state = produce(
      server,
      ioWorker,
      'e/0/0',
      2,
      Array.from({ length: 100 }, (_, i) => rows(`${i}`)),
    )
    const ring = createUnpooledRing(3, 0, 'e/0/0', true)
    const done = new Promise<void>(resolve => {
      let count = 0
      client.request(scope, peer, ring, { ring: () => (++count === 3 ? resolve() : undefined) })
    })
    await done
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(sent.filter(message => message.type === protocol.SEGMENT)).toHaveLength(3)
    // Three over there, two in its own ring.
    expect(state.sent).toBe(5)
  })

  test('a channel requested before its producer registered it waits for it', async () => {
    const { server, client, peer, ioWorker, sent } = await setup()
    const consumed = consume(client, peer, ioWorker, 'e/0/0', 1)
    while (!sent.some(message => message.type === protocol.REQUEST)) await new Promise(setImmediate)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    produce(server, ioWorker, 'e/0/0', 1, [rows('late'), { kind: 'end' }])
    expect(await consumed).toEqual(['late'])
  })

  test('a channel that is never registered fails by name after the timeout', async () => {
    const { client, peer, ioWorker } = await setup({ requestTimeoutMs: 30 })
    await expect(consume(client, peer, ioWorker, 'e/9/9', 1)).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/channel e\/9\/9 .*not registered.* 30 ms/),
    })
  })

  test('the control lane crosses the connection past a full channel', async () => {
    const { server, client, peer, ioWorker } = await setup()
    const producerRing = createUnpooledRing(1, 0, 'e/0/0', true)
    const writer = new RingWriter(producerRing, { serializer: strings, doorbell: ioWorker })
    server.register(scope, producerRing, silent)
    const ring = createUnpooledRing(1, 0, 'e/0/0', true)
    const host = new LocalHostDoorbell()
    const reader = new RingReader(ring, { serializer: strings, doorbell: ioWorker })
    while (writer.offer(rows('x'))) {}
    writer.offerPriority({ kind: 'event', what: 'first', data: '' })
    client.request(scope, peer, ring, host)
    const seen: unknown[] = []
    while (seen.length < 2) {
      const entry = reader.pollPriority()
      if (entry === undefined) {
        await new Promise(setImmediate)
        continue
      }
      seen.push(entry.kind === 'event' && entry.what)
      writer.offerPriority({ kind: 'event', what: 'second', data: '' })
    }
    expect(seen).toEqual(['first', 'second'])
    expect(reader.poll()).toEqual(rows('x'))
  })
})

describe('a channel is gone, once, and its pages may be used again', () => {
  test('when its consumer has taken everything, not before, although its producer ended long ago', async () => {
    const { server, client, peer, ioWorker, gone } = await setup()
    produce(server, ioWorker, 'e/0/0', 2, [rows('x'), { kind: 'end' }])
    server.endServing(scope, 'e/0/0', true)
    expect(gone).toEqual([])
    expect(await consume(client, peer, ioWorker, 'e/0/0', 1)).toEqual(['x'])
    while (gone.length === 0) await new Promise(setImmediate)
    expect(gone).toEqual(['e/0/0'])
    server.endServing(scope, 'e/0/0', true)
    expect(gone).toEqual(['e/0/0'])
  })

  test('at once when its producer ended in disorder, as soon as no socket reads it', async () => {
    const { server, client, peer, ioWorker, gone } = await setup()
    produce(server, ioWorker, 'e/0/0', 1, [rows('x')])
    server.endServing(scope, 'e/0/0', false)
    expect(gone).toEqual(['e/0/0'])
    produce(server, ioWorker, 'e/1/0', 1, [rows('x')])
    const ring = createUnpooledRing(1, 0, 'e/1/0', true)
    await new Promise<void>(resolve => client.request(scope, peer, ring, { ring: resolve }))
    server.endServing(scope, 'e/1/0', false)
    while (gone.length < 2) await new Promise(setImmediate)
    expect(gone).toEqual(['e/0/0', 'e/1/0'])
  })

  test('when its connection was lost in the middle of sending', async () => {
    const { server, client, peer, ioWorker, gone, sockets } = await setup()
    produce(server, ioWorker, 'e/0/0', 2, [rows('x'.repeat(1_000_000))])
    const ring = createUnpooledRing(2, 0, 'e/0/0', true)
    await new Promise<void>(resolve => client.request(scope, peer, ring, { ring: resolve }))
    sockets[1]!.destroy()
    while (gone.length === 0) await new Promise(setImmediate)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(gone).toEqual(['e/0/0'])
  })

  test('when its producer ended in order and no consumer came within the request timeout', async () => {
    const { server, ioWorker, gone } = await setup({ requestTimeoutMs: 20 })
    produce(server, ioWorker, 'e/0/0', 1, [rows('x')])
    server.endServing(scope, 'e/0/0', true)
    expect(gone).toEqual([])
    while (gone.length === 0) await new Promise(setImmediate)
    expect(gone).toEqual(['e/0/0'])
  })

  test('when nobody fetched it before a newer attempt came', async () => {
    const { server, ioWorker, gone } = await setup()
    produce(server, ioWorker, 'e/0/0', 1, [rows('x')])
    server.endServing(scope, 'e/0/0', true)
    produce(server, ioWorker, 'e/0/0', 1, [rows('y')], { ...scope, attempt: 3 })
    expect(gone).toEqual(['e/0/0'])
  })
})

describe('refusals', () => {
  test('a wrong token', async () => {
    const { server, client, peer, ioWorker } = await setup({ clientToken: 'guess' })
    produce(server, ioWorker, 'e/0/0', 1, [{ kind: 'end' }])
    await expect(consume(client, peer, ioWorker, 'e/0/0', 1)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('wrong token'),
    })
  })

  test('an older attempt or generation than one that is known here', async () => {
    const { server, client, peer, ioWorker } = await setup()
    produce(server, ioWorker, 'e/0/0', 1, [{ kind: 'end' }])
    for (const stale of [
      { ...scope, attempt: 1 },
      { ...scope, generation: 0, attempt: 9 },
    ]) {
      await expect(consume(client, peer, ioWorker, 'e/0/0', 1, stale)).rejects.toMatchObject({
        code: 'STALE_GENERATION',
        message: expect.stringContaining('of job job is over'),
      })
    }
  })

  test('a connection of an older attempt ends when a newer one is registered', async () => {
    const { server, client, peer, ioWorker, sent } = await setup()
    const consumed = consume(client, peer, ioWorker, 'e/0/0', 1)
    const outcome = expect(consumed).rejects.toMatchObject({ code: 'STALE_GENERATION' })
    while (!sent.some(message => message.type === protocol.REQUEST)) await new Promise(setImmediate)
    produce(server, ioWorker, 'e/0/0', 1, [{ kind: 'end' }], { ...scope, attempt: 3 })
    await outcome
  })

  test('a second consumer of a channel', async () => {
    const { server, client, peer, ioWorker } = await setup()
    produce(server, ioWorker, 'e/0/0', 1, [rows('x')])
    const first = createUnpooledRing(1, 0, 'e/0/0', true)
    await new Promise<void>(resolve => client.request(scope, peer, first, { ring: resolve }))
    await expect(consume(client, peer, ioWorker, 'e/0/0', 1)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('already has a consumer'),
    })
  })

  test('a peer that speaks something else is answered and closed', async () => {
    const { peer } = await setup()
    for (const text of ['GET / HTTP/1.1\r\n\r\n', '\x02\x00\x00\x00\x04\x00']) {
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const socket = connect(peer.dataPort, HOST, () => socket.write(text))
        const chunks: Buffer[] = []
        socket.on('data', chunk => chunks.push(chunk))
        socket.on('close', () => resolve(Buffer.concat(chunks)))
        socket.on('error', reject)
      })
      expect(answer[4]).toBe(protocol.REFUSED)
      expect(answer.toString()).toMatch(/PROTOCOL_MISMATCH|UNAUTHENTICATED/)
    }
  })

  test('nobody listening', async () => {
    const { client, peer, ioWorker, server } = await setup()
    await server.close()
    await expect(consume(client, peer, ioWorker, 'e/0/0', 1)).rejects.toMatchObject({
      code: 'CONNECTION_REFUSED',
      message: expect.stringContaining('tm-producer'),
    })
  })
})

describe('a lost connection', () => {
  test('is an error of every channel on both sides, after the rows that had arrived', async () => {
    const { server, client, peer, ioWorker, sockets } = await setup()
    const endless = Array.from({ length: 1000 }, (_, i) => rows(`${i}`))
    const states = ['e/0/0', 'e/1/0'].map(id => produce(server, ioWorker, id, 1, endless))
    const readers = await Promise.all(
      ['e/0/0', 'e/1/0'].map(async id => {
        const ring = createUnpooledRing(2, 0, id, true)
        const reader = new RingReader(ring, { serializer: strings, doorbell: silent })
        const host = new LocalHostDoorbell()
        client.request(scope, peer, ring, host)
        while (reader.queued < 2) await host.sleepUnlessRung(() => reader.queued >= 2)
        return { reader, host, id }
      }),
    )
    sockets[0]!.destroy()
    for (const { reader, host, id } of readers) {
      expect(reader.poll()).toEqual(rows('0'))
      expect(reader.poll()).toEqual(rows('1'))
      await host.sleepUnlessRung(() => {
        try {
          reader.poll()
          return false
        } catch {
          return true
        }
      })
      expect(() => reader.poll()).toThrow(expect.objectContaining({ code: 'CONNECTION_LOST', message: expect.stringContaining(`channel ${id}`) }))
      expect(() => reader.poll()).toThrow('tm-producer')
    }
    while (states.some(state => state.error === undefined)) await new Promise(setImmediate)
    for (const state of states) expect(state.error).toMatchObject({ code: 'CONNECTION_LOST', message: expect.stringContaining('tm-consumer') })
  })

  test('is none when the consumer has released its attempt: nothing is logged and the pages of the producer are free', async () => {
    const { server, client, peer, ioWorker, gone, warnings } = await setup()
    const state = produce(server, ioWorker, 'e/0/0', 2, [rows('x'), { kind: 'end' }])
    const ring = createUnpooledRing(2, 0, 'e/0/0', true)
    const reader = new RingReader(ring, { serializer: strings, doorbell: silent })
    const host = new LocalHostDoorbell()
    client.request(scope, peer, ring, host)
    while (reader.queued < 2) await host.sleepUnlessRung(() => reader.queued >= 2)
    client.release(scope)
    while (gone.length === 0) await new Promise(setImmediate)
    await server.close()
    expect(gone).toEqual(['e/0/0'])
    expect(warnings).toEqual([])
    expect(state.error).toBeUndefined()
  })

  test.each([true, false])(
    'that the producer ended is warned of only when the attempt is not released here soon after: released %s',
    async released => {
      const clock = new SimulatedClock()
      const { server, client, peer, ioWorker, warned } = await setup({ clientClock: clock })
      produce(server, ioWorker, 'e/0/0', 2, [rows('x')])
      const ring = createUnpooledRing(2, 0, 'e/0/0', true)
      const reader = new RingReader(ring, { serializer: strings, doorbell: silent })
      const host = new LocalHostDoorbell()
      client.request(scope, peer, ring, host)
      while (reader.queued < 1) await host.sleepUnlessRung(() => reader.queued >= 1)
      server.release(scope)
      expect(reader.poll()).toEqual(rows('x'))
      // At once for the task, whatever is logged.
      for (let failed = false; !failed; ) {
        try {
          reader.poll()
          await new Promise(setImmediate)
        } catch (error) {
          expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
          failed = true
        }
      }
      clock.advanceBy(1_000)
      if (released) client.release(scope)
      clock.advanceBy(60_000)
      const said = { level: 'warn', message: 'data connection failed', fields: { peer: `${HOST}:${peer.dataPort}`, taskManagerId: 'tm-producer' } }
      expect(warned).toMatchObject(released ? [] : [said])
      expect(clock.pendingCount).toBe(0)
    },
  )

  test('is no error when the attempt was released', async () => {
    const { server, client, peer, ioWorker } = await setup()
    const state = produce(server, ioWorker, 'e/0/0', 1, [rows('x'), rows('y'), rows('z')])
    const ring = createUnpooledRing(1, 0, 'e/0/0', true)
    const reader = new RingReader(ring, { serializer: strings, doorbell: silent })
    await new Promise<void>(resolve => client.request(scope, peer, ring, { ring: resolve }))
    client.release(scope)
    server.release(scope)
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    expect(reader.poll()).toEqual(rows('x'))
    expect(reader.poll()).toBeUndefined()
    expect(state.error).toBeUndefined()
  })
})
