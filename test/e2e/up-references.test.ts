import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { counted, counting, UpHome } from '../support/up.ts'

/** A program in a ConfigMap under `millrace up`, with real processes. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

function write(file: string, text: string): string {
  const path = join(home.directory, file)
  writeFileSync(path, text)
  return path
}

const program = (prefix: string) => {
  const block = counting(prefix).trim().replaceAll(/^/gm, '    ')
  return write('program.yaml', `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: program\ndata:\n  count.ts: |\n${block}\n`)
}

test('a program in a ConfigMap beside the job is upgraded with its state when the ConfigMap is edited, and runs on when it goes', async () => {
  const job = write(
    'job.yaml',
    `apiVersion: millrace.dev/v1alpha1
kind: FlinkJob
metadata: { name: referring }
spec:
  job: { configMapRef: { name: program, key: count.ts }, upgradeMode: savepoint }
  flinkConfiguration:
    execution.checkpointing.interval: 300 ms
`,
  )
  const map = program('a')
  const { prints, says, stdout, stderr, child, exit } = home.run(job, map)
  await prints(/a 5 6\n/)
  const { jobId } = home.status('referring')?.jobStatus ?? {}
  program('b')
  await prints(/b \d+ \d+\n/)
  await expect.poll(() => home.status('referring')?.lifecycleState, { timeout: 60_000 }).toBe('STABLE')
  const status = home.status('referring')
  expect(status?.jobStatus?.jobId).toBe(jobId)
  expect(status?.edit).toMatchObject({ generation: 1, class: 'restart', fields: ['spec.job.script'] })
  const [before, after] = [counted(stdout(), 'a'), counted(stdout(), 'b')]
  expect([...before, ...after]).toEqual(Array.from({ length: before.length + after.length }, (_, n) => [n, n + 1]))
  rmSync(map)
  await says(/there is no ConfigMap program in namespace default/)
  expect(home.status('referring')?.jobStatus?.state).toBe('RUNNING')
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})
