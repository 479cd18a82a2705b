import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What readers of a file sink's folder see: the lines of all parts that are committed. */
export function writtenLines(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
    .flatMap(({ parentPath, name }) => readFileSync(join(parentPath, name), 'utf8').trimEnd().split('\n'))
}
