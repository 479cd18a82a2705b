import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

/**
 * A port on every loopback address where connections are neither taken nor refused: its process never accepts, and its queue is full, so the kernel
 * drops what asks for a connection. As behind a firewall that drops.
 */
export class BlackHole {
  readonly port: number
  private readonly worker: Worker
  private readonly fillers: readonly Socket[]

  private constructor(port: number, worker: Worker, fillers: readonly Socket[]) {
    this.port = port
    this.worker = worker
    this.fillers = fillers
  }

  static async open(): Promise<BlackHole> {
    const worker = new Worker(LISTENER, { eval: true })
    const [port] = (await once(worker, 'message')) as [number]
    const fillers = Array.from({ length: QUEUE_LENGTH + 2 }, () => connect(port, '127.0.0.1').on('error', () => {}))
    await Promise.all(fillers.slice(0, QUEUE_LENGTH).map(filler => once(filler, 'connect')))
    return new BlackHole(port, worker, fillers)
  }

  async close(): Promise<void> {
    for (const filler of this.fillers) filler.destroy()
    await this.worker.terminate()
  }
}

/** A backlog of one takes two. */
const QUEUE_LENGTH = 2

const LISTENER = `
  const { parentPort } = require('node:worker_threads')
  const server = require('node:net').createServer().listen({ port: 0, host: '0.0.0.0', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    // Once the message is out, this thread's loop stands still.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })
`
