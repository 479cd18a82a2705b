import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { S3Server } from '../support/s3-server.ts'

/** What jobs leave behind in the processes that outlive them. */
const program = new URL('../support/every-state-job.ts', import.meta.url).pathname
const jobs = 5

test('jobs come and go, with checkpoints on S3: the cluster has no more file descriptors than before', async () => {
  const server = await S3Server.start()
  server.createBucket('state')
  try {
    const configuration = {
      ...server.configuration().toObject(),
      'execution.checkpointing.interval': '100 ms',
      'execution.checkpointing.dir': 's3://state/checkpoints',
      'execution.checkpointing.data-inline-threshold': '0',
    }
    await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration })
    const run = async (out: string) => {
      const args = ['--count', '400', '--rows-per-second', '1000', '--out', `file://${join(cluster.folder.path, out)}`]
      const { code, stdout, stderr } = await cluster.run(['run', '-p', '2', program, ...args])
      expect([code, stdout + stderr]).toEqual([0, expect.stringContaining('Program execution finished')])
    }
    const descriptors = () =>
      ['run/jobmanager-', 'run/taskmanager-'].map(kind => readdirSync(`/proc/${cluster.pidOf(kind)}/fd`).length).reduce((a, b) => a + b)
    // The first ones open what stays: connections, the planner.
    for (let n = 0; n < 2; n++) await run(`first-${n}`)
    const before = descriptors()
    for (let n = 0; n < jobs; n++) await run(`next-${n}`)
    // Connections of a pool come and go; one a job would be more.
    expect(descriptors() - before).toBeLessThan(jobs)
  } finally {
    await server.stop()
  }
})
