import { afterEach, beforeEach, expect, test } from 'vitest'
import { counted, counting, UpHome } from '../support/up.ts'

/** The life of one FlinkJob on this machine, from its first start to its deletion, with real processes: nothing of what it has counted is lost or counted twice. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const spec = (job: string) => `    upgradeMode: savepoint\n${job}  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n`

test('applied, upgraded, refused, rescaled 1 -> 3, suspended, resumed, annotated and deleted', async () => {
  const write = (script: string, job = '') => home.manifest('story', script, spec(job))
  const status = () => home.status('story')
  const until = (wanted: object) => expect.poll(status, { timeout: 60_000 }).toMatchObject(wanted)
  const running = { lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } }
  /** Number and count of every row, in the order of the numbers: a job that was rescaled prints from another subtask. */
  const rows = () => counted(stdout(), '\\w+')

  const { prints, stdout, stderr, exit } = home.run(write(counting('first', 'INT'), '    parallelism: 1\n'))
  await prints(/first 5 6\n/)
  const jobId = status()?.jobStatus?.jobId

  write(counting('second'), '    parallelism: 1\n')
  await prints(/second \d+ \d+\n/)
  await until({ ...running, observedGeneration: 2 })

  write(counting('third', 'STRING'), '    parallelism: 1\n')
  await until({ ...running, plan: { generation: 3, verdict: 'incompatible' } })
  const seen = rows().length
  await expect.poll(() => rows().length, { timeout: 60_000 }).toBeGreaterThan(seen + 5)
  expect(stdout()).not.toContain('third')

  write(counting('second'), '    parallelism: 3\n')
  await until({ ...running, jobStatus: { state: 'RUNNING', parallelism: 3 }, taskManager: { replicas: 3 } })
  await prints(/\d> second \d+ \d+\n/)

  write(counting('second'), '    parallelism: 3\n    state: suspended\n')
  await until({ lifecycleState: 'SUSPENDED' })
  expect(home.clusterProcesses()).toEqual([])
  const rested = rows().length
  write(counting('fourth'), '    parallelism: 3\n')
  await prints(/\d> fourth \d+ \d+\n/)
  await until(running)
  expect(status()?.jobStatus?.jobId).toBe(jobId)

  await home.millrace('annotate', 'fj/story', 'millrace.dev/savepoint=now')
  await until({ lastSavepoint: { trigger: 'MANUAL', location: expect.stringMatching(/^file:/) } })
  await home.millrace('delete', 'fj/story')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])

  // What a rescale's checkpoint has not seen yet is printed again behind it, with the same count; a stop with a savepoint repeats nothing.
  const all = rows()
  expect(all.length).toBeGreaterThan(rested)
  for (const [n, count] of all) expect(count).toBe(n + 1)
  expect(new Set(all.map(([n]) => n))).toEqual(new Set(Array.from({ length: Math.max(...all.map(([n]) => n)) + 1 }, (_, n) => n)))
})
