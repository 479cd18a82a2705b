import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createCatalogue } from '../../runtime/checkpoint/catalogue.ts'
import { openStore } from '../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { startCluster, TestFolder } from '../support/cluster.ts'
import { runningSumsJob } from '../support/running-sums.ts'
import { sessionProgram } from '../support/session.ts'

/** How jobs have ended, with real processes; test/sim/job-results.test.ts kills between any two steps. */
const jobId = 'a'.repeat(32)

test.each([
  ['with high availability', true],
  ['without', false],
])('kill -9 of the JobManager right behind the end of a job: submitted again to the next one it is refused, %s', async (_, highAvailability) => {
  await using folder = await TestFolder.create()
  const results = join(folder.path, highAvailability ? 'ha/job-result-store/default' : 'results')
  await using cluster = await startCluster({
    taskManagers: 1,
    slots: 1,
    configuration: {
      'job-result-store.delete-on-commit': 'false',
      ...(highAvailability
        ? { 'high-availability.type': 'filesystem', 'high-availability.storageDir': `file://${folder.path}/ha` }
        : { 'job-result-store.storage-path': `file://${results}` }),
    },
  })
  const settings = `env.enableCheckpointing(100)\n  env.getCheckpointConfig().setCheckpointStorage('file://${folder.path}/checkpoints')`
  const path = await cluster.folder.write('sums.ts', runningSumsJob({ count: 500, rowsPerSecond: 1_000, settings }))
  const program = await sessionProgram(cluster, path)
  await program.submit('default', [], 1, jobId)
  await cluster.until('/jobs/overview', () => (existsSync(join(results, jobId)) ? true : undefined))
  process.kill(cluster.pidOf('run/jobmanager-0.json'), 'SIGKILL')
  await cluster.startJobManager()
  const again = await sessionProgram(cluster, path)
  await expect(again.submit('default', [], 1, jobId)).rejects.toThrow(/Job a{32} \(.*\) was globally terminated: it has FINISHED at 2/)
  const open = (uri: string) => openStore(uri, Configuration.empty, { clock: systemClock, random: systemRandom, log: noLog, access: 'read' })
  const catalogue = createCatalogue({ checkpoints: undefined, results: `file://${results}` }, open)
  expect(await catalogue.resultOf(jobId)).toMatchObject({ jobId, state: 'FINISHED', failureCause: null })
})

test('that results are to be kept and nowhere to be stored is refused, by name', async () => {
  await expect(startCluster({ configuration: { 'job-result-store.delete-on-commit': 'false' } })).rejects.toThrow(
    'option job-result-store.delete-on-commit: false needs job-result-store.storage-path, as file:///folder, or high-availability',
  )
})
