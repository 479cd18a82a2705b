import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'

/** Frames of the control plane: four bytes of length, big endian, then that many bytes of JSON in UTF-8. */
export const frameBytesMax = 64 * 1024 * 1024
/** Before the token is checked nobody may make us hold more than this. */
export const helloBytesMax = 8 * 1024

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export function encodeFrame(message: JsonObject): Uint8Array {
  const body = encoder.encode(JSON.stringify(message))
  if (body.length > frameBytesMax) {
    throw new FlinkError('RECORD_TOO_LARGE', `an rpc frame of ${body.length} bytes exceeds ${frameBytesMax} bytes`, { bytes: body.length })
  }
  const frame = new Uint8Array(4 + body.length)
  new DataView(frame.buffer).setUint32(0, body.length)
  frame.set(body, 4)
  return frame
}

/** Cuts a byte stream into frames. Holds one unfinished frame. */
export class FrameReader {
  /** Raised once the peer is known. */
  maxBytes: number
  private readonly header = new Uint8Array(4)
  private headerLength = 0
  private body: Uint8Array | undefined = undefined
  private bodyLength = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Hands every frame that `chunk` completes to `onFrame`, in order. Throws PROTOCOL_MISMATCH on bytes that are no frame. */
  push(chunk: Uint8Array, onFrame: (message: JsonObject) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.body === undefined) {
        this.header[this.headerLength++] = chunk[at++] ?? 0
        if (this.headerLength === 4) this.startBody()
      } else {
        const part = chunk.subarray(at, at + this.body.length - this.bodyLength)
        this.body.set(part, this.bodyLength)
        this.bodyLength += part.length
        at += part.length
      }
      if (this.body !== undefined && this.bodyLength === this.body.length) {
        const message = parse(this.body)
        this.body = undefined
        this.headerLength = 0
        onFrame(message)
      }
    }
  }

  private startBody(): void {
    const length = new DataView(this.header.buffer).getUint32(0)
    if (length > this.maxBytes) {
      throw new FlinkError('PROTOCOL_MISMATCH', `an rpc frame announces ${length} bytes, more than the ${this.maxBytes} allowed here`, {
        bytes: length,
      })
    }
    this.body = new Uint8Array(length)
    this.bodyLength = 0
  }
}

function parse(bytes: Uint8Array): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(bytes))
  } catch (error) {
    throw new FlinkError('PROTOCOL_MISMATCH', 'an rpc frame does not hold JSON', {}, error)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FlinkError('PROTOCOL_MISMATCH', 'an rpc frame does not hold a JSON object')
  // The shape just checked; fields are checked by whoever reads them.
  return value as JsonObject
}
