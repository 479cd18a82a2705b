import { connect as connectSocket, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { RpcConnection, RpcServer } from './connection.ts'
import { encodeFrame, FrameReader, frameBytesMax } from './frame-codec.ts'
import { createTcpTransport, equalInConstantTime, type TcpTransportOptions } from './tcp-transport.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource.close()
})

async function serve(
  options: Partial<TcpTransportOptions> = {},
): Promise<{ server: RpcServer; accepted: Promise<RpcConnection>; count: () => number }> {
  const first = Promise.withResolvers<RpcConnection>()
  let count = 0
  const server = await createTcpTransport({ clock: systemClock, ...options }).listen({
    host: '127.0.0.1',
    port: 0,
    token: 'right',
    onConnection: connection => {
      count++
      first.resolve(connection)
    },
  })
  open.push(server)
  return { server, accepted: first.promise, count: () => count }
}

async function dial(port: number, options: Partial<TcpTransportOptions> & { token?: string } = {}): Promise<RpcConnection> {
  const transport = createTcpTransport({ clock: systemClock, ...options })
  const connection = await transport.connect({
    host: '127.0.0.1',
    port,
    token: options.token ?? 'right',
    role: 'taskmanager',
    id: 'tm-1',
    timeoutMs: 5_000,
  })
  open.push(connection)
  return connection
}

function raw(port: number): Promise<Socket> {
  return new Promise(resolve => {
    const socket = connectSocket(port, '127.0.0.1', () => resolve(socket))
    socket.on('error', () => {})
    open.push({ close: () => socket.destroy() })
  })
}

/** Everything a socket says until it closes. */
function untilClosed(socket: Socket): Promise<JsonObject[]> {
  const frames: JsonObject[] = []
  const reader = new FrameReader(frameBytesMax)
  socket.on('data', (chunk: Uint8Array) => reader.push(chunk, frame => frames.push(frame)))
  return new Promise(resolve => socket.on('close', () => resolve(frames)))
}

const closed = (connection: RpcConnection) => new Promise<Error>(resolve => connection.onClose(resolve))

test('both sides call each other, and know each other by id', async () => {
  const { server, accepted } = await serve()
  const client = await dial(server.port)
  const onServer = await accepted
  onServer.onRequest((method, payload) => ({ method, payload }))
  client.onRequest(async (_, payload) => Number(payload['n']) * 2)
  expect(client.peerId).toBe('jobmanager')
  expect(onServer.peerId).toBe('tm-1')
  expect(await client.call('echo', { text: 'ä€𝄞', deep: { list: [1, null] } })).toEqual({
    method: 'echo',
    payload: { text: 'ä€𝄞', deep: { list: [1, null] } },
  })
  expect(await Promise.all([1, 2, 3].map(n => onServer.call('double', { n })))).toEqual([2, 4, 6])
})

test('a frame larger than many chunks arrives whole, and frames keep their order', async () => {
  const { server, accepted } = await serve()
  const client = await dial(server.port)
  const lengths: number[] = []
  ;(await accepted).onRequest((_, payload) => {
    lengths.push(String(payload['text']).length)
    return null
  })
  await Promise.all([5_000_000, 1, 70_000].map(length => client.call('put', { text: 'x'.repeat(length) })))
  expect(lengths).toEqual([5_000_000, 1, 70_000])
})

test("a handler's error reaches the caller with its code and cause", async () => {
  const { server, accepted } = await serve()
  const client = await dial(server.port)
  ;(await accepted).onRequest(() => {
    throw new FlinkError('STALE_GENERATION', 'too old', {}, new Error('inner'))
  })
  const error: FlinkError = await client.call('x', {}).then(
    () => {
      throw new Error('answered')
    },
    caught => caught,
  )
  expect(error).toMatchObject({ code: 'STALE_GENERATION', message: 'too old' })
  expect(error.cause).toMatchObject({ message: 'inner' })
})

test('a call that is not answered in time is a TIMEOUT, and its late answer is dropped', async () => {
  const { server, accepted } = await serve()
  const client = await dial(server.port)
  const late = Promise.withResolvers<null>()
  ;(await accepted).onRequest(method => (method === 'slow' ? late.promise : 'quick'))
  await expect(client.call('slow', {}, 20)).rejects.toMatchObject({ code: 'TIMEOUT' })
  late.resolve(null)
  expect(await client.call('quick', {})).toBe('quick')
})

test('a wrong token is UNAUTHENTICATED, learns nothing else, and is closed', async () => {
  const { server, count } = await serve()
  await expect(dial(server.port, { token: 'wrong' })).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: 'the token of the rpc hello is missing or wrong',
  })
  const socket = await raw(server.port)
  const frames = untilClosed(socket)
  socket.write(encodeFrame({ kind: 'hello', token: 'nope', protocolVersion: 99, id: 'x' }))
  expect(await frames).toMatchObject([{ kind: 'refused', error: { code: 'UNAUTHENTICATED' } }])
  expect(count()).toBe(0)
})

