import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { counted, counting, UpHome } from '../support/up.ts'

/** Edits that restart nothing, with real processes. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const options = (level: string) => `    upgradeMode: savepoint\n  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n${level}`

test('how much is logged changes under processes that run', async () => {
  const path = home.manifest('live', counting('a'), options(''))
  const { prints, stdout, stderr, child, exit } = home.run(path)
  await prints(/a 5 6\n/)
  const processes = home.clusterProcesses().map(line => line.split(' ')[0])
  home.manifest('live', counting('a'), options('    env.log.level: ERROR\n'))
  await expect
    .poll(() => home.status('live'), { timeout: 60_000 })
    .toMatchObject({
      observedGeneration: 2,
      edit: { class: 'live', fields: ['spec.flinkConfiguration["env.log.level"]'] },
      live: '{"level":"ERROR"}',
    })
  home.manifest('live', counting('a'), options('    env.log.level: DEBUG\n'))
  const log = (name: string) => readFileSync(join(home.directory, 'up/default/live/cluster/log', `${name}.log`), 'utf8')
  for (const name of ['jobmanager-0', 'taskmanager-0'])
    await expect.poll(() => log(name), { timeout: 60_000 }).toMatch(/what is logged has changed +level=debug/)
  expect(home.clusterProcesses().map(line => line.split(' ')[0])).toEqual(processes)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  // One life from the first row to the last.
  const rows = counted(stdout(), 'a')
  expect(rows).toEqual(rows.map((_, n) => [n, n + 1]))
})
