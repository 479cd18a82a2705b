import { describe, expect, test } from 'vitest'
import { type CliWorld, JOB, millrace } from '../../test/support/cli-harness.ts'
import { FlinkError } from '../common/errors.ts'
import type { AsyncOperationJson } from '../rest/types.ts'

const HINT = ['', 'Use the help option (-h or --help) to get help on the command.']
const done = (operation: Readonly<Record<string, unknown>>): AsyncOperationJson => ({ status: { id: 'COMPLETED' }, operation })
const path = 'file:///s/savepoint-fd7201-0123456789ab'

/** A cluster that takes what it is asked for; the second look at an operation finds it done. */
function cluster(result: AsyncOperationJson): { readonly world: Partial<CliWorld>; readonly asked: unknown[][] } {
  const asked: unknown[][] = []
  const answers: AsyncOperationJson[] = [{ status: { id: 'IN_PROGRESS' }, operation: null }, result]
  const trigger =
    (name: string) =>
    async (...args: unknown[]) => {
      asked.push([name, ...args])
      return 'trigger'
    }
  const operation = async () => answers.shift() ?? result
  const rest = {
    triggerSavepoint: trigger('savepoint'),
    stopWithSavepoint: trigger('stop'),
    triggerCheckpoint: trigger('checkpoint'),
    triggerDisposal: trigger('dispose'),
    operation,
    disposal: operation,
  }
  return { world: { rest }, asked }
}
const triggerId = expect.stringMatching(/^[0-9a-f]{32}$/)

// The texts are those of Apache Flink 2.3.
describe('in Flink words', () => {
  test.each([
    [
      `savepoint ${JOB} file:///s`,
      ['savepoint', JOB, { 'cancel-job': false, 'target-directory': 'file:///s', triggerId }],
      { location: path },
      [
        `Triggering savepoint for job ${JOB}.`,
        'Waiting for response...',
        `Savepoint completed. Path: ${path}`,
        'You can resume your program from this savepoint with the run command.',
      ],
    ],
    [`savepoint -d ${path}`, ['dispose', path], {}, [`Disposing savepoint '${path}'.`, 'Waiting for response...', `Savepoint '${path}' disposed.`]],
    [
      `stop -p file:///s ${JOB}`,
      ['stop', JOB, { drain: false, targetDirectory: 'file:///s', triggerId }],
      { location: path },
      [
        `Suspending job "${JOB}" with a CANONICAL savepoint.`,
        `Triggering stop-with-savepoint for job ${JOB}.`,
        'Waiting for response...',
        `Savepoint completed. Path: ${path}`,
      ],
    ],
    [
      `stop -d -detached ${JOB}`,
      ['stop', JOB, { drain: true, triggerId }],
      {},
      [
        `Draining job "${JOB}" with a CANONICAL savepoint.`,
        `Triggering stop-with-savepoint in detached mode for job ${JOB}.`,
        'Waiting for response...',
        'Successfully trigger stop-with-savepoint in detached mode, triggerId: trigger',
      ],
    ],
    [
      `cancel -s file:///s ${JOB}`,
      ['savepoint', JOB, { 'cancel-job': true, 'target-directory': 'file:///s', triggerId }],
      { location: path },
      [
        'DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.',
        `Cancelling job ${JOB} with CANONICAL savepoint to file:///s.`,
        `Cancelled job ${JOB}. Savepoint stored in ${path}.`,
      ],
    ],
    [
      `checkpoint -full ${JOB}`,
      ['checkpoint', JOB, { checkpointType: 'FULL', triggerId }],
      { checkpointId: 7 },
      [
        `Triggering checkpoint for job ${JOB}.`,
        'Waiting for response...',
        `Checkpoint(FULL) 7 for job ${JOB} completed.`,
        'You can resume your program from this checkpoint with the run command.',
      ],
    ],
  ])('%s', async (line, call, result, lines) => {
    const { world, asked } = cluster(done(result))
    const { code, out, err } = await millrace(line, world)
    expect([code, out, err]).toEqual([0, lines, []])
    expect(asked).toEqual([call])
  })

  test('what went wrong in the cluster is shown under Flink sentence, as it happened there', async () => {
    const { world } = cluster(
      done({ 'failure-cause': { class: 'FlinkError', 'stack-trace': 'FlinkError: disk full\n    at there', 'serialized-throwable': '' } }),
    )
    const { code, err } = await millrace(`stop ${JOB}`, world)
    expect(code).toBe(1)
    expect(err).toContain(`Could not stop with a savepoint job "${JOB}".`)
    expect(err).toContain('Caused by: FlinkError: disk full')
  })

  test('an answer that does not come is waited for until client.timeout, and says what to ask for', async () => {
    let nowMs = 0
    const { world } = cluster({ status: { id: 'IN_PROGRESS' }, operation: null })
    const clock = {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      schedule(delayMs: number, callback: () => void) {
        nowMs += delayMs
        queueMicrotask(callback)
        return { cancel() {} }
      },
    }
    const { err } = await millrace(`savepoint -D client.timeout=5s ${JOB}`, { ...world, context: { clock } })
    expect(err.join('\n')).toContain('no end within 5000 ms (option client.timeout); it goes on, its triggerId is trigger')
    expect(nowMs).toBeLessThan(6_000)
  })

  test('a job that the cluster does not know', async () => {
    const rest = { triggerSavepoint: () => Promise.reject(new FlinkError('NOT_FOUND', `Job ${JOB} not found`)) }
    const { err } = await millrace(`savepoint ${JOB}`, { rest })
    expect(err.slice(-2)).toEqual([`Triggering a savepoint for the job ${JOB} failed.`, `Caused by: Job ${JOB} not found`])
  })
})

test.each([
  ['savepoint', 'Missing JobID. Specify a Job ID to trigger a savepoint.'],
  ['stop', 'Missing JobId'],
  ['checkpoint', 'Missing JobID. Specify a Job ID to manipulate a checkpoint.'],
  [`stop -type native ${JOB}`, 'The savepoint format type "native" is not supported, expected canonical: savepoints have one format.'],
])('%s: exit 1 and the reason on stdout', async (line, message) => {
  const { code, out } = await millrace(line)
  expect([code, out]).toEqual([1, [message, ...HINT]])
})

test('run -s, -n and -cm are options of the job', async () => {
  const { calls } = await millrace(`run -d -s ${path} -n -cm claim job.ts -s mine`)
  const [, , request] = calls.find(call => call[0] === 'runJar') ?? []
  expect(request).toMatchObject({
    programArgsList: ['-s', 'mine'],
    flinkConfiguration: {
      'execution.state-recovery.path': path,
      'execution.state-recovery.claim-mode': 'claim',
      'execution.state-recovery.ignore-unclaimed-state': 'true',
    },
  })
})
