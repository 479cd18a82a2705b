import { describe, expect, test } from 'vitest'
import { finished, JOB, millrace } from '../../test/support/cli-harness.ts'
import { FlinkError } from '../common/errors.ts'
import type { JobRow } from '../rest/types.ts'
import type { CliContext } from './context.ts'
import { runCli } from './main.ts'

const HINT = ['', 'Use the help option (-h or --help) to get help on the command.']

describe('run', () => {
  test('attached: submits, waits, and says how it ended, in Flink words', async () => {
    const { code, out, calls } = await millrace('run -p 4 -D pipeline.name=n -D rest.port=99 -c main job.ts --input a -p 9', {
      results: [{ status: { id: 'IN_PROGRESS' } }, finished('SUCCEEDED')],
    })
    const run = calls.find(call => call[0] === 'runJar') ?? []
    const request = run[2] as { jobId: string }
    expect(out).toEqual([
      `Job has been submitted with JobID ${request.jobId}`,
      'Program execution finished',
      `Job with JobID ${request.jobId} has finished.`,
      'Job Runtime: 1234 ms',
    ])
    expect(request).toEqual({
      entryClass: 'main',
      programArgsList: ['--input', 'a', '-p', '9'],
      jobId: expect.stringMatching(/^[0-9a-f]{32}$/),
      flinkConfiguration: { 'pipeline.name': 'n' },
      parallelism: 4,
    })
    expect(calls.at(-1)).toEqual(['deleteJar', 'jar-1'])
    expect(code).toBe(0)
  })

  test('detached: answers once submitted', async () => {
    const { code, out, calls } = await millrace('run -d -m jm:8082 job.ts')
    expect(out).toEqual([expect.stringMatching(/^Job has been submitted with JobID [0-9a-f]{32}$/)])
    expect([code, calls[0]]).toEqual([0, ['rest', 'jm:8082']])
  })

  test('a failed job: the cause as it was thrown, on stderr, exit 1', async () => {
    const { code, out, err } = await millrace('run job.ts', { results: [finished('FAILED', 'FlinkError: map failed\n    at job.ts:3:7')] })
    expect(code).toBe(1)
    expect(out).toHaveLength(1)
    expect(err.slice(0, 4)).toEqual(['', '-'.repeat(60), ' The program finished with the following exception:', ''])
    expect(err.slice(4)).toEqual([
      expect.stringMatching(/^Job 'wc' failed \(JobID: [0-9a-f]{32}\)$/),
      'Caused by: FlinkError: map failed',
      '    at job.ts:3:7',
    ])
  })

  test('the uploaded bundle is removed when the program is refused, and the reason is all that is shown', async () => {
    const { code, err, calls } = await millrace('run job.ts', {
      rest: {
        runJar: async () => {
          throw new FlinkError('INVALID_PROGRAM', 'job module job.ts has no default export')
        },
      },
    })
    expect([code, err.at(-1), calls.at(-1)]).toEqual([1, 'job module job.ts has no default export', ['deleteJar', 'jar-1']])
  })

  test('nobody answers: the address and no stack of ours', async () => {
    const { code, err } = await millrace('run job.ts', {
      rest: {
        uploadJar: async () => {
          throw new FlinkError('CONNECTION_REFUSED', 'no JobManager answers at localhost:8081: ECONNREFUSED')
        },
      },
    })
    expect([code, err.slice(4)]).toEqual([1, ['no JobManager answers at localhost:8081: ECONNREFUSED']])
  })

  test('-t local: one process, parallelism defaults to the CPU cores', async () => {
    const { code, out, calls } = await millrace('run -t local job.ts')
    expect(out).toEqual([
      `Job has been submitted with JobID ${JOB}`,
      'Program execution finished',
      `Job with JobID ${JOB} has finished.`,
      'Job Runtime: 77 ms',
    ])
    expect([code, calls[0]]).toEqual([0, ['runLocal', expect.objectContaining({ defaultParallelism: 6, parallelism: undefined })]])
  })

  test('-t local: a failure carries its causes', async () => {
    const failure = {
      name: 'FlinkError',
      code: 'USER_FUNCTION' as const,
      message: 'boom',
      stack: 'FlinkError: boom\n    at job.ts:9:1',
      cause: undefined,
    }
    const { code, err } = await millrace('run -t local job.ts', { outcome: { jobId: JOB, name: 'wc', state: 'FAILED', runtimeMs: 1, failure } })
    expect([code, err.slice(4)]).toEqual([1, [`Job 'wc' failed (JobID: ${JOB})`, 'Caused by: FlinkError: boom', '    at job.ts:9:1']])
  })

  test('Ctrl-C leaves the job in the cluster and says how to end it; -sae ends the cluster', async () => {
    const interrupted = AbortSignal.abort()
    const left = await millrace('run job.ts', { context: { interrupted } })
    expect([left.code, left.err[0]]).toEqual([130, expect.stringContaining('To end it: millrace cancel')])
    const ended = await millrace('run -sae job.ts', { context: { interrupted } })
    expect(ended.calls.at(-1)).toEqual(['shutDownCluster'])
  })

  test.each([
    ['run', 'The job module should be specified, for example: millrace run job.ts'],
    ['run nowhere.ts', 'Job file does not exist: nowhere.ts'],
    ['run -p zero job.ts', 'The parallelism must be a positive number: zero'],
    ['run -n job.ts', 'The options -n and -cm say how to begin with a savepoint: specify it with -s.'],
    ['run -s /sp -cm legacy job.ts', 'option execution.state-recovery.claim-mode: expected one of NO_CLAIM, CLAIM, got "legacy"'],
    ['run -t local -d job.ts', 'The options -d and -t local exclude each other: the local cluster ends with this process.'],
    ['run --paralelism 2 job.ts', 'Unrecognized option: --paralelism (did you mean --parallelism?)'],
    ['run -p', 'Missing argument for option: p'],
    ['run -D broken job.ts', 'dynamic property "broken" is not of the form key=value'],
    ['run -D pipline.name=x job.ts', 'unknown option pipline.name, did you mean pipeline.name?'],
    ['run -t moon job.ts', 'The target "moon" is unknown, expected local or remote.'],
  ])('%s: exit 1 and the reason on stdout', async (line, message) => {
    const { code, out, err } = await millrace(line)
    expect([code, out, err]).toEqual([1, [message, ...HINT], []])
  })

  test.each([
    ['run -t yarn-session job.ts', 'FlinkSession'],
    ['run -t yarn-application job.ts', 'FlinkJob'],
    ['run -m yarn-cluster job.ts', 'FlinkJob'],
    ['yarn-session -n 2', 'FlinkSession'],
    ['run -t kubernetes-application job.ts', 'FlinkJob'],
  ])('%s is refused, naming its counterpart', async (line, counterpart) => {
    const { code, out } = await millrace(line)
    expect([code, out[0]]).toEqual([1, expect.stringContaining(counterpart)])
  })
})

