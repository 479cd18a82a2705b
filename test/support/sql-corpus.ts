import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tokenize } from '../../runtime/table/sql/lexer.ts'
import { splitScript } from '../../runtime/table/sql/parse.ts'

/** The SQL corpus, and the same statements with one token replaced by another. Order and choice are fixed: recorded answers refer to them. */
const folder = join(import.meta.dirname, '../sql/corpus')

export interface CorpusStatement {
  readonly file: string
  readonly text: string
}

export function corpusStatements(): readonly CorpusStatement[] {
  const files = readdirSync(folder).filter(file => file.endsWith('.sql'))
  return files.sort().flatMap(file => splitScript(readFileSync(join(folder, file), 'utf8')).map(({ text }) => ({ file, text })))
}

const replacements = ['FROM', 'x', '(', ')', ',', '1', "'s'", 'SELECT', '.', '=', '', 'SELEKT', 'AND', 'NULL', ';', '`q`', 'ROW', 'DATE', '}', '?']

/** Every token of `text` replaced in turn, each by one of the pool; `seed` turns the pool. */
export function mutations(text: string, seed: number): readonly string[] {
  return tokenize(text)
    .slice(0, -1)
    .map((token, i) => {
      const replacement = replacements[(seed * 7 + i * 3) % replacements.length] ?? ''
      return `${text.slice(0, token.offset)}${replacement}${text.slice(token.end)}`
    })
}

/** Every fourth mutation of the corpus: those that Flink's parser was asked about. */
export function recordedMutations(): readonly string[] {
  return corpusStatements()
    .flatMap(({ text }, i) => mutations(text, i))
    .filter((_, i) => i % 4 === 0)
}
