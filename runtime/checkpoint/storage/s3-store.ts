import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type Clock, sleep } from '../../common/clock.ts'
import { FlinkError } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import type { Random } from '../../common/random.ts'
import { type ByteRange, beyondEnd, checkPath, checkRange, type ObjectStore, probeStore } from './object-store.ts'
import { type S3Failure, s3FailureOf } from './s3-failure.ts'
import { type S3Settings, s3Region } from './s3-options.ts'

/**
 * A bucket, or a part of one, as a store: `create` is a PUT with `If-None-Match: *`, of which S3 lets exactly one through.
 *
 * A call is tried up to TRIES times, within one deadline of its own: the SDK's promises may never settle (aws-sdk-js-v3 5561, 7729), and its own tries
 * would hide from us that one of them got lost. That is what the answer of a `create` depends on:
 * - let through, by whichever try: `created`;
 * - refused because the object is there, and no try before it got lost: `exists`;
 * - refused after a try that got lost: that try may be what is there, so OUTCOME_UNKNOWN; so are lost tries only;
 * - everything else had no effect: EXTERNAL_SYSTEM, as are all failures of the other calls.
 *
 * A 404 is "not there" only where the answer says that it means the object: what else answers 404 (a proxy, a wrong address) must not look like a job
 * without checkpoints. Nor must a list that is not one.
 *
 * Idle connections do not keep the process alive and are shared by all stores, so there is nothing to close. Errors carry texts of ours, never the SDK's error objects, which hold
 * parts of the request.
 */
export interface S3StoreOptions {
  readonly bucket: string
  /** Without slashes around it; '' = the whole bucket. */
  readonly prefix: string
  readonly settings: S3Settings
  readonly clock: Clock
  readonly log: Logger
  /** Of a call that moves no bytes; each MiB adds a second. */
  readonly timeoutMs?: number
}

export async function openS3Store(options: S3StoreOptions): Promise<ObjectStore> {
  return new S3Store(options, await connectS3(options.settings, 1))
}

/** One that is written to. */
export async function probedS3Store(options: S3StoreOptions, random: Random): Promise<ObjectStore> {
  const store = await openS3Store(options)
  await probeStore(store, random)
  return store
}

const TIMEOUT_MS = 15_000
const BYTES_PER_MS_MIN = 1024
const CONNECT_TIMEOUT_MS = 5_000
const CONNECTIONS_MAX = 64
const TRIES = 4
const RETRY_MS = 100

/** Of the whole process: stores are opened for each job and never closed, and the connections of each would stay. */
const connections = { keepAlive: true, maxSockets: CONNECTIONS_MAX }
const httpAgent = new HttpAgent(connections)
const httpsAgent = new HttpsAgent(connections)

/** Without a call: the SDK connects when it is used. */
export async function connectS3({ endpoint, region, pathStyle, credentials }: S3Settings, maxAttempts: number): Promise<S3Client> {
  const clientIn = (known: string | undefined) =>
    new S3Client({
      maxAttempts,
      forcePathStyle: pathStyle,
      // The signature covers the bytes. More checksums than that are what other stores than AWS stumble over.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: 0, httpAgent, httpsAgent },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(known === undefined ? {} : { region: known }),
      ...(credentials === undefined ? {} : { credentials }),
    })
  const client = clientIn(region)
  try {
    await client.config.region()
    return client
  } catch {
    // A store that is not AWS has to be told one, and does not mind which.
    if (endpoint !== undefined) return clientIn('us-east-1')
    throw new FlinkError('INVALID_CONFIGURATION', `no region is known for s3://: set ${s3Region.key}, or AWS_REGION`)
  }
}

type Outcome<T> = { readonly kind: 'done'; readonly value: T } | S3Failure

interface Answer<T> {
  readonly outcome: Outcome<T>
  /** Whether a try has got lost, the last one or one before it. */
  readonly lost: boolean
}

/** One try of a call. */
interface Try {
  readonly signal: AbortSignal
  /** So many bytes are on their way: the deadline is put off by the time they may take. */
  expect(bytes: number): void
}

class S3Store implements ObjectStore {
  readonly uri: string
  private readonly options: S3StoreOptions
  private readonly client: S3Client
  private readonly secrets: readonly string[]

