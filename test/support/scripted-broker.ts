import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'

/**
 * A TCP server that speaks as much of Kafka's protocol as a client needs to list the partitions of one topic, or that misbehaves: `silent` takes
 * requests and never answers, `closes` ends every connection at once.
 */
export class ScriptedBroker {
  behaviour: 'answers' | 'silent' | 'closes' = 'answers'
  /** API keys of the requests that came, in order. */
  readonly requests: number[] = []
  connectionCount = 0
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private readonly topic: string
  private readonly partitions: number

  private constructor(topic: string, partitions: number) {
    this.topic = topic
    this.partitions = partitions
    this.server = createServer(socket => this.serve(socket))
  }

  static async start(topic: string, partitions: number): Promise<ScriptedBroker> {
    const broker = new ScriptedBroker(topic, partitions)
    broker.server.listen(0, '127.0.0.1')
    await once(broker.server, 'listening')
    return broker
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  /** Connections that the clients have not ended. */
  get open(): number {
    return this.sockets.size
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
    await once(this.server, 'close')
  }

  private serve(socket: Socket): void {
    this.connectionCount++
    this.sockets.add(socket)
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('error', () => {})
    if (this.behaviour === 'closes') return void socket.destroy()
    let received = Buffer.alloc(0)
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
        const end = 4 + received.readInt32BE(0)
        this.answer(socket, received.readInt16BE(4), received.readInt32BE(8))
        received = received.subarray(end)
      }
    })
  }

  private answer(socket: Socket, apiKey: number, correlationId: number): void {
    this.requests.push(apiKey)
    if (this.behaviour === 'silent') return
    const body = apiKey === API_VERSIONS ? apiVersions() : apiKey === METADATA ? this.metadata() : this.offsets()
    const header = Buffer.alloc(8)
    header.writeInt32BE(4 + body.length)
    header.writeInt32BE(correlationId, 4)
    socket.write(Buffer.concat([header, body]))
  }

  /** Version 9, behind the header's tags: this broker leads everything. */
  private metadata(): Buffer {
    const { port } = this.server.address() as AddressInfo
    const node = Buffer.concat([int32(1), compact('127.0.0.1'), int32(port), byte(0), byte(0)])
    const partitions = Array.from({ length: this.partitions }, (_, i) =>
      Buffer.concat([int16(0), int32(i), int32(1), int32(0), byte(1), byte(1), byte(1), byte(0)]),
    )
    const topic = Buffer.concat([int16(0), compact(this.topic), byte(0), byte(partitions.length + 1), ...partitions, int32(0), byte(0)])
    return Buffer.concat([byte(0), int32(0), byte(2), node, byte(0), int32(1), byte(2), topic, byte(0)])
  }

  /** ListOffsets, version 6: every partition is empty. */
  private offsets(): Buffer {
    const partitions = Array.from({ length: this.partitions }, (_, i) => Buffer.concat([int32(i), int16(0), int64(-1), int64(0), int32(-1), byte(0)]))
    const topic = Buffer.concat([compact(this.topic), byte(partitions.length + 1), ...partitions, byte(0)])
    return Buffer.concat([byte(0), int32(0), byte(2), topic, byte(0)])
  }
}

const API_VERSIONS = 18
const METADATA = 3

function apiVersions(): Buffer {
  const keys = [0, 1, 2, METADATA, 8, 9, 10, API_VERSIONS]
  return Buffer.concat([int16(0), int32(keys.length), ...keys.map(key => Buffer.concat([int16(key), int16(0), int16(20)]))])
}

function byte(value: number): Buffer {
  return Buffer.from([value])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}

function compact(text: string): Buffer {
  return Buffer.concat([byte(text.length + 1), Buffer.from(text)])
}
