import { crc32 } from 'node:zlib'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'

/**
 * A small object: JSON, a blank, the CRC-32 of the JSON as eight hex digits, a line feed. Without the checksum a digit that was changed would be another
 * checkpoint, and nobody would notice.
 */
export function encodeRecord(record: object): Uint8Array {
  const json = JSON.stringify(record)
  return new TextEncoder().encode(`${json} ${checksum(json)}\n`)
}

/** `path` is for messages. */
export function decodeRecord(bytes: Uint8Array, path: string): JsonObject {
  const corrupt = () => new FlinkError('CORRUPT_CHECKPOINT', `${path} cannot be read: it was cut short or changed`)
  const match = /^(.*) ([0-9a-f]{8})\n$/s.exec(new TextDecoder().decode(bytes))
  const [, json = '', sum] = match ?? []
  if (match === null || checksum(json) !== sum) throw corrupt()
  // Written by `encodeRecord`: the checksum says so.
  return JSON.parse(json) as JsonObject
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, '0')
}
