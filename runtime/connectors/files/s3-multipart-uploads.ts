import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Settings } from '../../checkpoint/storage/s3-options.ts'
import { connectS3 } from '../../checkpoint/storage/s3-store.ts'
import { type Clock, withDeadline } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { WriterParts } from './file-sink-transport.ts'
import type { MultipartUploads, Upload, UploadedPart } from './multipart-uploads.ts'
import type { PartOwner, RecoverableWriter } from './recoverable-writer.ts'
import { S3RecoverableWriter } from './s3-recoverable-writer.ts'

/**
 * The file sink on s3://, through the AWS SDK, with the client that checkpoint storage has. The SDK tries again what may be tried again; all calls here may. Each call has a deadline of ours,
 * because promises of the SDK do not always settle.
 */
export async function openS3RecoverableWriter(path: string, owner: PartOwner, { clock, s3 }: WriterParts): Promise<RecoverableWriter> {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]+)\/*(.*?)\/*$/.exec(path) ?? []
  if (bucket === '') throw new FlinkError('INVALID_ARGUMENT', `file sink: ${JSON.stringify(path)} names no bucket, expected s3://bucket/path`)
  const uploads = new S3MultipartUploads(await clientFor(s3 ?? foundBySdk), bucket, clock)
  return new S3RecoverableWriter(uploads, `s3://${bucket}`, prefix, owner)
}

const foundBySdk: S3Settings = { endpoint: undefined, region: undefined, pathStyle: false, credentials: undefined }

/** One for all sinks of the process with the same address and credentials. */
function clientFor(settings: S3Settings): Promise<S3Client> {
  const key = JSON.stringify(settings)
  const client = clients.get(key) ?? connectS3(settings, TRIES)
  clients.set(key, client)
  return client
}

const clients = new Map<string, Promise<S3Client>>()
const TRIES = 4

export class S3MultipartUploads implements MultipartUploads {
  private readonly client: S3Client
  private readonly bucket: string
  private readonly clock: Clock

  constructor(client: S3Client, bucket: string, clock: Clock) {
    this.client = client
    this.bucket = bucket
    this.clock = clock
  }

  async create(key: string): Promise<string> {
    const { UploadId } = await this.call(key, 'begun', signal =>
      this.client.send(new CreateMultipartUploadCommand(this.at(key)), { abortSignal: signal }),
    )
    if (UploadId === undefined) throw this.failed(key, 'begun', 'the answer has no upload id')
    return UploadId
  }

  async uploadPart({ key, uploadId }: Upload, partNumber: number, bytes: Uint8Array): Promise<string | 'noSuchUpload'> {
    const command = new UploadPartCommand({ ...this.at(key), UploadId: uploadId, PartNumber: partNumber, Body: bytes, ContentLength: bytes.length })
    const answer = await this.answering(['NoSuchUpload'], key, 'uploaded', signal => this.client.send(command, { abortSignal: signal }))
    if (typeof answer === 'string') return 'noSuchUpload'
    if (answer.ETag === undefined) throw this.failed(key, 'uploaded', 'the answer has no ETag')
    return answer.ETag
  }

  async complete({ key, uploadId }: Upload, parts: readonly UploadedPart[]): Promise<'completed' | 'exists' | 'noSuchUpload' | 'invalidPart'> {
    const command = new CompleteMultipartUploadCommand({
      ...this.at(key),
      UploadId: uploadId,
      IfNoneMatch: '*',
      MultipartUpload: { Parts: parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag })) },
    })
    const refusals = ['NoSuchUpload', 'PreconditionFailed', 'InvalidPart'] as const
    const answer = await this.answering(refusals, key, 'committed', signal => this.client.send(command, { abortSignal: signal }))
    if (answer === 'NoSuchUpload') return 'noSuchUpload'
    if (answer === 'PreconditionFailed') return 'exists'
    return answer === 'InvalidPart' ? 'invalidPart' : 'completed'
  }

  async isOpen({ key, uploadId }: Upload): Promise<boolean> {
    const command = new ListPartsCommand({ ...this.at(key), UploadId: uploadId, MaxParts: 1 })
    return (await this.answering(['NoSuchUpload'], key, 'looked at', signal => this.client.send(command, { abortSignal: signal }))) !== 'NoSuchUpload'
  }

  async abort({ key, uploadId }: Upload): Promise<void> {
    const command = new AbortMultipartUploadCommand({ ...this.at(key), UploadId: uploadId })
    await this.answering(['NoSuchUpload'], key, 'aborted', signal => this.client.send(command, { abortSignal: signal }))
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const command = new PutObjectCommand({ ...this.at(key), Body: bytes, ContentLength: bytes.length })
    await this.call(key, 'written', signal => this.client.send(command, { abortSignal: signal }))
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const bytes = await this.answering(['NoSuchKey'], key, 'read', async signal => {
      const { Body } = await this.client.send(new GetObjectCommand(this.at(key)), { abortSignal: signal })
      return Body?.transformToByteArray()
    })
    return bytes === 'NoSuchKey' ? undefined : bytes
  }

  async size(key: string): Promise<number | undefined> {
    const head = new HeadObjectCommand(this.at(key))
    const answer = await this.answering(['NotFound', 'NoSuchKey'], key, 'looked at', signal => this.client.send(head, { abortSignal: signal }))
    return typeof answer === 'string' ? undefined : answer.ContentLength
  }

  async remove(key: string): Promise<void> {
    await this.call(key, 'removed', signal => this.client.send(new DeleteObjectCommand(this.at(key)), { abortSignal: signal }))
  }

  private at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.bucket, Key: key }
  }

  /** One of `refusals` is an answer. */
  private async answering<T, R extends string>(
    refusals: readonly R[],
    key: string,
    what: string,
    send: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | R> {
    return this.call<T | R>(key, what, async signal => {
      try {
        return await send(signal)
      } catch (error) {
        const refusal = refusals.find(name => error instanceof Error && error.name === name)
        if (refusal === undefined) throw error
        return refusal
      }
    })
  }

  private async call<T>(key: string, what: string, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController()
    try {
      return await withDeadline(this.clock, TIMEOUT_MS, send(abort.signal), () => this.failed(key, what, `no answer within ${TIMEOUT_MS} ms`))
    } catch (error) {
      abort.abort()
      if (error instanceof FlinkError) throw error
      throw this.failed(key, what, textOf(error))
    }
  }

  /** Never the SDK's error object, which holds parts of the request. */
  private failed(key: string, what: string, why: string): FlinkError {
    return new FlinkError('EXTERNAL_SYSTEM', `file sink: s3://${this.bucket}/${key} cannot be ${what}: ${why}`, { key })
  }
}

/** Of all tries of a call. */
const TIMEOUT_MS = 60_000

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const status = (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode
  return [status, error.name, error.message === error.name ? undefined : error.message.split('\n')[0]].filter(part => part !== undefined).join(' ')
}
