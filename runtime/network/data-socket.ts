/** The sockets of the data plane, behind an interface so that simulation can replace them. Those of the cluster in production. */
import type { Socket } from 'node:net'
import { type ClusterSockets, plainSockets } from '../common/cluster-sockets.ts'
import { FlinkError } from '../common/errors.ts'

export interface DataSocket {
  readonly peer: string
  /**
   * Writes the pieces in order, without copying them: they must stay unchanged until `onWritten`, which is not called when the
   * connection is lost before.
   */
  write(pieces: readonly Uint8Array[], onWritten?: () => void): void
  /** Both are set once, before the event loop turns. `bytes` is valid only during the call. */
  onData(callback: (bytes: Uint8Array) => void): void
  /** Once, whoever ended it. A peer that closes its half ends both: the protocol has no use for the other. */
  onClose(callback: (error: Error | undefined) => void): void
  /** Lets what was written leave, then closes. */
  end(): void
  destroy(): void
}

export interface DataListener {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

export interface DataNetwork {
  listen(options: { readonly host: string; readonly port: number; readonly onConnection: (socket: DataSocket) => void }): Promise<DataListener>
  connect(options: { readonly host: string; readonly port: number }): Promise<DataSocket>
}

export function createTcpNetwork(clusterSockets: ClusterSockets = plainSockets): DataNetwork {
  return {
    listen({ host, port, onConnection }) {
      return new Promise((resolve, reject) => {
        const sockets = new Set<Socket>()
        const server = clusterSockets.createServer(['taskmanager'], socket => {
          sockets.add(socket)
          socket.on('close', () => sockets.delete(socket))
          onConnection(new TcpSocket(socket))
        })
        server.once('error', error => {
          const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          const message = inUse ? `port ${port} on ${host} is in use` : `cannot listen for data on ${host}:${port}: ${error.message}`
          reject(new FlinkError(inUse ? 'PORT_IN_USE' : 'EXTERNAL_SYSTEM', message, {}, error))
        })
        server.listen({ host, port }, () => {
          const address = server.address()
          // A server that listens on a host and port has an address object.
          const actualPort = typeof address === 'object' && address !== null ? address.port : port
          resolve({
            host,
            port: actualPort,
            close: () =>
              new Promise(done => {
                server.close(() => done())
                for (const socket of sockets) socket.destroy()
              }),
          })
        })
      })
    },
    connect({ host, port }) {
      return new Promise((resolve, reject) => {
        const onError = (error: Error) =>
          reject(new FlinkError('CONNECTION_REFUSED', `no TaskManager answers for data on ${host}:${port}: ${error.message}`, { host, port }, error))
        const socket = clusterSockets.connect({ host, port, peer: 'taskmanager' }, () => {
          socket.off('error', onError)
          resolve(new TcpSocket(socket))
        })
        socket.once('error', onError)
      })
    },
  }
}

class TcpSocket implements DataSocket {
  readonly peer: string
  private readonly socket: Socket
  private failure: Error | undefined = undefined
  private closeCallback: ((error: Error | undefined) => void) | undefined = undefined
  private closed = false

  constructor(socket: Socket) {
    this.socket = socket
    this.peer = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`
    socket.on('error', error => (this.failure = error))
    socket.on('close', () => {
      this.closed = true
      this.closeCallback?.(this.failure)
    })
  }

  write(pieces: readonly Uint8Array[], onWritten?: () => void): void {
    const { socket } = this
    if (!socket.writable) return
    // Corked pieces leave in one system call.
    socket.cork()
    const last = pieces.length - 1
    for (let i = 0; i < last; i++) socket.write(pieces[i]!)
    socket.write(pieces[last]!, onWritten === undefined ? undefined : error => (error ? undefined : onWritten()))
    socket.uncork()
  }

  onData(callback: (bytes: Uint8Array) => void): void {
    this.socket.on('data', callback)
  }

  onClose(callback: (error: Error | undefined) => void): void {
    this.closeCallback = callback
    if (this.closed) callback(this.failure)
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}
