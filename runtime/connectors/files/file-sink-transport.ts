import type { S3Settings } from '../../checkpoint/storage/s3-options.ts'
import { assert } from '../../common/assert.ts'
import type { Clock } from '../../common/clock.ts'
import { newId } from '../../common/ids.ts'
import type { JsonObject } from '../../common/json.ts'
import type { Random } from '../../common/random.ts'
import type { SinkTransport, SinkTransportFactory } from '../../stream/spi/io-host.ts'
import { localPath } from '../local-path.ts'
import { LocalRecoverableWriter } from './local-recoverable-writer.ts'
import type { PartOwner, PartStream, RecoverableWriter } from './recoverable-writer.ts'

/**
 * Async half of the file sink (the protocol is FileSinkOperator's): a part is a stream with the tag as its number. Commands:
 *
 * - `open` {tag, bucketId} and `recover` {tag, bucketId, recoverable} begin a part; bytes with its tag are appended; `close` {tag} ends it.
 * - `prepare`: answered by `pending` {committables} of the parts ended since the last time, in pieces, and `prepared` {recoverables: [{tag, recoverable}]}
 *   of all that are open.
 * - `commit` {committables}: answered by `committed` {count, already}. `sweep`: removes what earlier attempts left behind.
 *
 * When the port closes, what no `prepared` has told of is in no snapshot and is removed; the rest stays for the next attempt.
 */
export function fileSinkTransport(random: Random, create: RecoverableWriterFactory = recoverableWriterOf): SinkTransportFactory {
  return (options, { clock, s3 }) => {
    // Of FileSinkOperator and FileSink.
    const { path, prefix, suffix, ...owner } = options as unknown as FileSinkTransportOptions
    const uid = newId(random)
    return new FileSinkTransport(create(path, { ...owner, uid }, { clock, s3 }), count => `${prefix}-${uid}-${count}${suffix}`)
  }
}

export type RecoverableWriterFactory = (path: string, owner: PartOwner, parts: WriterParts) => RecoverableWriter | Promise<RecoverableWriter>

export interface WriterParts {
  readonly clock: Clock
  /** undefined = what the SDK finds. */
  readonly s3: S3Settings | undefined
}

async function recoverableWriterOf(path: string, owner: PartOwner, parts: WriterParts): Promise<RecoverableWriter> {
  if (!path.startsWith('s3://')) return new LocalRecoverableWriter(localPath(path), owner)
  // The SDK takes a tenth of a second and 37 MB: only where it is used.
  const { openS3RecoverableWriter } = await import('./s3-multipart-uploads.ts')
  return openS3RecoverableWriter(path, owner, parts)
}

interface FileSinkTransportOptions extends Omit<PartOwner, 'uid'> {
  readonly path: string
  readonly prefix: string
  readonly suffix: string
}

interface OpenPart {
  readonly stream: PartStream
  /** A snapshot may hold it. */
  known: boolean
}

type Reply = (what: string, data: JsonObject) => void

class FileSinkTransport implements SinkTransport {
  private readonly opening: Promise<RecoverableWriter>
  private readonly nameOf: (count: number) => string
  private readonly parts = new Map<number, OpenPart>()
  private ended: { readonly part: OpenPart; readonly committable: JsonObject }[] = []
  private partCount = 0

  constructor(writer: RecoverableWriter | Promise<RecoverableWriter>, nameOf: (count: number) => string) {
    this.opening = Promise.resolve(writer)
    // Reported by the first call that awaits it.
    this.opening.catch(() => {})
    this.nameOf = nameOf
  }

  async write(bytes: Uint8Array, tag: number): Promise<void> {
    await this.part(tag).stream.write(bytes)
  }

  async command(what: string, data: JsonObject, reply: Reply): Promise<void> {
    // As written by FileSinkOperator.
    const { tag, bucketId, recoverable, committables } = data as unknown as CommandData
    const writer = await this.opening
    if (what === 'open') this.parts.set(tag, { stream: await writer.open(this.targetIn(bucketId)), known: false })
    else if (what === 'recover') this.parts.set(tag, { stream: await writer.recover(recoverable, this.targetIn(bucketId)), known: false })
    else if (what === 'close') await this.end(tag)
    else if (what === 'prepare') await this.prepare(reply)
    else if (what === 'commit') await this.commit(writer, committables, reply)
    else if (what === 'sweep') await writer.sweep()
    else assert(false, `a file sink does not know the command ${what}`)
  }

  async close(): Promise<void> {
    for (const { stream, known } of [...this.parts.values(), ...this.ended.map(({ part }) => part)]) await (known ? stream.close() : stream.dispose())
  }

  private async end(tag: number): Promise<void> {
    const part = this.part(tag)
    this.ended.push({ part, committable: await part.stream.closeForCommit() })
    this.parts.delete(tag)
  }

  private async prepare(reply: Reply): Promise<void> {
    const recoverables: JsonObject[] = []
    for (const [tag, { stream }] of this.parts) recoverables.push({ tag, recoverable: await stream.persist() })
    for (const part of this.parts.values()) part.known = true
    const committables = this.ended.map(({ committable }) => committable)
    this.ended = []
    for (let from = 0; from < committables.length; from += COMMITTABLES_PER_EVENT)
      reply('pending', { committables: committables.slice(from, from + COMMITTABLES_PER_EVENT) })
    reply('prepared', { recoverables })
  }

  private async commit(writer: RecoverableWriter, committables: readonly JsonObject[], reply: Reply): Promise<void> {
    let already = 0
    for (const committable of committables) if ((await writer.commit(committable)) === 'already') already++
    reply('committed', { count: committables.length, already })
  }

  private targetIn(bucketId: string): string {
    const name = this.nameOf(this.partCount++)
    return bucketId === '' ? name : `${bucketId}/${name}`
  }

  private part(tag: number): OpenPart {
    const part = this.parts.get(tag)
    assert(part !== undefined, `part ${tag} is open`)
    return part
  }
}

interface CommandData {
  readonly tag: number
  readonly bucketId: string
  readonly recoverable: JsonObject
  readonly committables: readonly JsonObject[]
}

/** An event must fit into a frame. */
const COMMITTABLES_PER_EVENT = 1000
