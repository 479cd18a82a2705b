import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlinkError } from '../common/errors.ts'
import { hex } from '../common/ids.ts'
import type { Random } from '../common/random.ts'

/**
 * Uploaded job bundles: files `<uuid>_<name>.mjs` in one directory, as Flink keeps its jars, so that they survive a restart of the
 * JobManager and a person can look at them. The id is the file's name.
 */
export interface StoredJar {
  readonly id: string
  readonly name: string
  readonly uploadedMs: number
}

export class JarStore {
  private readonly directory: string
  private readonly random: Random

  constructor(directory: string, random: Random) {
    this.directory = directory
    this.random = random
  }

  /** Answers the path, whose last segment is the id. */
  async put(name: string, bytes: Uint8Array): Promise<string> {
    await mkdir(this.directory, { recursive: true })
    const path = join(this.directory, `${uuid(this.random)}_${safeName(name)}`)
    // A half-written upload must never be listed or run: it gets its name when it is whole.
    await writeFile(`${path}.part`, bytes)
    await rename(`${path}.part`, path)
    return path
  }

  /** Newest first. */
  async list(): Promise<StoredJar[]> {
    const names = await readdir(this.directory).catch(() => [])
    const jars = await Promise.all(
      names.filter(isJarId).map(async id => {
        const info = await stat(join(this.directory, id)).catch(() => undefined)
        return info === undefined ? [] : [{ id, name: id.slice(id.indexOf('_') + 1), uploadedMs: Math.trunc(info.mtimeMs) }]
      }),
    )
    return jars.flat().sort((a, b) => b.uploadedMs - a.uploadedMs)
  }

  async get(id: string): Promise<{ readonly digest: string; readonly bytes: Uint8Array }> {
    const bytes = await readFile(this.pathOf(id)).catch((cause: unknown) => {
      throw failed(id, cause)
    })
    return { digest: createHash('sha256').update(bytes).digest('hex'), bytes: new Uint8Array(bytes) }
  }

  async delete(id: string): Promise<void> {
    await rm(this.pathOf(id)).catch((cause: unknown) => {
      throw failed(id, cause)
    })
  }

  private pathOf(id: string): string {
    // Only names that `put` can have made: an id must never lead out of the directory.
    if (!isJarId(id)) throw missing(id)
    return join(this.directory, id)
  }
}

/** What cannot be looked at is not said to be gone. */
function failed(id: string, cause: unknown): FlinkError {
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return missing(id, cause)
  return new FlinkError('EXTERNAL_SYSTEM', `jar ${id} cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`, { id }, cause)
}

function missing(id: string, cause?: unknown): FlinkError {
  return new FlinkError('NOT_FOUND', `jar ${id} does not exist`, { id }, cause)
}

function isJarId(name: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}_[\w.-]+\.mjs$/.test(name)
}

function safeName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? 'job.mjs'
  return last.replaceAll(/[^\w.-]/g, '_')
}

function uuid(random: Random): string {
  const bytes = random.bytes(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const text = hex(bytes)
  return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-')
}
