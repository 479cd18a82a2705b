import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assert } from '../common/assert.ts'
import { FlinkError } from '../common/errors.ts'
import { newId } from '../common/ids.ts'
import type { Logger } from '../common/log.ts'
import { systemRandom } from '../common/random.ts'
import type { ArtifactRef } from '../graph/deployment.ts'

/**
 * Code bundles of a TaskManager, as files named by digest, with what slots unpack of them beside (`unpacked/<digest>`). Fetched once,
 * verified, kept while a slot runs them; of the others the ones used last stay, for the next attempt of their job.
 */
export interface ArtifactCacheParts {
  readonly directory: string
  /** Of those that no slot runs. */
  readonly keptMax: number
  readonly log: Logger
  fetch(ref: ArtifactRef): Promise<Uint8Array>
}

export class ArtifactCache {
  private readonly parts: ArtifactCacheParts
  /** By digest, in order of last use. */
  private readonly present = new Map<string, Promise<string>>()
  /** By who holds it. */
  private readonly digestOf = new Map<string, string>()
  private removing: Promise<unknown> = Promise.resolve()
  private readonly writing = new Set<Promise<void>>()
  private closed = false

  constructor(parts: ArtifactCacheParts) {
    this.parts = parts
  }

  ensure(ref: ArtifactRef): Promise<string> {
    const { digest } = ref
    const present = this.present.get(digest)
    this.present.delete(digest)
    // Behind a removal: it may be that of the same bundle.
    const path = present ?? this.removing.then(() => this.fetch(ref))
    this.present.set(digest, path)
    if (present === undefined)
      path.catch(() => {
        if (this.present.get(digest) === path) this.present.delete(digest)
      })
    return path
  }

  path(digest: string): string {
    assert(/^[0-9a-f]{64}$/.test(digest), 'a digest is sha256 in hex')
    return join(this.parts.directory, digest)
  }

  hold(holder: string, digest: string): void {
    this.digestOf.set(holder, digest)
  }

  release(holder: string): void {
    this.digestOf.delete(holder)
    const held = new Set(this.digestOf.values())
    const idle = [...this.present.keys()].filter(digest => !held.has(digest))
    for (const digest of idle.slice(0, Math.max(0, idle.length - this.parts.keptMax))) this.remove(digest)
  }

  /** When it is done nothing of ours writes to the folder any more, so that it can be removed; what is still being fetched then fails. */
  async close(): Promise<void> {
    this.closed = true
    await Promise.allSettled([this.removing, ...this.writing])
  }

  private remove(digest: string): void {
    this.present.delete(digest)
    const paths = [this.path(digest), join(this.parts.directory, 'unpacked', digest)]
    this.removing = this.removing
      .then(() => Promise.all(paths.map(path => rm(path, { recursive: true, force: true }))))
      .catch((error: unknown) => this.parts.log.warn('a code bundle could not be dropped', { digest, error: String(error) }))
  }

  private async fetch(ref: ArtifactRef): Promise<string> {
    const path = this.path(ref.digest)
    const isValid = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex') === ref.digest
    const present = await readFile(path).catch(() => undefined)
    if (present !== undefined && isValid(present)) return path
    const bytes = await this.parts.fetch(ref)
    if (!isValid(bytes))
      throw new FlinkError('EXTERNAL_SYSTEM', `the job's bundle ${ref.digest} arrived with another content`, { digest: ref.digest })
    if (this.closed) throw new FlinkError('CANCELLED', `the bundle ${ref.digest} arrived when the taskmanager was closing`, { digest: ref.digest })
    const writing = this.write(path, bytes)
    this.writing.add(writing)
    try {
      await writing
    } finally {
      this.writing.delete(writing)
    }
    return path
  }

  private async write(path: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.parts.directory, { recursive: true })
    const temporary = `${path}.${newId(systemRandom)}`
    await writeFile(temporary, bytes)
    await rename(temporary, path)
  }
}
