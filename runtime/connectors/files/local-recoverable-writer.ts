import type { Stats } from 'node:fs'
import { constants, copyFile, type FileHandle, link, lstat, mkdir, open, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { syncFolder } from '../../checkpoint/storage/file-store.ts'
import { FlinkError } from '../../common/errors.ts'
import type { JsonObject } from '../../common/json.ts'
import { inProgressName, isAbandoned, type PartOwner, type PartStream, type RecoverableWriter } from './recoverable-writer.ts'

/**
 * Parts on a file system: a hidden file beside the target, which gets its name by `link`, the one exclusive and atomic way that POSIX has, and loses
 * the hidden one. A name counts when its folder was synced, and so do the folders made on the way to it.
 *
 * `recover` copies. The earlier attempt may still be alive somewhere, not knowing that it is over, and append to its file; and whoever restores the
 * same snapshot again must find it unchanged. Where the file system can share blocks, the copy is free.
 */
export class LocalRecoverableWriter implements RecoverableWriter {
  private readonly root: string
  private readonly owner: PartOwner
  private linksWork = false

  constructor(root: string, owner: PartOwner) {
    this.root = root
    this.owner = owner
  }

  async open(target: string): Promise<PartStream> {
    return this.begin(target, inProgress => open(inProgress, 'wx'), 0)
  }

  async recover(recoverable: JsonObject, target: string): Promise<PartStream> {
    const { inProgress: source, length } = localRecoverable(recoverable)
    const size = await describing(source, 'looked at', () => sizeOf(source))
    if (size === undefined || size < length)
      throw new FlinkError(
        'OUTCOME_UNKNOWN',
        `file sink: the snapshot goes on with the first ${length} bytes of ${source}, which ${size === undefined ? 'is not there' : `has ${size}`}: was a later checkpoint's output committed?`,
        { path: source },
      )
    return this.begin(
      target,
      async inProgress => {
        await copyFile(source, inProgress, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
        const file = await open(inProgress, 'r+')
        await file.truncate(length).catch(async error => {
          await file.close()
          throw error
        })
        return file
      },
      length,
    )
  }

  async commit(committable: JsonObject): Promise<'committed' | 'already'> {
    const part = localRecoverable(committable)
    return describing(part.target, 'committed', async () => {
      const done = await giveName(part)
      await rm(part.inProgress, { force: true })
      // Also when it was done before: whoever did it may have died before it had come this far.
      await syncFolder(dirname(part.target))
      return done
    })
  }

  async sweep(): Promise<void> {
    await describing(this.root, 'listed', () => sweepFolder(this.root, this.owner))
  }

  private async begin(target: string, create: (inProgress: string) => Promise<FileHandle>, length: number): Promise<PartStream> {
    const path = join(this.root, ...target.split('/'))
    const folder = dirname(path)
    const inProgress = join(folder, inProgressName(basename(path), this.owner))
    return describing(path, 'begun', async () => {
      await makeFolder(folder)
      const file = await create(inProgress)
      try {
        if (!this.linksWork) await this.probeLinks(inProgress, join(folder, inProgressName(`${basename(path)}.probe`, this.owner)))
        await syncFolder(folder)
      } catch (error) {
        await file.close()
        throw error
      }
      return new LocalPart(file, inProgress, path, length)
    })
  }

  /** Found out before the first checkpoint depends on it. */
  private async probeLinks(inProgress: string, probe: string): Promise<void> {
    await link(inProgress, probe)
    await rm(probe)
    this.linksWork = true
  }
}

class LocalPart implements PartStream {
  private readonly file: FileHandle
  private readonly inProgress: string
  private readonly target: string
  private length: number
  private closed = false

  constructor(file: FileHandle, inProgress: string, target: string, length: number) {
    this.file = file
    this.inProgress = inProgress
    this.target = target
    this.length = length
  }

  async write(bytes: Uint8Array): Promise<void> {
    await describing(this.target, 'written', async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.file.write(bytes, at, bytes.length - at, this.length)
        at += bytesWritten
        this.length += bytesWritten
      }
    })
  }

  async persist(): Promise<JsonObject> {
    await describing(this.target, 'synced', () => this.file.sync())
    return { inProgress: this.inProgress, target: this.target, length: this.length }
  }

  async closeForCommit(): Promise<JsonObject> {
    const committable = await this.persist()
    await this.close()
    return committable
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await describing(this.target, 'closed', () => this.file.close())
  }

  async dispose(): Promise<void> {
    await this.close()
    await describing(this.inProgress, 'removed', () => rm(this.inProgress, { force: true }))
  }
}

interface LocalRecoverable {
  readonly inProgress: string
  readonly target: string
  readonly length: number
}

function localRecoverable({ inProgress, target, length }: JsonObject): LocalRecoverable {
  if (typeof inProgress !== 'string' || typeof target !== 'string' || typeof length !== 'number')
    throw new FlinkError(
      'CORRUPT_CHECKPOINT',
      'file sink: a part in the snapshot is not one of a file system: was the path another when it was taken?',
    )
  return { inProgress, target, length }
}

/** An earlier attempt may have died at any point of its commit, or be at it right now. */
async function giveName({ inProgress, target, length }: LocalRecoverable): Promise<'committed' | 'already'> {
  const size = await sizeOf(inProgress)
  if (size === undefined) return requireCommitted(target, length)
  if (size !== length)
    throw new FlinkError('OUTCOME_UNKNOWN', `file sink: ${inProgress} was complete with ${length} bytes and has ${size}`, { path: inProgress })
  try {
    await link(inProgress, target)
    return 'committed'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return requireCommitted(target, length)
    if (codeOf(error) !== 'EEXIST') throw error
  }
  const [source, present] = await Promise.all([inodeOf(inProgress), inodeOf(target)])
  if (source === undefined) return requireCommitted(target, length)
  if (source === present) return 'already'
  throw new FlinkError('CONFLICT', `file sink: ${target} exists and is not ours; it is not overwritten`, { path: target })
}

async function requireCommitted(target: string, length: number): Promise<'already'> {
  const size = await sizeOf(target)
  if (size === length) return 'already'
  if (size !== undefined)
    throw new FlinkError('CONFLICT', `file sink: ${target} was to have ${length} bytes and has ${size}: somebody else has written it`, {
      path: target,
    })
  throw new FlinkError(
    'OUTCOME_UNKNOWN',
    `file sink: ${target} is to be committed, but is neither there nor waiting to be: it was lost, or committed before and taken away since`,
    { path: target },
  )
}

/** Folders and files come and go meanwhile: what is not there any more needs no removal. */
async function sweepFolder(folder: string, owner: PartOwner): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(error => {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  })
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !entry.name.startsWith('.')) await sweepFolder(path, owner)
    else if (entry.isFile() && isAbandoned(entry.name, owner)) await rm(path, { force: true })
  }
}

async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await statusOf(path))?.size
}

async function inodeOf(path: string): Promise<string | undefined> {
  const status = await statusOf(path)
  return status === undefined ? undefined : `${status.dev}:${status.ino}`
}

async function statusOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function describing<T>(path: string, what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof FlinkError) throw error
    throw new FlinkError('EXTERNAL_SYSTEM', `file sink: ${path} cannot be ${what}: ${codeOf(error) ?? String(error)}`, { path }, error)
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
