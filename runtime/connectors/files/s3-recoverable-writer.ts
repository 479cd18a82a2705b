import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import type { MultipartUploads, Upload, UploadedPart } from './multipart-uploads.ts'
import { inProgressName, type PartOwner, type PartStream, type RecoverableWriter } from './recoverable-writer.ts'

/**
 * Parts on an object store: a part file is a multipart upload, which nobody sees until it is completed, and completing is the commit. Bytes go out in pieces of
 * 5 MiB, the least that a store takes but for the last. What `persist` finds less than that is put beside, as an object hidden by a dot, which is read back
 * by `recover`; those objects go when the part is committed.
 *
 * A part that is taken up goes on in the upload it was in, under its name: pieces cannot be copied out of an upload. An earlier attempt that is still alive may go
 * on in it as well, so each attempt numbers its pieces from another number on; only those of the committable become the file. Should two ever use one
 * number, its ETag does not fit, and the commit is refused instead of made of others' bytes. What killed processes leave (uploads, and objects beginning with
 * a dot) is not swept: names of uploads do not say whose they are. A rule of the bucket's life cycle does that.
 */
export class S3RecoverableWriter implements RecoverableWriter {
  private readonly store: MultipartUploads
  /** s3://bucket, for people. */
  private readonly uri: string
  /** '' = the whole bucket. */
  private readonly prefix: string
  private readonly owner: PartOwner

  constructor(store: MultipartUploads, uri: string, prefix: string, owner: PartOwner) {
    this.store = store
    this.uri = uri
    this.prefix = prefix
    this.owner = owner
  }

  async open(target: string): Promise<PartStream> {
    const key = this.prefix === '' ? target : `${this.prefix}/${target}`
    const upload = { key, uploadId: await this.store.create(key) }
    return new S3Part(this.store, this.owner, { upload, parts: [], length: 0, rest: null, restLength: 0, rests: [] }, new Uint8Array(0), true)
  }

  async recover(recoverable: JsonObject, _target: string): Promise<PartStream> {
    const state = s3Recoverable(recoverable)
    const { upload, rest, restLength } = state
    if (!(await this.store.isOpen(upload))) throw lost(this.uri, upload.key, 'its upload was completed or aborted since the snapshot')
    const bytes = rest === null ? new Uint8Array(0) : await this.store.get(rest)
    if (bytes === undefined || bytes.length < restLength) throw lost(this.uri, upload.key, `${rest} is not there with its ${restLength} bytes`)
    return new S3Part(this.store, this.owner, state, bytes.subarray(0, restLength), false)
  }

  async commit(committable: JsonObject): Promise<'committed' | 'already'> {
    const { upload, parts, length, rests } = s3Recoverable(committable)
    const done = await this.complete(upload, parts, length)
    for (const rest of rests) await this.store.remove(rest)
    return done
  }

  async sweep(): Promise<void> {}

  private async complete(upload: Upload, parts: readonly UploadedPart[], length: number): Promise<'committed' | 'already'> {
    const { store, uri } = this
    const { key } = upload
    const answer = await store.complete(upload, parts)
    if (answer === 'completed') return 'committed'
    if (answer === 'invalidPart') throw lost(uri, key, 'a piece of its upload is not what it was')
    // Completed by us in an attempt before, or in a try whose answer got lost: then the upload is gone.
    if (answer === 'exists' && (await store.isOpen(upload)))
      throw new FlinkError('CONFLICT', `file sink: ${uri}/${key} exists and is not ours; it is not overwritten`, { key })
    const size = await store.size(key)
    if (size === length) return 'already'
    if (size !== undefined)
      throw new FlinkError('CONFLICT', `file sink: ${uri}/${key} was to have ${length} bytes and has ${size}: somebody else has written it`, { key })
    throw lost(uri, key, 'it is neither there nor waiting to be committed: it was lost, or committed before and taken away since')
  }
}

/** The least that S3 takes, but for the last. */
export const PIECE_SIZE_BYTES = 5 * 1024 * 1024
const PIECES_MAX = 10_000
/** Attempts begin up to so many numbers apart, as long as enough are left. */
const NUMBERS_APART_MAX = 4096

type S3Recoverable = {
  readonly upload: Upload
  readonly parts: readonly UploadedPart[]
  /** Of all bytes, those beside included. */
  readonly length: number
  /** The object with what is no piece yet. */
  readonly rest: string | null
  readonly restLength: number
  /** All that were ever put beside for this part. */
  readonly rests: readonly string[]
}

class S3Part implements PartStream {
  private readonly store: MultipartUploads
  private readonly owner: PartOwner
  private readonly upload: Upload
  private readonly isOwn: boolean
  private readonly parts: UploadedPart[]
  private readonly rests: string[]
  private readonly ownRests: string[] = []
  private rest: string | null
  private nextNumber: number
  private length: number
  private buffer: Uint8Array
  private filled: number
  /** Whether `rest` holds what is in the buffer. */
  private restIsCurrent: boolean

