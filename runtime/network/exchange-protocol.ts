/**
 * The data plane between two TaskManagers: one connection per pair and attempt of a region, from consumer to producer. Messages are
 * u32 length of what follows, u8 type, payload; little-endian.
 *
 * 1. client HELLO {version, token, jobId, generation, region, attempt, taskManagerId} -> server WELCOME, or REFUSED {code, message} and close.
 * 2. client REQUEST u32 number, u32 credit, channel id: asks for a channel and grants the free slots of its ring. The client chooses
 *    the number, which names the channel on this connection. A channel that its producer has not registered yet waits for it.
 * 3. server SEGMENT u32 number, bytes: one segment of the producer's ring, unchanged. Each uses one credit.
 * 4. client CREDIT u32 number, u32 count: so many slots came free.
 * 5. server LANE u32 number, bytes: an entry of the control lane; client LANE_CREDIT u32 number: it has been read.
 * 6. server FAILED u32 number, {code, message}: this channel will deliver nothing more.
 * 7. client DONE u32 number: the consumer has ended; the server forgets the channel.
 *
 * The connection ending in any other way is an error of every channel that is not done, on both sides.
 */
import { type ErrorCode, errorCodes, FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import { PAGE_SIZE } from './frame.ts'

export const EXCHANGE_PROTOCOL_VERSION = 2

export const HELLO = 1
export const WELCOME = 2
export const REFUSED = 3
export const REQUEST = 4
export const SEGMENT = 5
export const CREDIT = 6
export const LANE = 7
export const LANE_CREDIT = 8
export const FAILED = 9
export const DONE = 10

/** A segment is the largest message. */
const MESSAGE_SIZE_MAX = PAGE_SIZE + 64
const LENGTH_SIZE = 4

export interface ExchangeHello {
  readonly version: number
  readonly token: string
  readonly jobId: string
  readonly generation: number
  readonly region: number
  readonly attempt: number
  readonly taskManagerId: string
}

/** Header of a message with a channel number; `payloadSize` bytes follow it. */
export function channelMessage(type: number, channelNumber: number, payloadSize: number): Uint8Array {
  const bytes = new Uint8Array(9)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 5 + payloadSize, true)
  view.setUint8(4, type)
  view.setUint32(5, channelNumber, true)
  return bytes
}

export function numberMessage(type: number, channelNumber: number, value: number): Uint8Array {
  const bytes = new Uint8Array(13)
  bytes.set(channelMessage(type, channelNumber, 4))
  new DataView(bytes.buffer).setUint32(9, value, true)
  return bytes
}

export function requestMessage(channelNumber: number, credit: number, channelId: string): Uint8Array[] {
  const id = new TextEncoder().encode(channelId)
  const header = channelMessage(REQUEST, channelNumber, 4 + id.length)
  const creditBytes = new Uint8Array(4)
  new DataView(creditBytes.buffer).setUint32(0, credit, true)
  return [header, creditBytes, id]
}

export function jsonMessage(type: number, payload: object): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(payload))
  const bytes = new Uint8Array(LENGTH_SIZE + 1 + json.length)
  new DataView(bytes.buffer).setUint32(0, 1 + json.length, true)
  bytes[LENGTH_SIZE] = type
  bytes.set(json, LENGTH_SIZE + 1)
  return bytes
}

export function failedMessage(channelNumber: number, code: ErrorCode, message: string): Uint8Array[] {
  const json = new TextEncoder().encode(JSON.stringify({ code, message: message.slice(0, 4096) }))
  return [channelMessage(FAILED, channelNumber, json.length), json]
}

export function parseJson(payload: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(payload))
    // Whoever reads the fields checks their types.
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch {
    // Told below, with what was wrong of either kind.
  }
  throw new FlinkError('PROTOCOL_MISMATCH', 'a message of the data plane is not a JSON object')
}

/** The error that a REFUSED or FAILED message carries. */
export function parseError(payload: Uint8Array): FlinkError {
  const { code, message } = parseJson(payload)
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code)
  // Checked in the line above.
  return new FlinkError(known ? (code as ErrorCode) : 'INTERNAL', String(message))
}

export function readU32(payload: Uint8Array, at: number): number {
  if (at + 4 > payload.length) throw new FlinkError('PROTOCOL_MISMATCH', 'a message of the data plane ends early')
  return (payload[at]! | (payload[at + 1]! << 8) | (payload[at + 2]! << 16) | (payload[at + 3]! << 24)) >>> 0
}

/** Cuts a byte stream into messages. Holds at most one message. */
export class MessageReader {
  private readonly onMessage: (type: number, payload: Uint8Array) => void
  private readonly partial = new Uint8Array(LENGTH_SIZE + MESSAGE_SIZE_MAX)
  private partialLength = 0

  constructor(onMessage: (type: number, payload: Uint8Array) => void) {
    this.onMessage = onMessage
  }

  /** `payload` given to the callback is valid only during the call. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.partialLength === 0 && bytes.length - at >= LENGTH_SIZE) {
        const end = at + LENGTH_SIZE + checkedLength(readU32(bytes, at))
        if (end <= bytes.length) {
          this.onMessage(bytes[at + LENGTH_SIZE]!, bytes.subarray(at + LENGTH_SIZE + 1, end))
          at = end
          continue
        }
      }
      at += this.fill(bytes, at)
    }
  }

  private fill(bytes: Uint8Array, at: number): number {
    const { partial, partialLength } = this
    const wanted = partialLength < LENGTH_SIZE ? LENGTH_SIZE : LENGTH_SIZE + checkedLength(readU32(partial, 0))
    const taken = Math.min(wanted - partialLength, bytes.length - at)
    partial.set(bytes.subarray(at, at + taken), partialLength)
    const length = partialLength + taken
    this.partialLength = length
    if (length > LENGTH_SIZE && length === LENGTH_SIZE + readU32(partial, 0)) {
      this.partialLength = 0
      this.onMessage(partial[LENGTH_SIZE]!, partial.subarray(LENGTH_SIZE + 1, length))
    }
    return taken
  }
}

function checkedLength(length: number): number {
  if (length < 1 || length > MESSAGE_SIZE_MAX)
    throw new FlinkError('PROTOCOL_MISMATCH', `a message of ${length} bytes on the data plane: the peer is not a TaskManager of this version`)
  return length
}
