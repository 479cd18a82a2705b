import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readResult } from '../../../bench/harness/results.ts'
import { NEXMARK_EVENTS, nexmarkScript, nexmarkScripts, writeNexmarkInput } from '../../support/nexmark-sql.ts'

/** Around run.sh: `prepare FOLDER` writes input and scripts, `record FOLDER` reads what Flink wrote for each into expected.json. */
const [what, folder = ''] = process.argv.slice(2)
if (what === 'prepare') {
  const input = join(folder, 'events.jsonl')
  await writeNexmarkInput(input)
  mkdirSync(join(folder, 'scripts'))
  for (const name of nexmarkScripts) writeFileSync(join(folder, 'scripts', `${name}.sql`), nexmarkScript(name, input, join(folder, 'out', name)))
} else {
  const results = Object.fromEntries(nexmarkScripts.map(name => [name, readResult(join(folder, 'out', name))]))
  const page = { script: 'test/oracle/nexmark/run.sh', version: 'Apache Flink 2.3.0', events: NEXMARK_EVENTS, results }
  writeFileSync(join(import.meta.dirname, 'expected.json'), `${JSON.stringify(page, undefined, 2)}\n`)
}
