import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { millrace, startCluster } from '../support/cluster.ts'
import type { OverviewJson } from '../support/jobs.ts'

const job = `export default env => {
  env.fromElements('one', 'two').map(word => { console.log('mapping', word); return word }).print()
}
`

test('what a job prints on a TaskManager in the foreground, as in a pod, is on its console as it is, between JSON lines of the log, and in its file', async () => {
  await using cluster = await startCluster({ taskManagers: 1 })
  // The one in front is then the only one.
  process.kill(cluster.pidOf('run/taskmanager-0.json'), 'SIGTERM')
  await cluster.until('/overview', ({ taskmanagers }: OverviewJson) => (taskmanagers === 0 ? true : undefined))
  const child = spawn(millrace, ['taskmanager', '--log-format', 'json', '-D', 'taskmanager.resource-id=in-front'], {
    env: { ...process.env, ...cluster.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const console = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) child[stream].on('data', bytes => (console[stream] += String(bytes)))
  try {
    expect(await cluster.run(['run', await cluster.folder.write('job.js', job)])).toMatchObject({ code: 0 })
    expect(await (await fetch(`${cluster.address}/taskmanagers/in-front/stdout`)).text()).toBe('one\ntwo\n')
  } finally {
    child.kill('SIGTERM')
    await exited
  }
  expect(console.stdout.trimEnd().split('\n').sort()).toEqual(['mapping one', 'mapping two', 'one', 'two'])
  const log = console.stderr.trimEnd().split('\n')
  expect(log.map(line => typeof JSON.parse(line))).toEqual(log.map(() => 'object'))
})