function row(jid: string, name: string, state: string, startMs: number, message?: string): JobRow {
  return {
    jid,
    name,
    jobType: 'STREAMING',
    schedulerType: 'Default',
    'start-time': startMs,
    'end-time': -1,
    duration: 1,
    state,
    'last-modification': 1,
    tasks: {},
    'pending-operators': 0,
    ...(message === undefined ? {} : { 'millrace-message': message }),
  }
}

describe('list', () => {
  // 2026-03-01 00:05:09 UTC is five past one in Berlin.
  const at = Date.UTC(2026, 2, 1, 0, 5, 9)
  const jobs = [
    row('3'.repeat(32), 'later', 'RUNNING', at + 1_000),
    row('1'.repeat(32), 'first', 'RUNNING', at),
    row('2'.repeat(32), 'again', 'FAILING', at + 5_000),
    row('4'.repeat(32), 'waits', 'CREATED', at, 'needs 4 slots (group default: 4), 2 free'),
    row('5'.repeat(32), 'old', 'FINISHED', at),
  ]

  test('running and scheduled jobs, by state and start', async () => {
    const { code, out } = await millrace('list', { jobs })
    expect(code).toBe(0)
    expect(out).toEqual([
      'Waiting for response...',
      '------------------ Running/Restarting Jobs -------------------',
      `01.03.2026 01:05:14 : ${'2'.repeat(32)} : again (FAILING)`,
      `01.03.2026 01:05:09 : ${'1'.repeat(32)} : first (RUNNING)`,
      `01.03.2026 01:05:10 : ${'3'.repeat(32)} : later (RUNNING)`,
      '--------------------------------------------------------------',
      '----------------------- Scheduled Jobs -----------------------',
      `01.03.2026 01:05:09 : ${'4'.repeat(32)} : waits (CREATED)`,
      '    needs 4 slots (group default: 4), 2 free',
      '--------------------------------------------------------------',
    ])
  })

  test('-a adds those that ended', async () => {
    expect((await millrace('list -a', { jobs })).out.slice(-3)).toEqual([
      '---------------------- Terminated Jobs -----------------------',
      `01.03.2026 01:05:09 : ${'5'.repeat(32)} : old (FINISHED)`,
      '--------------------------------------------------------------',
    ])
  })

  test('nothing', async () => {
    expect((await millrace('list')).out).toEqual(['Waiting for response...', 'No running jobs.', 'No scheduled jobs.'])
    expect((await millrace('list -r')).out).toEqual(['Waiting for response...', 'No running jobs.'])
    expect((await millrace('list -s')).out).toEqual(['Waiting for response...', 'No scheduled jobs.'])
  })
})

