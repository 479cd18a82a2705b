import { expect, test } from 'vitest'
import { startCluster } from '../support/cluster.ts'
import { ended, exceptions, goesOn, type JobDetails, running, submit, taskManagersOf, ticksJob } from '../support/jobs.ts'

/** Restart strategies with real processes; their rules are held by test/sim/restart.test.ts. */
const fixedDelay = (attempts: number) => [
  ...['-D', 'restart-strategy.type=fixed-delay'],
  ...['-D', `restart-strategy.fixed-delay.attempts=${attempts}`],
  ...['-D', 'restart-strategy.fixed-delay.delay=200 ms'],
]

test('a job comes back after kill -9 of a TaskManager, in the slots of another one', async () => {
  await using cluster = await startCluster({ taskManagers: 2, slots: 2 })
  const path = await cluster.folder.write('ticks.ts', ticksJob)
  const job = await submit(cluster, path, ['-p', '2', ...fixedDelay(1)])
  await running(cluster, job)
  const [lost = ''] = await taskManagersOf(cluster, job)
  process.kill(cluster.pidOf(`run/${lost}.json`), 'SIGKILL')
  await cluster.until(`/jobs/${job}/metrics?get=numRestarts`, (answer: readonly { readonly value: string }[]) =>
    answer[0]?.value === '1' ? true : undefined,
  )
  await running(cluster, job)
  await goesOn(cluster, job)
  expect((await taskManagersOf(cluster, job)).every(id => id !== lost)).toBe(true)
  expect(await exceptions(cluster, job)).toMatchObject([{ exceptionName: 'FlinkError[TASKMANAGER_LOST]', taskManagerId: lost }])
  expect(await cluster.get(`/jobs/${job}/config`)).toMatchObject({
    'execution-config': { 'restart-strategy': 'Restart with fixed delay (200 ms). #1 restart attempts.' },
  })

  // The one that is left: now the failure is final.
  const [last = ''] = await taskManagersOf(cluster, job)
  process.kill(cluster.pidOf(`run/${last}.json`), 'SIGKILL')
  await ended(cluster, job, 'FAILED')
  expect((await exceptions(cluster, job)).map(entry => entry.taskManagerId)).toEqual([last, lost])
})

test('a function that throws now and then: the job set in code goes on until it is through, and run waits for its end', async () => {
  await using cluster = await startCluster({ taskManagers: 1, slots: 1 })
  const marks = cluster.folder.path
  const path = await cluster.folder.write(
    'flaky.ts',
    `import { RestartStrategies, type StreamExecutionEnvironment } from 'millrace'
import { existsSync, writeFileSync } from 'node:fs'
export default (env: StreamExecutionEnvironment) => {
  env.setRestartStrategy(RestartStrategies.fixedDelayRestart(3, 100))
  env.fromSequence(1, 100).map(n => {
    const mark = ${JSON.stringify(marks)} + '/failed-at-' + n
    if (n % 40 === 0 && !existsSync(mark)) { writeFileSync(mark, ''); throw new Error('at ' + n) }
    return n
  }).name('flaky').filter(n => n === 100).print()
}
`,
  )
  const result = await cluster.run(['run', path])
  expect(result).toMatchObject({ code: 0 })
  expect(result.stdout).toMatch(/has finished/)
  const jobId = /JobID ([0-9a-f]{32})/.exec(result.stdout)?.[1] ?? ''
  const details = await cluster.get<JobDetails>(`/jobs/${jobId}`)
  expect(details.state).toBe('FINISHED')
  const messages = (await exceptions(cluster, jobId)).map(entry => entry.stacktrace.split('\\n')[0])
  expect(messages).toEqual([expect.stringContaining('operator flaky: at 80'), expect.stringContaining('operator flaky: at 40')])
})
