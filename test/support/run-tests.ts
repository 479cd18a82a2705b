/**
 * Runs vitest, then holds the item tables against its report: an item marked `done` whose test is missing, skipped or failed fails the
 * run. The last line printed is `N passed, N failed, N skipped`, counted from the report.
 *
 * Usage: run-tests.ts [vitest arguments]. With a subset of projects only items whose test file was in the run are checked.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { checkItems, readItemTables, type TestOutcome } from './items.ts'

interface JsonReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly title: string; readonly status: string }[]
  }[]
}

const root = new URL('../..', import.meta.url).pathname
const report = `${root}test-results/report.json`
mkdirSync(`${root}test-results`, { recursive: true })
rmSync(report, { force: true })
// Tests start processes by the dozen, most of which would spend their time on compiling the same sources.
const compileCache = `${root}node_modules/.cache/compile`
const run = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit', env: { NODE_COMPILE_CACHE: compileCache, ...process.env } },
)
const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as JsonReport
const outcomes: TestOutcome[] = testResults.flatMap(file =>
  file.assertionResults.map(test => ({ file: file.name.slice(root.length), title: test.title, status: test.status })),
)
const files = new Set(testResults.map(file => file.name.slice(root.length)))
const count = (status: (text: string) => boolean) => outcomes.filter(outcome => status(outcome.status)).length
const passed = count(status => status === 'passed')
// A file that fails to load has no tests: it counts as one failure.
let failed =
  count(status => status === 'failed') +
  testResults.filter(file => file.status === 'failed' && file.assertionResults.every(test => test.status !== 'failed')).length
const skipped = outcomes.length - passed - count(status => status === 'failed')
const full = process.argv.length === 2
const problems = checkItems(readItemTables(`${root}docs/items`), outcomes, full ? undefined : files)
for (const problem of problems) console.error(`item table: ${problem}`)
failed += problems.length
if (run.status !== 0 && failed === 0) {
  console.error(`vitest exited with ${run.status ?? run.signal} although no test failed (an unhandled error or a leaked handle)`)
  failed = 1
}
if (process.env['CI'] !== undefined && skipped > 0) {
  for (const outcome of outcomes)
    if (outcome.status !== 'passed' && outcome.status !== 'failed') console.error(`skipped under CI: ${outcome.file}: ${outcome.title}`)
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
