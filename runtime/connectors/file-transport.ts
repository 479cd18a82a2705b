import { type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { IoContext, SinkTransport } from '../stream/spi/io-host.ts'
import { localPath } from './local-path.ts'

/**
 * Async half of text file sinks. Parallelism 1 writes `path`; above that `path` is a folder with one file a subtask, `1`, `2`, …
 * Bytes go to a hidden `.<name>.inprogress` beside the target, which gets its name at the end of the input: whoever sees the file sees
 * all of it. A sink that is closed before the end (a cancelled or failed job) leaves what it has written under that name; the next run
 * begins it anew.
 */
export function fileTransport(options: JsonObject, _context: IoContext): SinkTransport {
  const root = localPath(String(options['path']))
  const parallelism = Number(options['parallelism'])
  const target = parallelism > 1 ? join(root, String(Number(options['subtaskIndex']) + 1)) : root
  const inProgress = join(dirname(target), `.${basename(target)}.inprogress`)
  const overwrite = options['overwrite'] === true
  let handle: FileHandle | undefined
  let ended = false
  let written = 0
  const opening = begin()
  // Reported by the first call that awaits it.
  opening.catch(() => {})

  async function begin(): Promise<FileHandle> {
    try {
      await refuseExisting(target, overwrite)
      await mkdir(dirname(target), { recursive: true })
      handle = await open(inProgress, 'w')
      return handle
    } catch (error) {
      throw writeError(target, error)
    }
  }

  return {
    async write(bytes) {
      const file = await opening
      try {
        for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
        written += bytes.length
      } catch (error) {
        throw writeError(target, error)
      }
    },
    async command(what, _data, reply) {
      if (what !== 'end') return
      const file = await opening
      try {
        await file.sync()
        await file.close()
        handle = undefined
        await refuseExisting(target, overwrite)
        await rename(inProgress, target)
      } catch (error) {
        throw writeError(target, error)
      }
      ended = true
      reply('finished', {})
    },
    async close() {
      const begun = await opening.then(
        () => true,
        () => false,
      )
      await handle?.close()
      if (begun && !ended && written === 0) await rm(inProgress, { force: true })
    },
  }
}

async function refuseExisting(target: string, overwrite: boolean): Promise<void> {
  const status = await lstat(target).catch(error => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  if (status === undefined) return
  // Never removed, whatever the mode: it may hold more than an earlier run's output.
  if (status.isDirectory()) throw new FlinkError('CONFLICT', `text file sink: ${target} is a folder`)
  if (!overwrite)
    throw new FlinkError('CONFLICT', `text file sink: ${target} already exists and is not overwritten; ask for overwrite or choose another path`)
}

function writeError(target: string, error: unknown): FlinkError {
  if (error instanceof FlinkError) return error
  const code = (error as NodeJS.ErrnoException).code
  return new FlinkError('EXTERNAL_SYSTEM', `text file sink: ${target} cannot be written: ${code ?? String(error)}`, { path: target }, error)
}
