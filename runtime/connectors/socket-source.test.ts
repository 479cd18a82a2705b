import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { ConnectorHarness, operatorOf } from '../../test/support/connector-harness.ts'
import { SimulatedClock } from '../../test/support/simulated-clock.ts'
import type { SourceSplit } from '../stream/spi/source.ts'
import { builtInConnectorsOfEngine } from './built-in.ts'

const servers: Server[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => new Promise(resolve => server.close(resolve))))
})

async function listen(onConnection: (socket: Socket, index: number) => void): Promise<number> {
  let index = 0
  const server = createServer(socket => {
    socket.setNoDelay(true)
    onConnection(socket, index++)
  })
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as { port: number }).port
}

async function open(port: number, options: { retriesMax?: number; delimiter?: string; clock?: SimulatedClock } = {}): Promise<ConnectorHarness> {
  const definition = builtInConnectorsOfEngine.socket(
    { host: '127.0.0.1', port, delimiter: options.delimiter ?? '\n', retriesMax: options.retriesMax ?? 0 },
    undefined,
  )
  const harness = new ConnectorHarness(operatorOf(definition), options.clock === undefined ? {} : { clock: options.clock })
  const { splits } = (definition.source as { options: { splits: SourceSplit[] } }).options
  return harness.open(splits)
}

const turn = () => new Promise(resolve => setImmediate(resolve))

describe('socket text source', () => {
  test('lines span packets and end in LF or CRLF; the server closing ends the input, the last line included', async () => {
    const port = await listen(async socket => {
      for (const packet of ['hel', 'lo wor', 'ld\r', '\nsecond\nth', 'ird']) {
        socket.write(packet)
        await turn()
      }
      socket.end()
    })
    const harness = await open(port)
    await harness.run()
    expect(harness.values()).toEqual(['hello world', 'second', 'third'])
    await harness.close()
  })

  test('takes another delimiter and then keeps line feeds', async () => {
    const port = await listen(socket => socket.end('a\nb|;|c|;|'))
    const harness = await open(port, { delimiter: '|;|' })
    await harness.run()
    expect(harness.values()).toEqual(['a\nb', 'c'])
    await harness.close()
  })

  test('a refused connection names host and port', async () => {
    const port = await listen(() => {})
    await new Promise(resolve => servers.pop()?.close(resolve))
    const harness = await open(port)
    await expect(harness.run()).rejects.toMatchObject({ code: 'CONNECTION_REFUSED', message: expect.stringContaining(`127.0.0.1:${port}`) })
    await harness.close()
  })

  test('connects again as often as asked, one second apart, then ends', async () => {
    const clock = new SimulatedClock()
    const port = await listen((socket, index) => socket.end(`connection ${index}`))
    const harness = await open(port, { retriesMax: 2, clock })
    let done = false
    const run = harness.run().then(() => (done = true))
    const waits: number[] = []
    while (!done) {
      // Only a retry waits a second; the deadline of a connection attempt is later.
      const due = clock.nextDueMs()
      if (due !== undefined && due - clock.nowMs() <= 1_000) {
        waits.push(due - clock.nowMs())
        clock.advanceTo(due)
      }
      await turn()
    }
    await run
    expect(harness.values()).toEqual(['connection 0', 'connection 1', 'connection 2'])
    expect(waits).toEqual([1_000, 1_000])
    await harness.close()
  })

  test('closing the source closes the connection', async () => {
    let closed: () => void = () => {}
    const closing = new Promise<void>(resolve => {
      closed = resolve
    })
    const port = await listen(socket => {
      socket.on('close', () => closed())
      socket.on('error', () => {})
      socket.write('first\n')
    })
    const harness = await open(port)
    await harness.run(() => harness.rows.length === 1)
    await harness.close()
    await closing
    expect(harness.values()).toEqual(['first'])
  })

  test('a task that does not read holds the sender back', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 'x'.repeat(1023).concat('\n'))
    let accepted = 0
    const port = await listen(socket => {
      socket.on('error', () => {})
      const send = () => {
        while (accepted < 512 && socket.write(chunk)) accepted++
        if (accepted < 512) socket.once('drain', send)
      }
      send()
    })
    const harness = await open(port)
    harness.rowsPerPoll = 1
    await harness.run(() => harness.rows.length === 1)
    let before = -1
    for (let same = 0; same < 50; same = accepted === before ? same + 1 : 0) {
      before = accepted
      await turn()
    }
    expect(accepted).toBeLessThan(100)
    await harness.close()
  })
})
