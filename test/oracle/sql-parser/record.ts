import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { corpusStatements, recordedMutations } from '../../support/sql-corpus.ts'

/** Asks a real Flink's parser about the corpus and its mutations and writes test/sql/flink-parser.json: `node test/oracle/sql-parser/record.ts`. */
const work = mkdtempSync(join(tmpdir(), 'sql-parser-'))
const ask = (statements: readonly string[]) => {
  const input = join(work, 'statements')
  writeFileSync(input, statements.join('\0'))
  const output = execFileSync(join(import.meta.dirname, 'run.sh'), [input], { encoding: 'utf8', maxBuffer: 1 << 26 })
  return output
    .trimEnd()
    .split('\n')
    .map(answer => (answer === 'ok' ? 'y' : 'n'))
    .join('')
}
const recorded = {
  source: 'test/oracle/sql-parser/record.ts',
  flink: '2.3.0',
  meaning: 'one letter a statement, in the order of test/support/sql-corpus.ts: y is accepted by Flink, n refused',
  corpus: ask(corpusStatements().map(({ text }) => text)),
  mutations: ask(recordedMutations()),
}
writeFileSync(join(import.meta.dirname, '../../sql/flink-parser.json'), `${JSON.stringify(recorded, null, 2)}\n`)
rmSync(work, { recursive: true })
