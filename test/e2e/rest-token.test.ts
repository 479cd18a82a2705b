import { expect, test } from 'vitest'
import { runMillrace, startCluster, TestFolder } from '../support/cluster.ts'
import { jobIdOf, ticksJob } from '../support/jobs.ts'

test("where REST requires a token, the commands of the cluster's own folder find it, and nobody else gets anything", async () => {
  await using cluster = await startCluster({ configuration: { 'rest.require-token': 'true' } })
  const ask = async (path: string) => (await fetch(`${cluster.address}${path}`)).status
  expect([await ask('/jobs/overview'), await ask('/v1/overview'), await ask('/config')]).toEqual([401, 401, 200])
  const path = await cluster.folder.write('ticks.ts', ticksJob)
  // TaskManagers fetch its code with the same token.
  const job = jobIdOf(await cluster.run(['run', '-d', path]))
  for (const args of [
    ['list'],
    ['list', '-m', cluster.address.replace('http://', '')],
    ['list', '-m', cluster.address.replace('127.0.0.1', 'localhost')],
  ]) {
    const listed = await cluster.run(args)
    expect([listed.code, listed.stdout], args.join(' ')).toEqual([0, expect.stringContaining(job)])
  }
  await using elsewhere = await TestFolder.create()
  const stranger = { MILLRACE_DIR: elsewhere.path, MILLRACE_CONF_DIR: '' }
  const refused = await runMillrace(['list', '-m', cluster.address], stranger)
  expect([refused.code, refused.stdout + refused.stderr]).toEqual([1, expect.stringContaining('a token is required')])
  expect((await cluster.run(['cancel', job])).code).toBe(0)
})
