import type { OptionTable } from '../../runtime/common/config.ts'
import { parseManifests } from '../validation/manifest.ts'
import { displayName } from '../validation/problems.ts'
import { manifestsAt, readManifest } from './manifest-set.ts'

export interface ValidateParts {
  readonly optionTables: readonly OptionTable[]
  readonly print: (line: string) => void
  readonly printError: (line: string) => void
}

/** Answers the exit code. All files are looked at, whatever is wrong with one of them; two objects of one name are a problem as well. */
export async function validate(paths: readonly string[], { optionTables, print, printError }: ValidateParts): Promise<number> {
  const problems: string[] = []
  const sound: string[] = []
  const seen = new Map<string, string>()
  for (const path of paths) {
    const at = await manifestsAt(path)
    if (at.problem !== undefined) problems.push(at.problem)
    for (const file of at.files) {
      const read = await readManifest(file)
      const parsed = 'text' in read ? parseManifests(read.text, file, optionTables) : { objects: [], problems: [read.problem] }
      problems.push(...parsed.problems)
      for (const {
        checked: { kind, metadata },
      } of parsed.objects) {
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
