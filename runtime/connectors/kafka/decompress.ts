import { createRequire } from 'node:module'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { FlinkError } from '../../common/errors.ts'
import { missingPackage } from './kafka-package.ts'

/**
 * The records of one batch. gzip and zstd are Node's; snappy and lz4 are those of @platformatic/kafka, loaded by the first batch that
 * needs them. Synchronous: the slot has nothing else to do with these rows.
 */
const GZIP = 1
const SNAPPY = 2
const LZ4 = 3
const ZSTD = 4

/** A batch of a few bytes must not become all memory. */
const DECOMPRESSED_SIZE_MAX = 512 * 1024 * 1024

export function decompress(codec: number, bytes: Buffer, baseOffset: number): Buffer {
  try {
    switch (codec) {
      case GZIP:
        return gunzipSync(bytes, { maxOutputLength: DECOMPRESSED_SIZE_MAX })
      case ZSTD:
        return zstdDecompressSync(bytes, { maxOutputLength: DECOMPRESSED_SIZE_MAX })
      case SNAPPY:
        return packageCodec('snappy')(bytes)
      case LZ4:
        return packageCodec('lz4')(bytes)
    }
  } catch (error) {
    if (error instanceof FlinkError) throw error
    throw new FlinkError(
      'EXTERNAL_SYSTEM',
      `a kafka record batch at offset ${baseOffset} does not decompress: ${(error as Error).message}`,
      { offset: baseOffset },
      error,
    )
  }
  throw new FlinkError('UNSUPPORTED', `a kafka record batch at offset ${baseOffset} has the unknown compression ${codec}`, { offset: baseOffset })
}

type Codec = (bytes: Buffer) => Buffer

let loaded: typeof import('@platformatic/kafka') | undefined

/** `require`, since a reader cannot wait for an import. */
function packageCodec(name: 'snappy' | 'lz4'): Codec {
  try {
    loaded ??= createRequire(import.meta.url)('@platformatic/kafka') as typeof import('@platformatic/kafka')
  } catch (error) {
    throw missingPackage(error)
  }
  const { decompressSync } = loaded.compressionsAlgorithms[name]
  return bytes => decompressSync(bytes)
}
