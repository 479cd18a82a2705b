import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openArtifact } from '../../runtime/planner/artifact.ts'

const root = resolve(import.meta.dirname, '../..')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-bundle-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function bundle(name: string, text: string, ...options: readonly string[]) {
  const path = join(folder, name)
  writeFileSync(path, text)
  const summary = join(folder, 'answers', `${name}.json`)
  const argv = [
    '--disable-warning=ExperimentalWarning',
    join(root, 'bin/millrace.ts'),
    'bundle',
    '--summary',
    summary,
    ...options,
    path,
    '--rows',
    '3',
  ]
  const run = promisify(execFile)(process.execPath, argv).then(() => 0)
  const code = await run.catch((error: { code: number }) => error.code)
  return { code, summary: JSON.parse(readFileSync(summary, 'utf8')) as unknown }
}

test('a program is bundled, and what it needs is said', async () => {
  const program = `
import { DataGeneratorSource, WatermarkStrategy } from 'millrace'
export const main = (env, ...args) => {
  env.configure({ 'execution.checkpointing.interval': '1 min', 'pipeline.name': 'rows' })
  env.setParallelism(3)
  env.fromSource(new DataGeneratorSource(i => i, { count: 10 }), WatermarkStrategy.noWatermarks(), 'rows').rebalance().map(i => i + 1).print()
}`
  const output = join(folder, 'uploads', 'job.mjs')
  const options = ['-o', output, '-c', 'main', '-D', 'taskmanager.numberOfTaskSlots=2', '-D', 'execution.checkpointing.dir=file:///state']
  expect(await bundle('job.ts', program, ...options)).toEqual({
    code: 0,
    summary: {
      kind: 'ready',
      jobName: 'rows',
      slotsNeeded: 3,
      slotsPerTaskManager: 2,
      checkpointDirectory: 'file:///state',
      configuration: expect.objectContaining({ 'execution.checkpointing.interval': expect.any(String) }),
      parallelisms: expect.any(Object),
    },
  })
  expect(openArtifact(readFileSync(output)).exports).toEqual(['main'])
})

test('a program that does not compile says where, and the exit code is 1', async () => {
  expect(await bundle('broken.ts', 'export default env => {\n  env.\n}\n')).toEqual({
    code: 1,
    summary: { kind: 'invalid', message: expect.stringContaining('broken.ts:3:1') },
  })
})

test('so does one that throws while it builds its graph, and a SQL script with a mistake', async () => {
  const thrown = await bundle('throws.ts', "export default () => {\n  throw new Error('no such table')\n}\n")
  expect(thrown).toEqual({ code: 1, summary: { kind: 'invalid', message: expect.stringContaining('no such table') } })
  const sql = await bundle('job.sql', 'SELECT * FROM nowhere')
  expect(sql).toEqual({ code: 1, summary: { kind: 'invalid', message: expect.stringMatching(/nowhere/) } })
})
