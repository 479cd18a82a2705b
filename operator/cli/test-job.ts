import type { Command } from 'commander'
import { type Clock, sleep } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { API_VERSION } from '../api/fields.ts'
import { type FlinkJob, KIND } from '../api/flink-job.ts'
import { isReason, type ObjectApi } from '../kube/object-api.ts'
import { flinkJobs } from '../kube/resources.ts'
import { Progress } from './progress.ts'
import { labelsOf } from './selector.ts'
import type { Terminal } from './terminal.ts'

/**
 * `millrace-operator test-job`, which `helm test` runs in a pod: makes a FlinkJob that ends by itself, says what becomes of it, and removes it once it has FINISHED. One that fails or takes too long
 * stays, to be looked at; the next test removes it first.
 */
export interface TestJobRequest {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly timeoutS: number
}

export function addTestJobCommand(program: Command, run: (request: TestJobRequest) => Promise<number>, exit: (code: number) => void): void {
  program
    .command('test-job')
    .description('makes a job in the namespace of the pod, and ends with 0 once it has finished and gone: what helm test runs')
    .requiredOption('--name <name>', 'of the FlinkJob; one of that name that is there already is removed')
    .option('--labels <labels>', 'of the FlinkJob: key=value,...', '')
    .option('--timeout <seconds>', 'within which all of it has to happen', '300')
    .action(async ({ name, labels, timeout }: { readonly name: string; readonly labels: string; readonly timeout: string }) => {
      if (!/^[1-9]\d*$/.test(timeout)) throw new FlinkError('INVALID_ARGUMENT', `option --timeout: expected seconds, got ${timeout}`)
      exit(await run({ name, labels: labelsOf(labels), timeoutS: Number(timeout) }))
    })
}

export interface TestJobParts {
  readonly api: Pick<ObjectApi, 'create' | 'get' | 'delete'>
  readonly namespace: string
  readonly clock: Clock
  readonly terminal: Terminal
}

const SCRIPT = "export default env => env.fromElements('it', 'runs').print()\n"
const LOOK_MS = 500

/** Answers the exit code. */
export async function runTestJob(request: TestJobRequest, parts: TestJobParts): Promise<number> {
  const { api, namespace, clock, terminal } = parts
  const { name, labels, timeoutS } = request
  const deadlineMs = clock.monotonicMs() + timeoutS * 1_000
  const progress = new Progress(terminal, clock, `flinkjob/${name}`)

  const look = async (): Promise<FlinkJob | undefined> => {
    try {
      return (await api.get(flinkJobs, namespace, name)) as unknown as FlinkJob
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined
      throw error
    }
  }
  /** The last look, when the time is over. */
  const until = async (holds: (job: FlinkJob | undefined) => boolean): Promise<FlinkJob | undefined> => {
    for (;;) {
      const job = await look()
      if (job !== undefined) progress.show(job)
      if (holds(job) || clock.monotonicMs() >= deadlineMs) return job
      await sleep(clock, LOOK_MS)
    }
  }
  const removed = async (): Promise<boolean> => {
    try {
      await api.delete(flinkJobs, namespace, name)
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error
    }
    return (await until(job => job === undefined)) === undefined
  }
  const failed = (what: string, job: FlinkJob | undefined): number => {
    progress.note(what)
    for (const { type, status, reason, message } of job?.status?.conditions ?? []) progress.note(`${type} ${status} (${reason}): ${message}`)
    if (job !== undefined && job.status === undefined)
      progress.note('no operator has looked at it: is one up, and does it look after this namespace?')
    return 1
  }

  if ((await look()) !== undefined) {
    progress.note('one of an earlier test is there, and removed first')
    if (!(await removed())) return failed(`it has not gone within ${timeoutS} s`, await look())
  }
  progress.note(`made in namespace ${namespace}`)
  await api.create({ apiVersion: API_VERSION, kind: KIND, metadata: { name, namespace, labels }, spec: { job: { script: SCRIPT } } })
  const stateOf = (job: FlinkJob | undefined) => job?.status?.jobStatus?.state
  const ended = await until(job => stateOf(job) === 'FINISHED' || job?.status?.lifecycleState === 'FAILED' || job === undefined)
  if (stateOf(ended) !== 'FINISHED')
    return failed(`it has not finished${ended?.status?.lifecycleState === 'FAILED' ? '' : ` within ${timeoutS} s`}`, ended)
  if (!(await removed())) return failed(`it has finished, and not gone within ${timeoutS} s`, await look())
  progress.note('finished, and gone')
  return 0
}
