import { crc32 } from 'node:zlib'
import { FlinkError } from '../../common/errors.ts'

/**
 * `_metadata`: all of a checkpoint that is not in objects of its own, and the list of those. Bytes: magic, version, length of the head, the head as JSON,
 * the body, CRC-32 of everything before. Whoever reads checks all of it: half a manifest is none.
 */
export interface ManifestHead {
  readonly jobId: string
  readonly checkpointId: number
  /** Of whoever wrote it. */
  readonly generation: number
  readonly nonce: string
  /** When the checkpoint was triggered, epoch ms. */
  readonly timestampMs: number
  /** Where its objects lie: in `shared/` of the job's folder, or beside the manifest, which makes it a savepoint: it can be moved and copied as a whole. */
  readonly objectsFolder: 'shared' | ''
  /** What it needs of there, and nothing else may need to be there. */
  readonly objects: readonly ObjectRef[]
}

/** `crc` is CRC-32 of the `size` bytes. */
export interface ObjectRef {
  readonly name: string
  readonly size: number
  readonly crc: number
}

export interface Manifest {
  readonly head: ManifestHead
  readonly body: Uint8Array
}

const MAGIC = 0x4d524350
const VERSION = 3
/** Of its keyed state, records do not say how long they are. */
const OLDEST_VERSION = 2
const FIXED = 12
const TRAILER = 4

export function encodeManifest({ head, body }: Manifest): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(head))
  const bytes = new Uint8Array(FIXED + json.length + body.length + TRAILER)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, VERSION)
  view.setUint32(8, json.length)
  bytes.set(json, FIXED)
  bytes.set(body, FIXED + json.length)
  view.setUint32(bytes.length - TRAILER, crc32(bytes.subarray(0, bytes.length - TRAILER)))
  return bytes
}

/** `path` is for messages. */
export function decodeManifest(bytes: Uint8Array, path: string): Manifest {
  const corrupt = (why: string) => new FlinkError('CORRUPT_CHECKPOINT', `${path} cannot be read: ${why}`)
  if (bytes.length < FIXED + TRAILER) throw corrupt(`it has ${bytes.length} bytes and is cut short`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0) !== MAGIC) throw corrupt('it is no checkpoint of Millrace')
  const version = view.getUint32(4)
  if (version < OLDEST_VERSION || version > VERSION)
    throw corrupt(`it has format version ${version}, this Millrace reads ${OLDEST_VERSION} to ${VERSION}`)
  if (view.getUint32(bytes.length - TRAILER) !== crc32(bytes.subarray(0, bytes.length - TRAILER)))
    throw corrupt('its checksum is wrong: it was cut short or changed')
  const end = FIXED + view.getUint32(8)
  if (end > bytes.length - TRAILER) throw corrupt('its head is longer than it is')
  // Written by `encodeManifest`: the checksum says so.
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(FIXED, end))) as ManifestHead
  return { head, body: bytes.subarray(end, bytes.length - TRAILER) }
}

/** What a restore of it may have to read. */
export function stateBytes({ head, body }: Manifest): number {
  return head.objects.reduce((sum, { size }) => sum + size, body.length)
}

export function refOf(name: string, bytes: Uint8Array): ObjectRef {
  return { name, size: bytes.length, crc: crc32(bytes) }
}
