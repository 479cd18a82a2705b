import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { OptionTable } from '../../runtime/common/config.ts'
import { parseManifests } from '../validation/manifest.ts'
import { displayName } from '../validation/problems.ts'

export interface ValidateParts {
  readonly optionTables: readonly OptionTable[]
  readonly print: (line: string) => void
  readonly printError: (line: string) => void
}

const MANIFEST = /\.(yaml|yml|json)$/

/** Answers the exit code. All files are looked at, whatever is wrong with one of them; two objects of one name are a problem as well. */
export async function validate(paths: readonly string[], { optionTables, print, printError }: ValidateParts): Promise<number> {
  const problems: string[] = []
  const sound: string[] = []
  const seen = new Map<string, string>()
  for (const path of paths) {
    const files = await manifestsAt(path)
    if (typeof files === 'string') problems.push(files)
    else
      for (const file of files) {
        const parsed = parseManifests(await readFile(file, 'utf8'), file, optionTables)
        problems.push(...parsed.problems)
        for (const { kind, metadata } of parsed.objects) {
          const name = `${kind} ${displayName(metadata)}`
          const before = seen.get(name)
          if (before !== undefined) problems.push(`${file}: ${name} stands in ${before} already`)
          seen.set(name, before ?? file)
          sound.push(`${file}: ${name} is sound`)
        }
      }
  }
  for (const line of sound) print(line)
  for (const line of problems) printError(line)
  return problems.length === 0 ? 0 : 1
}

/** The files at a path, of a folder in order of their names; or why there are none. */
async function manifestsAt(path: string): Promise<readonly string[] | string> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error)
  if (found instanceof Error) return found.code === 'ENOENT' ? `${path} does not exist` : `${path} cannot be read: ${found.code}`
  if (!found.isDirectory()) return [path]
  const names = (await readdir(path)).filter(name => MANIFEST.test(name)).sort()
  return names.length === 0 ? `${path} has no manifests, expected files that end in .yaml, .yml or .json` : names.map(name => join(path, name))
}
