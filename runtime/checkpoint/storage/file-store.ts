import type { Dirent } from 'node:fs'
import { link, mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { FlinkError } from '../../common/errors.ts'
import { hex } from '../../common/ids.ts'
import type { Random } from '../../common/random.ts'
import { type ObjectFile, objectFile } from '../../state/state-files.ts'
import { type ByteRange, beyondEnd, checkPath, checkRange, type ObjectStore, probeStore } from './object-store.ts'

/**
 * A folder as a store. An object is written beside, synced, and linked to its name: `link` is what a POSIX file system offers as an exclusive and
 * atomic create. Then the folder is synced, for a name that is not on disk is no name after a crash.
 *
 * Temporary files begin with a dot and lie at the root. One that a killed process left is worth nothing; `openFileStore` removes those that are a
 * day old, since somebody else's younger one may be in use.
 */
export async function openFileStore(root: string, random: Random, nowMs: number): Promise<ObjectStore> {
  const store = new FileStore(resolve(root), random)
  await store.probe(nowMs)
  return store
}

/** For reading: it is left as it is, and need not be there. */
export function fileStoreAt(root: string, random: Random): ObjectStore {
  return new FileStore(resolve(root), random)
}

const TEMPORARY = '.tmp-'
const TEMPORARY_AGE_MS = 24 * 60 * 60 * 1000
/** Another process may remove an empty folder between our making it and our linking into it, or while we list what is around it. */
const FOLDER_TRIES = 5
/** Node ends the process when it is asked for 2 GiB at once. */
const READ_BYTES_MAX = 2 ** 30

class FileStore implements ObjectStore {
  readonly uri: string
  private readonly root: string
  private readonly random: Random

  constructor(root: string, random: Random) {
    this.uri = pathToFileURL(root).href
    this.root = root
    this.random = random
  }

  /** That links work here is found out before the first checkpoint needs one. */
  async probe(nowMs: number): Promise<void> {
    try {
      await mkdir(this.root, { recursive: true })
      await this.removeAbandoned(nowMs)
    } catch (error) {
      throw this.failed('cannot be used', '', error)
    }
    await probeStore(this, this.random)
  }

  async create(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const target = this.at(path)
    const temporary = join(this.root, `${TEMPORARY}${hex(this.random.bytes(8))}`)
    let linked: 'created' | 'exists'
    try {
      await writeSynced(temporary, bytes)
      linked = await this.linkTo(temporary, target)
    } catch (error) {
      throw this.failed('cannot be written', path, error)
    } finally {
      await rm(temporary, { force: true }).catch(() => {})
    }
    try {
      // Also for `exists`: whoever made it may not have come that far, and we are about to rely on it.
      for (let folder = dirname(target); folder.startsWith(this.root); folder = dirname(folder)) await syncFolder(folder)
    } catch (error) {
      throw new FlinkError('OUTCOME_UNKNOWN', `checkpoint storage: ${path} of ${this.uri} is written, but its folder cannot be synced`, {}, error)
    }
    return linked
  }

  async read(path: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    checkRange(path, range)
    return this.orUndefined('read', path, async () => {
      await using file = await open(this.at(path), 'r')
      const { size } = await file.stat()
      const { offset, length } = range ?? { offset: 0, length: size }
      if (offset + length > size) throw beyondEnd(this.uri, path, { offset, length }, size)
      const bytes = new Uint8Array(length)
      // One read may bring less than was asked for.
      for (let at = 0; at < length; ) {
        const { bytesRead } = await file.read(bytes, at, Math.min(length - at, READ_BYTES_MAX), offset + at)
        if (bytesRead === 0) throw beyondEnd(this.uri, path, { offset, length }, offset + at)
        at += bytesRead
      }
      return bytes
    })
  }

  async file(path: string): Promise<ObjectFile | undefined> {
    return this.orUndefined('read', path, () => objectFile(this.at(path)))
  }

  async size(path: string): Promise<number | undefined> {
    return this.orUndefined('looked at', path, async () => (await stat(this.at(path))).size)
  }

  async list(folder: string): Promise<readonly string[]> {
    return (await this.entriesOf(folder))
      .filter(entry => entry.isFile())
      .map(entry => relative(this.root, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .sort()
  }

  async remove(path: string): Promise<void> {
    const target = this.at(path)
    try {
      await rm(target, { force: true })
      // A folder that has become empty is no object's; one that is not stays.
      for (let folder = dirname(target); folder !== this.root; folder = dirname(folder)) await rmdir(folder)
    } catch (error) {
      if (isCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) return
      throw this.failed('cannot be removed', path, error)
    }
  }

  private async entriesOf(folder: string): Promise<readonly Dirent[]> {
    const path = this.at(folder)
    for (let tries = 1; ; tries++) {
      try {
        return await readdir(path, { recursive: true, withFileTypes: true })
      } catch (error) {
        const isMissing = isCode(error, 'ENOENT', 'ENOTDIR')
        // A folder below it that somebody has removed meanwhile is missing as well: nothing is known of the others then.
        if (isMissing && (await this.orUndefined('listed', folder, () => stat(path)))?.isDirectory() !== true) return []
        if (!isMissing || tries === FOLDER_TRIES) throw this.failed('cannot be listed', folder, error)
      }
    }
  }

  private async linkTo(temporary: string, target: string): Promise<'created' | 'exists'> {
    for (let tries = 1; ; tries++) {
      try {
        await mkdir(dirname(target), { recursive: true })
        await link(temporary, target)
        return 'created'
      } catch (error) {
        if (isCode(error, 'EEXIST')) {
          // `mkdir` says so of a file where a folder should be.
          if ((await stat(target).catch(() => undefined))?.isFile() === true) return 'exists'
          throw error
        }
        if (!isCode(error, 'ENOENT') || tries === FOLDER_TRIES) throw error
      }
    }
  }

  private async removeAbandoned(nowMs: number): Promise<void> {
    for (const name of await readdir(this.root)) {
      if (!name.startsWith(TEMPORARY)) continue
      const path = join(this.root, name)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: nowMs }))
      if (nowMs - mtimeMs > TEMPORARY_AGE_MS) await rm(path, { force: true })
    }
  }

  private async orUndefined<T>(what: string, path: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act()
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw this.failed(`cannot be ${what}`, path, error)
    }
  }

  private at(path: string): string {
    return join(this.root, ...checkPath(path).split('/'))
  }

  private failed(what: string, path: string, error: unknown): FlinkError {
    if (error instanceof FlinkError) return error
    const object = path === '' ? this.uri : `${path} of ${this.uri}`
    return new FlinkError(
      'EXTERNAL_SYSTEM',
      `checkpoint storage: ${object} ${what}: ${error instanceof Error ? error.message : String(error)}`,
      {},
      error,
    )
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A name that was given or taken away counts when its folder is on disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
