import { afterEach, beforeEach, expect, test } from 'vitest'
import type { JobInfo } from '../../runtime/rest/types.ts'
import { UpHome } from '../support/up.ts'

/** Which parallelism counts under `millrace up`, read from the running job over REST. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const program = (first: string) => `
import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  ${first}
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 1, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers')
    .rebalance().map(n => n, Types.INT).name('plain').rebalance().map(n => n, Types.INT).name('own').setParallelism(2).rebalance().print()
}`

test.each([
  ['parallelism.default, where the manifest says nothing else', '', '', 3, 3],
  ['spec.job.parallelism over parallelism.default', '', '    parallelism: 4\n', 4, 4],
  ['what the program sets over both', 'env.setParallelism(1)', '    parallelism: 4\n', 1, 2],
] as const)('seed-C12: %s; what an operator sets over all', async (_, first, field, plain, largest) => {
  const options = '  flinkConfiguration:\n    parallelism.default: 3\n    taskmanager.numberOfTaskSlots: 4\n    rest.port: 0\n'
  const { child, exit, stderr } = home.run(home.manifest('sized', program(first), `${field}${options}`))
  await expect.poll(() => home.status('sized')?.jobStatus?.parallelism, { timeout: 60_000 }).toBe(largest)
  const { clusterInfo, jobStatus, taskManager } = home.status('sized') ?? {}
  const job = (await (await fetch(`${clusterInfo?.['web-address']}/v1/jobs/${jobStatus?.jobId}`)).json()) as JobInfo
  const parallelismOf = (name: string) => job.vertices.find(vertex => vertex.name.includes(name))?.parallelism
  expect([parallelismOf('plain'), parallelismOf('own')]).toEqual([plain, 2])
  expect(taskManager?.replicas, 'seed-C3: as many TaskManagers as the slots need').toBe(1)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
})