  constructor(options: S3StoreOptions, client: S3Client) {
    const { bucket, prefix, settings } = options
    this.uri = prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`
    this.options = options
    this.client = client
    this.secrets = settings.credentials === undefined ? [] : Object.values(settings.credentials)
  }

  async create(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const put = new PutObjectCommand({ ...this.at(path), Body: bytes, ContentLength: bytes.length, IfNoneMatch: '*' })
    const { outcome, lost } = await this.call(async ({ signal, expect }) => {
      expect(bytes.length)
      await this.client.send(put, { abortSignal: signal })
    })
    if (outcome.kind === 'done') return 'created'
    if (outcome.kind === 'exists' && !lost) return 'exists'
    const why = outcome.kind === 'exists' ? 'it is there, and may be what a try has written whose answer got lost' : textOf(outcome)
    if (lost) throw new FlinkError('OUTCOME_UNKNOWN', `checkpoint storage: whether ${path} of ${this.uri} was written is not known: ${why}`)
    throw this.failed('cannot be written', path, outcome)
  }

  async read(path: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    checkRange(path, range)
    // There is no Range header for no bytes.
    if (range?.length === 0) return this.readNothing(path, range)
    const get = new GetObjectCommand({ ...this.at(path), ...(range === undefined ? {} : { Range: headerOf(range) }) })
    const { outcome } = await this.call(async ({ signal, expect }) => {
      return contentOf(await this.client.send(get, { abortSignal: signal }), range, expect)
    })
    if (outcome.kind === 'missing') return undefined
    if (outcome.kind === 'beyondEnd' && range !== undefined) return this.refuseRange(path, range, await this.size(path))
    if (outcome.kind !== 'done') throw this.failed('cannot be read', path, outcome)
    const { bytes, size } = outcome.value
    return range === undefined || bytes.length === range.length ? bytes : this.refuseRange(path, range, size)
  }

  async size(path: string): Promise<number | undefined> {
    const head = new HeadObjectCommand(this.at(path))
    const { outcome } = await this.call(async ({ signal }) => (await this.client.send(head, { abortSignal: signal })).ContentLength)
    if (outcome.kind === 'notFound') {
      await this.checkBucket(path)
      return undefined
    }
    if (outcome.kind !== 'done') throw this.failed('cannot be looked at', path, outcome)
    if (outcome.value === undefined) throw this.failed('cannot be looked at', path, { kind: 'lost', text: 'the answer has no length' })
    return outcome.value
  }

  async list(folder: string): Promise<readonly string[]> {
    const { bucket, prefix } = this.options
    const root = prefix === '' ? '' : `${prefix}/`
    const paths: string[] = []
    for (let token: string | undefined; ; ) {
      const list = new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: `${root}${checkPath(folder)}/`,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      })
      const { outcome } = await this.call(({ signal }) => this.client.send(list, { abortSignal: signal }))
      if (outcome.kind !== 'done') throw this.failed('cannot be listed', folder, outcome)
      const { Contents = [], IsTruncated, KeyCount, NextContinuationToken } = outcome.value
      if (IsTruncated === undefined || (KeyCount ?? Contents.length) !== Contents.length || (IsTruncated && NextContinuationToken === undefined))
        throw this.failed('cannot be listed', folder, { kind: 'lost', text: 'the answer is no whole list' })
      // What ends with a slash is how some tools draw folders.
      for (const { Key } of Contents) if (Key !== undefined && !Key.endsWith('/')) paths.push(Key.slice(root.length))
      if (!IsTruncated) return paths.sort()
      token = NextContinuationToken
    }
  }

  async remove(path: string): Promise<void> {
    const remove = new DeleteObjectCommand(this.at(path))
    const { outcome } = await this.call(({ signal }) => this.client.send(remove, { abortSignal: signal }))
    if (outcome.kind !== 'done' && outcome.kind !== 'missing') throw this.failed('cannot be removed', path, outcome)
  }

  /** An answer to HEAD does not say what it is that is not found. */
  private async checkBucket(path: string): Promise<void> {
    const { bucket } = this.options
    const head = new HeadBucketCommand({ Bucket: bucket })
    const { outcome } = await this.call(({ signal }) => this.client.send(head, { abortSignal: signal }))
    if (outcome.kind === 'notFound')
      throw this.failed('cannot be looked at', path, { kind: 'refused', text: `there is no bucket "${bucket}": create it, or correct its name` })
    if (outcome.kind !== 'done') throw this.failed('cannot be looked at', path, outcome)
  }

  private async readNothing(path: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const size = await this.size(path)
    return size !== undefined && range.offset <= size ? new Uint8Array(0) : this.refuseRange(path, range, size)
  }

  /** Removed meanwhile: it is not there. */
  private refuseRange(path: string, range: ByteRange, size: number | undefined): undefined {
    if (size !== undefined) throw beyondEnd(this.uri, path, range, size)
  }

  private async call<T>(send: (attempt: Try) => Promise<T>): Promise<Answer<T>> {
    const { clock, timeoutMs = TIMEOUT_MS } = this.options
    const abort = new AbortController()
    const late = Promise.withResolvers<Answer<T>>()
    const state = { lost: false, sending: false }
    let allowedMs = timeoutMs
    const onDeadline = () => {
      const lost = state.lost || state.sending
      late.resolve({ outcome: { kind: 'lost', text: `no answer within ${Math.ceil(allowedMs)} ms` }, lost })
      abort.abort()
    }
    let timer = clock.schedule(allowedMs, onDeadline, { ref: true })
    const expect = (bytes: number) => {
      timer.cancel()
      allowedMs = timeoutMs + bytes / BYTES_PER_MS_MIN
      if (!abort.signal.aborted) timer = clock.schedule(allowedMs, onDeadline, { ref: true })
    }
    try {
      return await Promise.race([this.tries(send, { signal: abort.signal, expect }, state), late.promise])
    } finally {
      timer.cancel()
    }
  }

  private async tries<T>(send: (attempt: Try) => Promise<T>, attempt: Try, state: { lost: boolean; sending: boolean }): Promise<Answer<T>> {
    const { bucket, clock, log } = this.options
    for (let tries = 1, delayMs = RETRY_MS; ; tries++, delayMs *= 2) {
      let outcome: Outcome<T>
      state.sending = true
      try {
        outcome = { kind: 'done', value: await send(attempt) }
      } catch (error) {
        outcome = s3FailureOf(error, bucket, this.secrets)
      }
      state.sending = false
      state.lost ||= outcome.kind === 'lost'
      if ((outcome.kind !== 'lost' && outcome.kind !== 'busy') || tries === TRIES || attempt.signal.aborted) return { outcome, lost: state.lost }
      log.debug('S3 did not answer as it should, trying again', { uri: this.uri, reason: outcome.text })
      await sleep(clock, delayMs, attempt.signal)
    }
  }

  private at(path: string): { readonly Bucket: string; readonly Key: string } {
    const { bucket, prefix } = this.options
    checkPath(path)
    return { Bucket: bucket, Key: prefix === '' ? path : `${prefix}/${path}` }
  }

  private failed(what: string, path: string, failure: S3Failure): FlinkError {
    return new FlinkError('EXTERNAL_SYSTEM', `checkpoint storage: ${path} of ${this.uri} ${what}: ${textOf(failure)}`)
  }
}

function textOf(failure: S3Failure): string {
  return 'text' in failure ? failure.text : `the store answered "${failure.kind}"`
}

function headerOf({ offset, length }: ByteRange): string {
  return `bytes=${offset}-${offset + length - 1}`
}

/** The bytes, and how long the object is. Each chunk is copied once, to where it belongs. */
async function contentOf(
  { Body, ContentLength, ContentRange }: GetObjectCommandOutput,
  range: ByteRange | undefined,
  expect: (bytes: number) => void,
): Promise<{ bytes: Uint8Array; size: number }> {
  if (!(Body instanceof Readable)) throw new Error('the answer has no body')
  try {
    const { length, size } = extentOf(ContentLength, ContentRange, range)
    expect(length)
    const bytes = new Uint8Array(length)
    let at = 0
    for await (const chunk of Body as AsyncIterable<Uint8Array>) {
      if (at + chunk.length > length) throw new Error(`the answer has more than ${length} bytes`)
      bytes.set(chunk, at)
      at += chunk.length
    }
    if (at !== length) throw new Error(`the answer ended after ${at} of ${length} bytes`)
    return { bytes, size }
  } finally {
    // What is left unread would keep its connection for ever.
    Body.destroy()
  }
}

/** Held against what was asked for, before memory is taken for it. */
function extentOf(length: number | undefined, contentRange: string | undefined, range: ByteRange | undefined): { length: number; size: number } {
  if (length === undefined) throw new Error('the answer has no length')
  if (range === undefined) return { length, size: length }
  const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? '') ?? []
  if (Number(first) !== range.offset || Number(last) - Number(first) + 1 !== length || length > range.length)
    throw new Error(`the answer to ${headerOf(range)} is ${contentRange ?? 'no range'}`)
  return { length, size: Number(size) }
}
