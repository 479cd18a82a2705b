import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { OperatorFleet } from '../../support/operator-fleet.ts'
import { root } from '../../support/up.ts'

/** What `make bench CASE=operator-500` measures, with a few jobs: what is counted, not what is timed. */
const JOBS = 20
const IDLE_MS = 12_000
let folder: string
let operator: OperatorFleet
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-fleet-'))
  operator = await OperatorFleet.start([join(root, 'bin/millrace')], folder)
})
afterAll(async () => {
  await operator?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

test('many FlinkJobs at once: all objects right; idle, nothing is written, nothing read, and a job is asked once in 10 s', async () => {
  await operator.createJobs(JOBS, join(folder, 'state'))
  await operator.untilStable(JOBS)
  expect(await operator.wrongObjects(JOBS)).toEqual([])
  await operator.untilQuiet(3_000)
  const [before, restBefore] = [operator.calls(), operator.fleet.restCalls]
  // Each once, and none of them twice.
  await delay(IDLE_MS)
  const [after, asked] = [operator.calls(), operator.fleet.restCalls - restBefore]
  expect(after.byRequest).toEqual(before.byRequest)
  expect(asked).toBeGreaterThan(0)
  expect(asked).toBeLessThanOrEqual(2 * JOBS)
  expect(operator.fleet.failures).toEqual([])
})