test('another protocol version is refused by name', async () => {
  const { server } = await serve()
  const socket = await raw(server.port)
  const frames = untilClosed(socket)
  socket.write(encodeFrame({ kind: 'hello', token: 'right', protocolVersion: 99, id: 'x', role: 'taskmanager' }))
  expect(await frames).toMatchObject([
    { kind: 'refused', error: { code: 'PROTOCOL_MISMATCH', message: 'the peer speaks rpc protocol 99, this process 1' } },
  ])
})

test('a stranger may neither announce a large frame, nor send something else, nor stay silent', async () => {
  const { server, count } = await serve({ helloTimeoutMs: 50 })
  const large = await raw(server.port)
  const largeClosed = untilClosed(large)
  large.write(new Uint8Array([0x7f, 0xff, 0xff, 0xff, 1, 2, 3]))
  await largeClosed
  const http = await raw(server.port)
  const httpClosed = untilClosed(http)
  http.write('GET / HTTP/1.1\r\n\r\n')
  await httpClosed
  const silent = await raw(server.port)
  expect(await untilClosed(silent)).toMatchObject([{ kind: 'refused', error: { code: 'TIMEOUT' } }])
  expect(count()).toBe(0)
})

test('a peer that sends an oversized frame loses its connection', async () => {
  const { server, accepted } = await serve()
  const socket = await raw(server.port)
  socket.write(encodeFrame({ kind: 'hello', token: 'right', protocolVersion: 1, id: 'tm-1', role: 'taskmanager' }))
  const reason = closed(await accepted)
  socket.write(new Uint8Array([0xff, 0xff, 0xff, 0xff]))
  expect(await reason).toMatchObject({ code: 'PROTOCOL_MISMATCH' })
})

test('an own frame that is too large is refused where it is sent', async () => {
  const { server } = await serve()
  const client = await dial(server.port)
  await expect(client.call('put', { text: 'x'.repeat(frameBytesMax) })).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
})

test('a peer that dies fails the calls that wait for it, once, and tells why', async () => {
  const { server, accepted } = await serve()
  const socket = await raw(server.port)
  socket.write(encodeFrame({ kind: 'hello', token: 'right', protocolVersion: 1, id: 'tm-1', role: 'taskmanager' }))
  const connection = await accepted
  const reasons: string[] = []
  connection.onClose(reason => reasons.push(reason.message))
  const call = connection.call('x', {})
  socket.resetAndDestroy()
  await expect(call).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  await expect(connection.call('y', {})).rejects.toMatchObject({ code: 'CONNECTION_LOST' })
  connection.close()
  expect(reasons).toHaveLength(1)
})

test('closing one side closes the other', async () => {
  const { server, accepted } = await serve()
  const client = await dial(server.port)
  const reason = closed(await accepted)
  client.close('done')
  expect(await reason).toMatchObject({ code: 'CONNECTION_LOST' })
})

test('a peer that is connected but says nothing is noticed by pings', async () => {
  const { server, accepted } = await serve({ pingIntervalMs: 10, pingTimeoutMs: 50 })
  const socket = await raw(server.port)
  socket.write(encodeFrame({ kind: 'hello', token: 'right', protocolVersion: 1, id: 'tm-1', role: 'taskmanager' }))
  expect(await closed(await accepted)).toMatchObject({ message: expect.stringMatching(/^nothing was heard from tm-1 for \d+ ms$/) })
})

test('pings keep an idle connection alive', async () => {
  const { server, accepted } = await serve({ pingIntervalMs: 5, pingTimeoutMs: 1_500 })
  const client = await dial(server.port, { pingIntervalMs: 5, pingTimeoutMs: 1_500 })
  ;(await accepted).onRequest(() => 'alive')
  // Longer than the timeout, which is itself longer than a loaded machine holds up an event loop.
  await new Promise<void>(resolve => systemClock.schedule(2_000, resolve, { ref: true }))
  expect(await client.call('x', {})).toBe('alive')
})

test('connecting names the address when nobody listens, and when somebody else does', async () => {
  const other = createServer(socket =>
    socket
      .on('error', () => {})
      .resume()
      .end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  )
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
  const address = other.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  await expect(dial(port)).rejects.toMatchObject({ code: 'PROTOCOL_MISMATCH' })
  await new Promise(resolve => other.close(resolve))
  await expect(dial(port)).rejects.toMatchObject({
    code: 'CONNECTION_REFUSED',
    message: `cannot connect to the jobmanager at 127.0.0.1:${port}: ECONNREFUSED`,
  })
})

test('a port in use is named', async () => {
  const { server } = await serve()
  const again = createTcpTransport({ clock: systemClock }).listen({ host: '127.0.0.1', port: server.port, token: 'x', onConnection: () => {} })
  await expect(again).rejects.toMatchObject({ code: 'PORT_IN_USE', message: `port ${server.port} on 127.0.0.1 is in use` })
})

test('tokens are compared whole', () => {
  expect(equalInConstantTime('abc', 'abc')).toBe(true)
  for (const wrong of ['', 'ab', 'abcabc', 'abd', 'xbc', 'abc\0']) expect(equalInConstantTime(wrong, 'abc')).toBe(false)
  expect(equalInConstantTime('', '')).toBe(true)
})
