import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { differenceOf, type JobResult, readResult } from '../../bench/harness/results.ts'
import { runMillrace, TestFolder } from '../support/cluster.ts'
import { NEXMARK_EVENTS, nexmarkScript, nexmarkScripts, writeNexmarkInput } from '../support/nexmark-sql.ts'

/** The bench's Nexmark scripts, run as people run them, against what Flink 2.3 wrote for the same events (test/oracle/nexmark/run.sh). */
const expected: { readonly events: number; readonly results: Readonly<Record<string, JobResult>> } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../oracle/nexmark/expected.json'), 'utf8'),
)
let folder: TestFolder
let input: string
const equal: string[] = []

beforeAll(async () => {
  folder = await TestFolder.create()
  input = join(folder.path, 'events.jsonl')
  await writeNexmarkInput(input)
  return () => folder[Symbol.asyncDispose]()
})

test('the recorded figures are of as many events', () => {
  expect(expected.events).toBe(NEXMARK_EVENTS)
  expect(Object.values(expected.results).every(({ lines }) => lines > 100)).toBe(true)
})

test.each(nexmarkScripts)("%s gives Flink's rows on 200,000 events", async name => {
  const output = join(folder.path, name)
  const script = await folder.write(`${name}.sql`, nexmarkScript(name, input, output))
  const run = await runMillrace(['run', '-t', 'local', '-p', '2', script], { MILLRACE_DIR: join(folder.path, 'millrace') })
  expect(run).toMatchObject({ code: 0, stderr: '' })
  expect(differenceOf(expected.results[name]!, readResult(output))).toBeUndefined()
  equal.push(name)
})

test("q0, q1, q2, q22 and the two windowed counts gave Flink's rows", () => {
  expect(equal).toEqual([...nexmarkScripts])
})
