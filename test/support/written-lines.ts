import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What readers of a file sink's folder see: the lines of its finished parts. */
export function writtenLines(folder: string): string[] {
  return filesIn(folder)
    .filter(({ name }) => !name.startsWith('.'))
    .flatMap(({ path }) => readFileSync(path, 'utf8').trimEnd().split('\n'))
}

/** What they do not: parts that are being written, or were. */
export function unfinishedParts(folder: string): string[] {
  return filesIn(folder).flatMap(({ name }) => (name.startsWith('.') ? [name] : []))
}

function filesIn(folder: string): { readonly name: string; readonly path: string }[] {
  const entries = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []
  return entries.flatMap(entry => (entry.isFile() ? [{ name: entry.name, path: join(entry.parentPath, entry.name) }] : []))
}
