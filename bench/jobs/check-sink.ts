import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RuntimeContext } from 'millrace'

/** What every bench's sink does at its end: its part of the result, in the text form of `bench/harness/results.ts`. */
export function writePart(folder: string, context: RuntimeContext, lines: Iterable<string>): void {
  mkdirSync(folder, { recursive: true })
  let text = ''
  for (const line of lines) text += `${line}\n`
  writeFileSync(join(folder, `part-${context.getIndexOfThisSubtask()}`), text)
}
