import { ignoreUnclaimedState, recoveryClaimMode, recoveryPath } from '../../runtime/checkpoint/options.ts'
import type { CliContext, JobOutcome, ProgramRequest } from '../../runtime/cli/context.ts'
import { runCli } from '../../runtime/cli/main.ts'
import { cliOptionTable } from '../../runtime/cli/options.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration, type OptionTable, requireNoProblems } from '../../runtime/common/config.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import type { ExecutionResult, JobResultJson, JobRow, RestClient } from '../../runtime/rest/types.ts'

/** The command line in a world of its own: what it calls is noted, what it is answered is the test's. */
export const JOB = 'fd72014d4c864993a2e5a9287b4a9c5d'
const tables: readonly OptionTable[] = [
  cliOptionTable,
  [
    { key: 'pipeline.name', type: 'string', defaultValue: undefined, doc: '' },
    { key: 'rest.port', type: 'int', defaultValue: 8081, doc: '' },
    recoveryPath as OptionTable[number],
    recoveryClaimMode as OptionTable[number],
    ignoreUnclaimedState as OptionTable[number],
    { key: 'taskmanager.numberOfTaskSlots', type: 'int', defaultValue: 1, doc: '' },
  ],
]

export interface CliWorld {
  jobs: JobRow[]
  results: ExecutionResult[]
  calls: unknown[][]
  outcome: JobOutcome
  rest: Partial<RestClient>
  context: Partial<CliContext>
}

export function finished(status: JobResultJson['application-status'], cause?: string): ExecutionResult {
  return {
    status: { id: 'COMPLETED' },
    'job-execution-result': {
      id: JOB,
      name: 'wc',
      'application-status': status,
      'accumulator-results': {},
      'net-runtime': 1234,
      ...(cause === undefined ? {} : { 'failure-cause': { class: 'Error', 'stack-trace': cause, 'serialized-throwable': '' } }),
      'start-time': 1,
      'end-time': 1235,
    },
  }
}

function atOnce(_delayMs: number, callback: () => void) {
  queueMicrotask(callback)
  return { cancel: () => {} }
}

export async function millrace(line: string, change: Partial<CliWorld> = {}) {
  const out: string[] = []
  const err: string[] = []
  const calls: unknown[][] = change.calls ?? []
  const results = [...(change.results ?? [finished('SUCCEEDED')])]
  const note =
    <T>(name: string, answer: T) =>
    async (...args: unknown[]) => {
      calls.push([name, ...args])
      return answer
    }
  const rest = (address: string): RestClient =>
    ({
      address: `http://${address || 'localhost:8081'}`,
      jobsOverview: async () => ({ jobs: change.jobs ?? [] }),
      uploadJar: note('uploadJar', 'jar-1'),
      runJar: async (jar: string, request: { jobId?: string }) => {
        calls.push(['runJar', jar, request])
        return request.jobId ?? ''
      },
      deleteJar: note('deleteJar', undefined),
      cancelJob: note('cancelJob', undefined),
      shutDownCluster: note('shutDownCluster', undefined),
      executionResult: async () => results.shift() ?? finished('SUCCEEDED'),
      ...change.rest,
      // Methods that no test calls are absent.
    }) as unknown as RestClient
  const context: CliContext = {
    stdout: text => out.push(...text.split('\n')),
    stderr: text => err.push(...text.split('\n')),
    clock: { ...systemClock, schedule: atOnce },
    random: seededRandom(1),
    version: '0.1.0',
    commit: 'abc1234',
    cpuCores: 6,
    timeZone: 'Europe/Berlin',
    interrupted: new AbortController().signal,
    loadConfiguration: entries => {
      const { configuration, problems } = Configuration.parse(entries, tables)
      requireNoProblems(problems)
      return configuration
    },
    rest: address => {
      calls.push(['rest', address])
      return rest(address)
    },
    fileExists: path => path === 'job.ts',
    bundle: async () => ({ bytes: new Uint8Array([1]), fileName: 'job.mjs' }),
    plan: async request => {
      calls.push(['plan', request.defaultParallelism])
      return { json: '{"nodes":[]}', text: 'the plan' }
    },
    summarize: async (_request, stateOf, allowed) => {
      calls.push(['summarize', stateOf, allowed])
      return { kind: 'ready', jobName: 'wc', slotsNeeded: 3, slotsPerTaskManager: 2, parallelisms: {}, configuration: {} }
    },
    writeFile: async (path, bytes) => {
      calls.push(['writeFile', path, bytes.length > 1 ? JSON.parse(new TextDecoder().decode(bytes)) : bytes.length])
    },
    showState: async path => {
      calls.push(['showState', path])
      return { json: '{"state":1}', text: 'the state' }
    },
    planState: async (path, request, ignores) => {
      calls.push(['planState', path, request.args, ignores])
      return { json: '{"plan":1}', text: 'the state plan', restorable: ignores }
    },
    runLocal: async (request: ProgramRequest, events) => {
      calls.push(['runLocal', request])
      events.onSubmitted(JOB)
      return change.outcome ?? { jobId: JOB, name: 'wc', state: 'FINISHED', runtimeMs: 77, failure: undefined }
    },
    cluster: {
      start: async request => {
        calls.push(['start', request.taskManagers, request.slots])
        return { webAddress: 'http://localhost:8081', started: [{ kind: 'jobmanager', id: 'jobmanager-0', pid: 11 }] }
      },
      stop: async () => [],
    },
    runProcess: async (kind, request) => {
      calls.push(['runProcess', kind, request.logFormat])
      return 0
    },
    ...change.context,
  }
  const code = await runCli(line === '' ? [] : line.split(' '), context)
  return { code, out, err, calls }
}
