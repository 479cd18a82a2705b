import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { UpHome } from '../support/up.ts'

/** A job under `millrace up` that restarts again and again, with real processes. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const failing = (marker: string) => `
import { existsSync } from 'node:fs'
import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 20, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .map(n => {
      if (existsSync('${marker}')) throw new Error('the table of prices is not there')
      return n
    }).name('price').print()
}`

test('a function that always throws is a RestartLoop with its cause and place; the first checkpoint after it has stopped ends it', async () => {
  const marker = join(home.directory, 'broken')
  writeFileSync(marker, '')
  const strategy = '  restartStrategy:\n    type: fixed-delay\n    attempts: 100000\n    delay: 100 ms\n'
  const path = home.manifest('looping', failing(marker), `${strategy}  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n`)
  const { says, prints, child, exit } = home.run(path)
  const loop = () => home.status('looping')?.conditions.find(({ type }) => type === 'RestartLoop')
  await says(
    /restarted \d+ times since \S+ without a completed checkpoint between, the last time for a failure in .*price.*: Error: the table of prices is not there/,
  )
  expect(loop()).toMatchObject({ status: 'True', reason: 'RestartsWithoutCheckpoint' })
  expect(home.status('looping')?.restarts?.count).toBeGreaterThanOrEqual(3)
  rmSync(marker)
  await prints(/\d+\n/)
  await says(/the job does not restart again and again/)
  expect(loop()).toMatchObject({ status: 'False', reason: 'NoRestartLoop' })
  expect(home.status('looping')?.restarts?.count).toBe(0)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test('a job that restarts more often than its health check allows goes on under its id, on a new JobManager', async () => {
  const marker = join(home.directory, 'broken')
  const check = 'kubernetes.operator.cluster.health-check'
  const path = home.manifest(
    'unhealthy',
    failing(marker),
    `    upgradeMode: last-state
  restartStrategy:
    type: fixed-delay
    attempts: 100000
    delay: 100 ms
  flinkConfiguration:
    execution.checkpointing.interval: 300 ms
    ${check}: { enabled: true, restarts.threshold: 4 }
`,
  )
  const { says, prints, child, exit } = home.run(path)
  await prints(/20\n/)
  const { jobId } = home.status('unhealthy')?.jobStatus ?? {}
  writeFileSync(marker, '')
  await says(/the job is not healthy: it has restarted \d+ times since \S+, 4 within 120 s are allowed/)
  rmSync(marker)
  await expect
    .poll(() => home.status('unhealthy'), { timeout: 60_000 })
    .toMatchObject({ lifecycleState: 'STABLE', jobStatus: { jobId, state: 'RUNNING' }, recovery: { step: 'DONE' }, restore: { kind: 'checkpoint' } })
  expect(home.status('unhealthy')?.recovery?.reason).toMatch(/^the job is not healthy: /)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
})

test.each([
  ['none', '{ type: none }', 1],
  ['fixed-delay', '{ type: fixed-delay, attempts: 2, delay: 50 ms }', 3],
  ['exponential-delay', '{ type: exponential-delay, attempts: 3, initialBackoff: 20 ms, maxBackoff: 40 ms }', 4],
] as const)('spec.restartStrategy of type %s reaches the job: it is tried as often as that says', async (type, strategy, tries) => {
  const log = join(home.directory, 'tries')
  const path = home.manifest(
    `tried-${type}`,
    `
import { appendFileSync } from 'node:fs'
import type { StreamExecutionEnvironment } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromElements('row').map(row => {
    appendFileSync('${log}', 'try\\n')
    throw new Error('never: ' + row)
  }).print()
}`,
    `  restartStrategy: ${strategy}\n  flinkConfiguration:\n    execution.checkpointing.interval: 1 h\n`,
  )
  const { exit, stderr } = home.run(path)
  expect(await exit, stderr()).toBe(1)
  expect(stderr()).toMatch(/never: row/)
  expect(readFileSync(log, 'utf8')).toBe('try\n'.repeat(tries))
})
