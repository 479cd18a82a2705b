import { execFileSync } from 'node:child_process'
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

test.each([
  ['taskmanager', 0],
  ['jobmanager', 0],
  ['jobmanager', 2],
  ['jobmanager', 4],
] as const)('a %s that has %i file descriptors left says so, lives on, and does its work when it has more', async (kind, left) => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 2, configuration: { 'restart-strategy.type': 'none' } })
  const run = () => {
    const args = ['--count', '100', '--rows-per-second', '1000', '--out', `file://${join(cluster.folder.path, 'out')}`]
    return cluster.run(['run', '-p', '2', program, ...args])
  }
  expect((await run()).code).toBe(0)
  const pid = cluster.pidOf(`run/${kind}-`)
  execFileSync('prlimit', [`--nofile=${limitLeaving(left, pid)}:`, '--pid', String(pid)])
  let refused = await run()
  // A planner that waited has planned it; there is no next one.
  if (refused.code === 0) refused = await run()
  expect([refused.code, refused.stdout + refused.stderr]).toEqual([
    1,
    expect.stringMatching(/EMFILE|connection to the JobManager .* broke|planner process cannot be started/),
  ])
  execFileSync('prlimit', ['--nofile=4096:', '--pid', String(pid)])
  expect(await run()).toMatchObject({ code: 0, stdout: expect.stringContaining('Program execution finished') })
  expect(cluster.pidOf(`run/${kind}-`)).toBe(pid)
})

/** A process gets the lowest number that is free, if it is below its limit. */
function limitLeaving(left: number, pid: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let limit = 0
  for (let free = left; free > 0 || used.has(limit); limit++) if (!used.has(limit)) free--
  return limit
}
