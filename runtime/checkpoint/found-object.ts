import { crc32 } from 'node:zlib'
import { FILE_BYTES_MIN, type ObjectFile, type StateBytes } from '../state/state-files.ts'
import type { ObjectRef } from './storage/manifest.ts'

/** An object as it was found, which need not be as it was written. */
export interface FoundObject {
  readonly bytes: StateBytes
  readonly crc: number
}

interface Place {
  read(path: string): Promise<Uint8Array | undefined>
  file?(path: string): Promise<ObjectFile | undefined>
}

/** Large ones stay where they are, if that is a file. Undefined = it is not there. */
export async function findObject({ size }: ObjectRef, place: Place, path: string): Promise<FoundObject | undefined> {
  if (size < FILE_BYTES_MIN || place.file === undefined) {
    const bytes = await place.read(path)
    return bytes === undefined ? undefined : { bytes, crc: crc32(bytes) }
  }
  const file = await place.file(path)
  return file === undefined ? undefined : { bytes: { file: file.path, offset: 0, length: file.size }, crc: file.crc }
}

/** What is wrong with it; undefined = it is as it was written. */
export function damageOf(ref: ObjectRef, { bytes, crc }: FoundObject): string | undefined {
  if (bytes.length !== ref.size) return `has ${bytes.length} bytes, ${ref.size} were written`
  return crc === ref.crc ? undefined : 'has a wrong checksum: it was changed'
}
