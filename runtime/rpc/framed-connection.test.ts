import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../common/clock.ts'
import { createLogger } from '../common/log.ts'
import { FrameReader } from './frame-codec.ts'
import { FramedConnection } from './framed-connection.ts'

/** A connection over a real socket, and both its ends. */
async function pair(): Promise<{ connection: FramedConnection; own: Socket; peer: Socket; close(): void }> {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer(socket => accepted.resolve(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  const own = connect(address.port, '127.0.0.1')
  await new Promise<void>(resolve => own.once('connect', resolve))
  const settings = { clock: systemClock, log: createLogger(() => {}, 'error'), pingIntervalMs: 60_000, pingTimeoutMs: 60_000 }
  const connection = new FramedConnection(own, new FrameReader(1 << 20), 'peer-1', settings)
  return { connection, own, peer: await accepted.promise, close: () => void server.close() }
}

test.each(['says nothing', 'writes before it has noticed'])('a peer that is gone has closed the connection, also where this side %s', async what => {
  const { connection, own, peer, close } = await pair()
  const reason = new Promise<Error>(resolve => connection.onClose(resolve))
  // This side has ended too, behind the other one; 'close' has not come yet.
  if (what !== 'says nothing') own.once('finish', () => connection.notify('heartbeat', {}))
  peer.end()
  peer.resume()
  expect(await reason).toMatchObject({ code: 'CONNECTION_LOST', message: 'connection to peer-1 was closed by the other side' })
  own.destroy()
  peer.destroy()
  close()
})
