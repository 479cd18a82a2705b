import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { SourceSplit, SplitEnumerator, SplitEnumeratorContext } from '../stream/spi/source.ts'
import { localPath } from './local-path.ts'
import { listingEnumerator } from './split-assignment.ts'

/**
 * Splits of a text file or of the files in a folder, listed once, at start.
 *
 * - A folder is not read recursively; names that start with `.` or `_` are left out, as in Flink. Files are read in order of name.
 * - Symbolic links are followed: a link to a file is read like a file, under each name it has; a link to a folder is a folder
 *   (left out inside a folder). A link whose target is gone is an error that names it.
 * - Files are cut into byte ranges so that every reader gets about the same number of bytes, also when there is only one file. A range
 *   owns the lines that begin in it, whatever they end in. With `wholeFiles` no file is cut: its records may hold line feeds.
 */
export interface FileSplit extends SourceSplit {
  readonly path: string
  /** Byte range [start, end). */
  readonly start: number
  readonly end: number
  /** Where to go on, always the first byte of a line; -1 = not begun, so a line that began before `start` is skipped first. */
  readonly position: number
}

export interface ListedFile {
  readonly path: string
  readonly size: number
}

export function fileEnumerator(options: JsonObject, context: SplitEnumeratorContext, restored?: JsonObject): SplitEnumerator {
  return listingEnumerator(context, restored, async parallelism =>
    splitFiles(await listFiles(localPath(String(options['path']))), parallelism, options['wholeFiles'] === true),
  )
}

export async function listFiles(path: string): Promise<ListedFile[]> {
  const root = await statOf(path)
  if (!root.isDirectory()) {
    if (!root.isFile()) throw new FlinkError('INVALID_ARGUMENT', `${path} is neither a file nor a folder`)
    refuseCompressed(path)
    return [{ path, size: root.size }]
  }
  const files: ListedFile[] = []
  const names = await readdir(path).catch(error => {
    throw fileError(path, error)
  })
  for (const name of names.sort()) {
    if (name.startsWith('.') || name.startsWith('_')) continue
    const file = join(path, name)
    const status = await statOf(file)
    if (!status.isFile()) continue
    refuseCompressed(file)
    files.push({ path: file, size: status.size })
  }
  return files
}

/** One list per reader. Greedy in listed order: a reader takes bytes until it has its share, cutting the file at which that happens. */
export function splitFiles(files: readonly ListedFile[], parallelism: number, wholeFiles = false): FileSplit[][] {
  const total = files.reduce((sum, file) => sum + file.size, 0)
  const share = Math.max(1, Math.ceil(total / parallelism))
  const readers: FileSplit[][] = Array.from({ length: parallelism }, () => [])
  let reader = 0
  let taken = 0
  for (const { path, size } of files) {
    let start = 0
    while (start < size) {
      const end = wholeFiles ? size : Math.min(size, start + share - taken)
      readers[reader]?.push({ splitId: `${path}:${start}-${end}`, path, start, end, position: -1 })
      taken += end - start
      start = end
      if (taken >= share && reader < parallelism - 1) {
        reader++
        taken = 0
      }
    }
  }
  return readers
}

/** What Flink decompresses by its ending; reading it as text would answer rubbish. */
const compressedEndings = ['.gz', '.gzip', '.deflate', '.bz2', '.xz', '.zst', '.zstd']

function refuseCompressed(path: string): void {
  const ending = compressedEndings.find(candidate => basename(path).toLowerCase().endsWith(candidate))
  if (ending !== undefined) throw new FlinkError('UNSUPPORTED', `compressed text files (${ending}) are not supported yet: ${path}`)
}

async function statOf(path: string): Promise<Awaited<ReturnType<typeof stat>> & { size: number }> {
  try {
    return await stat(path)
  } catch (error) {
    throw fileError(path, error)
  }
}

export function fileError(path: string, error: unknown): FlinkError {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return new FlinkError('NOT_FOUND', `file ${path} does not exist`, { path }, error)
  return new FlinkError('EXTERNAL_SYSTEM', `file ${path} cannot be read: ${code ?? (error as Error).message}`, { path }, error)
}