describe('cancel', () => {
  test('in Flink words', async () => {
    const { code, out, calls } = await millrace(`cancel ${JOB}`)
    expect([code, out]).toEqual([0, [`Cancelling job ${JOB}.`, `Cancelled job ${JOB}.`]])
    expect(calls.at(-1)).toEqual(['cancelJob', JOB])
  })

  test.each([
    ['cancel', 'Missing JobID. Specify a JobID to cancel a job.'],
    ['cancel xyz', 'Cannot parse JobID from "xyz". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.'],
  ])('%s', async (line, message) => {
    const { code, out } = await millrace(line)
    expect([code, out]).toEqual([1, [message, ...HINT]])
  })

  test("the server's refusal is shown as it is", async () => {
    const refuse = async () => {
      throw new FlinkError('NOT_FOUND', 'Job could not be found.', { status: 404 })
    }
    const { code, err } = await millrace(`cancel ${JOB}`, { rest: { cancelJob: refuse } })
    expect([code, err.slice(4)]).toEqual([1, [`Could not cancel job ${JOB}.`, 'Caused by: Job could not be found.']])
  })
})

describe('info, cluster and the rest', () => {
  test('info prints the plan as JSON in its frame, then as text', async () => {
    expect((await millrace('info job.ts')).out).toEqual([
      '----------------------- Execution Plan -----------------------',
      '{"nodes":[]}',
      '--------------------------------------------------------------',
      '',
      'No description provided.',
      '',
      'the plan',
    ])
    expect((await millrace('info --json job.ts')).out).toEqual(['{"nodes":[]}'])
    expect((await millrace('info -t local job.ts')).calls).toEqual([['plan', 6]])
  })

  test('start-cluster says what it started and where the web is', async () => {
    const { out, calls } = await millrace('start-cluster --taskmanagers 2 --slots 4')
    expect(calls).toEqual([['start', 2, 4]])
    expect(out).toEqual(['Started jobmanager jobmanager-0 (pid 11).', 'The cluster has 8 slots. Web address: http://localhost:8081'])
    expect((await millrace('start-cluster --slots none')).out[0]).toBe('The option --slots must be a positive number: none')
    expect((await millrace('stop-cluster')).out).toEqual(['No cluster is running.'])
  })

  test('processes run in the foreground', async () => {
    expect((await millrace('taskmanager --log-format json')).calls).toEqual([['runProcess', 'taskmanager', 'json']])
    expect((await millrace('jobmanager --log-format xml')).code).toBe(1)
  })

  test('version, help, no action, unknown action', async () => {
    expect(await millrace('--version')).toMatchObject({ code: 0, out: ['Version: 0.1.0, Commit ID: abc1234'] })
    const help = await millrace('run --help')
    expect([help.code, help.out.join('\n')]).toEqual([0, expect.stringContaining('millrace run -p 4 word-count.ts')])
    const none = await millrace('')
    expect([none.code, none.out.at(-1)]).toEqual([1, 'Please specify an action.'])
    const unknown = await millrace('lisst')
    expect(unknown.code).toBe(1)
    expect(unknown.out.slice(0, 4)).toEqual([
      '"lisst" is not a valid action.',
      '',
      'Valid actions are "run", "info", "list", "savepoint", "checkpoint", "stop", "cancel", "state", "bundle", "up", "get", "describe", "annotate", "delete", "operator", "validate", "start-cluster", "stop-cluster", "jobmanager", or "taskmanager".',
      'Did you mean "list"?',
    ])
  })

  test('an extension adds a command', async () => {
    const out: string[] = []
    const code = await runCli(['up', 'job.yaml'], { stdout: (text: string) => out.push(text) } as unknown as CliContext, [
      (program, context, exit) => {
        program
          .command('up')
          .argument('<file>')
          .action((file: string) => {
            context.stdout(`up ${file}`)
            exit(3)
          })
      },
    ])
    expect([code, out]).toEqual([3, ['up job.yaml']])
  })
})
