import { createHash } from 'node:crypto'
import type { MultipartUploads, Upload, UploadedPart } from '../../runtime/connectors/files/multipart-uploads.ts'
import { PIECE_SIZE_BYTES } from '../../runtime/connectors/files/s3-recoverable-writer.ts'
import type { Life } from './memory-recoverable-writer.ts'

/** S3's rules: pieces but the last of 5 MiB at least, in order, with the ETags that they have now; an upload is gone when it is completed or aborted. */
export class MemoryMultipartUploads implements MultipartUploads {
  readonly objects = new Map<string, Uint8Array>()
  readonly uploads = new Map<string, { readonly key: string; readonly parts: Map<number, Uint8Array> }>()
  private count = 0

  async create(key: string): Promise<string> {
    const uploadId = `upload-${this.count++}`
    this.uploads.set(uploadId, { key, parts: new Map() })
    return uploadId
  }

  async uploadPart({ uploadId }: Upload, partNumber: number, bytes: Uint8Array): Promise<string | 'noSuchUpload'> {
    const upload = this.uploads.get(uploadId)
    if (upload === undefined) return 'noSuchUpload'
    upload.parts.set(partNumber, bytes.slice())
    return etagOf(bytes)
  }

  async complete({ key, uploadId }: Upload, parts: readonly UploadedPart[]): Promise<'completed' | 'exists' | 'noSuchUpload' | 'invalidPart'> {
    const upload = this.uploads.get(uploadId)
    if (this.objects.has(key)) return 'exists'
    if (upload === undefined) return 'noSuchUpload'
    const pieces: Uint8Array[] = []
    for (const [i, { partNumber, etag }] of parts.entries()) {
      const piece = upload.parts.get(partNumber)
      if (piece === undefined || etagOf(piece) !== etag) return 'invalidPart'
      if (i < parts.length - 1 && piece.length < PIECE_SIZE_BYTES) throw new Error('EntityTooSmall')
      if (i > 0 && partNumber <= (parts[i - 1]?.partNumber ?? 0)) throw new Error('InvalidPartOrder')
      pieces.push(piece)
    }
    if (parts.length === 0) throw new Error('MalformedXML')
    this.objects.set(key, Buffer.concat(pieces))
    this.uploads.delete(uploadId)
    return 'completed'
  }

  async isOpen({ uploadId }: Upload): Promise<boolean> {
    return this.uploads.has(uploadId)
  }

  async abort({ uploadId }: Upload): Promise<void> {
    this.uploads.delete(uploadId)
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    this.objects.set(key, bytes.slice())
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.objects.get(key)
  }

  async size(key: string): Promise<number | undefined> {
    return this.objects.get(key)?.length
  }

  async remove(key: string): Promise<void> {
    this.objects.delete(key)
  }
}

/** The same store, as a process sees it that may die. */
export function mortalUploads(store: MultipartUploads, life: Life): MultipartUploads {
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function') return method
      return async (...given: unknown[]) => {
        life.check()
        const answer: unknown = await method.apply(target, given)
        life.check()
        return answer
      }
    },
  })
}

function etagOf(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}
