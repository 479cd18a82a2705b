import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Inputs, classes and clusters' folders lie outside the repository. */
export const cacheFolder = process.env['MILLRACE_CACHE'] ?? join(homedir(), '.cache/millrace')
export const benchFolder = join(cacheFolder, 'bench')

/** The file `name`, made once. The name says everything its content depends on. */
export function cachedFile(name: string, chunks: () => Iterable<Uint8Array>): string {
  const path = join(benchFolder, 'input', name)
  if (existsSync(path)) return path
  mkdirSync(join(benchFolder, 'input'), { recursive: true })
  const partial = `${path}.${process.pid}.partial`
  const file = openSync(partial, 'w')
  try {
    for (const chunk of chunks()) writeSync(file, chunk)
    // Whole or not at all: an interrupted run leaves no short file under the name.
    renameSync(partial, path)
  } finally {
    closeSync(file)
    rmSync(partial, { force: true })
  }
  return path
}