  /** `isOwn`: no snapshot of another attempt needs the upload. */
  constructor(store: MultipartUploads, owner: PartOwner, state: S3Recoverable, buffered: Uint8Array, isOwn: boolean) {
    this.store = store
    this.owner = owner
    this.upload = state.upload
    this.isOwn = isOwn
    this.parts = [...state.parts]
    this.rests = [...state.rests]
    this.rest = state.rest
    const next = (state.parts.at(-1)?.partNumber ?? 0) + 1
    const apart = isOwn ? 0 : numberOf(owner.uid) % NUMBERS_APART_MAX
    this.nextNumber = next + apart > PIECES_MAX / 2 ? next : next + apart
    this.length = state.length
    this.buffer = buffered.slice()
    this.filled = buffered.length
    this.restIsCurrent = true
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.length += bytes.length
    for (let at = 0; at < bytes.length; ) {
      const taken = Math.min(bytes.length - at, PIECE_SIZE_BYTES - this.filled)
      this.reserve(this.filled + taken)
      this.buffer.set(bytes.subarray(at, at + taken), this.filled)
      this.filled += taken
      this.restIsCurrent = false
      at += taken
      if (this.filled === PIECE_SIZE_BYTES) await this.uploadPiece()
    }
  }

  async persist(): Promise<JsonObject> {
    if (!this.restIsCurrent) {
      if (this.filled === 0) this.rest = null
      else await this.putRest()
      this.restIsCurrent = true
    }
    return this.recoverable()
  }

  async closeForCommit(): Promise<JsonObject> {
    // An upload without pieces cannot be completed.
    if (this.filled > 0 || this.parts.length === 0) await this.uploadPiece()
    return this.recoverable()
  }

  async close(): Promise<void> {}

  async dispose(): Promise<void> {
    if (this.isOwn) await this.store.abort(this.upload)
    for (const rest of this.ownRests) await this.store.remove(rest)
  }

  private async uploadPiece(): Promise<void> {
    const { key } = this.upload
    const partNumber = this.nextNumber++
    if (partNumber > PIECES_MAX)
      throw new FlinkError(
        'UNSUPPORTED',
        `file sink: ${key} would have more than ${PIECES_MAX} pieces of ${PIECE_SIZE_BYTES} bytes; let parts end earlier`,
        { key },
      )
    const etag = await this.store.uploadPart(this.upload, partNumber, this.buffer.subarray(0, this.filled))
    if (etag === 'noSuchUpload') throw lost('s3://', key, 'its upload was completed or aborted meanwhile')
    this.parts.push({ partNumber, etag })
    this.filled = 0
    this.restIsCurrent = false
  }

  private async putRest(): Promise<void> {
    const { key } = this.upload
    const slash = key.lastIndexOf('/') + 1
    // Several attempts may put some for one part: the name of the part has the uid of the first only.
    const rest = `${key.slice(0, slash)}${inProgressName(`${key.slice(slash)}.${this.owner.uid}-${this.ownRests.length}`, this.owner)}`
    await this.store.put(rest, this.buffer.subarray(0, this.filled))
    this.rest = rest
    this.rests.push(rest)
    this.ownRests.push(rest)
  }

  private recoverable(): S3Recoverable {
    const { upload, parts, length, rest, filled, rests } = this
    return { upload, parts: [...parts], length, rest: filled === 0 ? null : rest, restLength: filled, rests: [...rests] }
  }

  /** Small parts have small buffers. */
  private reserve(size: number): void {
    if (size <= this.buffer.length) return
    const larger = new Uint8Array(Math.min(PIECE_SIZE_BYTES, Math.max(size, 2 * this.buffer.length)))
    larger.set(this.buffer.subarray(0, this.filled))
    this.buffer = larger
  }
}

function numberOf(text: string): number {
  let number = 0
  for (let i = 0; i < text.length; i++) number = (31 * number + text.charCodeAt(i)) >>> 0
  return number
}

function s3Recoverable(json: JsonObject): S3Recoverable {
  if (json['upload'] === undefined || !Array.isArray(json['parts']))
    throw new FlinkError('CORRUPT_CHECKPOINT', 'file sink: a part in the snapshot is not one of s3://: was the path another when it was taken?')
  // Written by `S3Part`.
  return json as unknown as S3Recoverable
}

function lost(uri: string, key: string, why: string): FlinkError {
  return new FlinkError('OUTCOME_UNKNOWN', `file sink: ${uri}/${key} cannot be gone on with: ${why}`, { key })
}
