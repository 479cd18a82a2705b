import { sleep, systemClock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'

/**
 * All that the operator asks of a JobManager, in one conversation about three jobs: each call with its answer, or the code of what it was refused with. Times, ids and
 * places are replaced by words, and of an answer stays what the operator reads; states that pass are waited for and not noted.
 *
 * `test/oracle/rest-conversation.json` is one with a real JobManager. A real one has to answer so today, and so has a FakeFlinkCluster, which tests of the operator run on.
 */
export interface RestSubject {
  readonly rest: RestClient
  /** What `runJar` takes: a job of two vertices that runs for good, and one that fails. */
  readonly runningJar: string
  readonly failingJar: string
  /** Where savepoints can be written, and where not. */
  readonly savepoints: string
  breakSavepoints(): Promise<string>
}

export interface Exchange {
  readonly call: string
  readonly answer?: unknown
  readonly refused?: string
}

const [FIRST, SECOND, THIRD] = ['1'.repeat(32), '2'.repeat(32), '3'.repeat(32)] as const
const JOBS: readonly string[] = [FIRST, SECOND, THIRD]
const STRANGER = 'f'.repeat(32)
const triggerOf = (number: number) => String(number).repeat(32)
const LIMIT_MS = 60_000

export async function converse(subject: RestSubject): Promise<readonly Exchange[]> {
  const talk = new Conversation(subject.rest)
  await aboutNobody(talk)
  await aboutRunning(talk, subject)
  await aboutSnapshots(talk, subject)
  await aboutSize(talk)
  await aboutStopping(talk, subject)
  await aboutFailing(talk, subject)
  return talk.exchanges
}

class Conversation {
  readonly rest: RestClient
  readonly exchanges: Exchange[] = []

  constructor(rest: RestClient) {
    this.rest = rest
  }

  async ask<T>(call: string, work: () => Promise<T>, read: (answer: T) => unknown = answer => answer): Promise<T | undefined> {
    try {
      const answer = await work()
      this.exchanges.push({ call, answer: read(answer) ?? null })
      return answer
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
      this.exchanges.push({ call, refused: error.code })
      return undefined
    }
  }

  async until(look: () => Promise<boolean>): Promise<void> {
    for (const endMs = systemClock.monotonicMs() + LIMIT_MS; !(await look()); await sleep(systemClock, 20))
      if (systemClock.monotonicMs() > endMs)
        throw new Error(`what comes after ${JSON.stringify(this.exchanges.at(-1))} does not come: ${JSON.stringify(await this.jobs())}`)
  }

  private async jobs(): Promise<readonly object[]> {
    const { jobs } = await this.rest.jobsOverview()
    return Promise.all(jobs.map(async ({ jid }) => ({ job: await this.rest.job(jid), exceptions: await this.rest.jobExceptions(jid) })))
  }

  async untilState(jobId: string, state: string): Promise<void> {
    await this.until(async () => {
      const info = await this.rest.job(jobId)
      // Of a job that is RUNNING tasks may still be on their way; readers for which a source has no split finish at once.
      const isUp = info.vertices.every(({ tasks, parallelism }) => (tasks['RUNNING'] ?? 0) + (tasks['FINISHED'] ?? 0) === parallelism)
      return info.state === state && (state !== 'RUNNING' || isUp)
    })
    await this.ask(`job that is ${state}`, () => this.rest.job(jobId), readJob)
  }

  /** Answers what came of it. */
  async untilDone(kind: 'savepoint' | 'checkpoint', jobId: string, triggerId: string): Promise<Readonly<Record<string, unknown>>> {
    const look = () => this.rest.operation(kind, jobId, triggerId)
    await this.until(async () => (await look()).status.id === 'COMPLETED')
    const answer = await this.ask(`operation: ${kind} that is complete`, look, ({ status, operation }) => ({ status, operation: worded(operation) }))
    return answer?.operation ?? {}
  }
}

/** Jobs and triggers that it has never heard of. */
async function aboutNobody(talk: Conversation): Promise<void> {
  const { rest } = talk
  const trigger = { triggerId: triggerOf(9) }
  await talk.ask('job that is not known', () => rest.job(STRANGER))
  await talk.ask('jobStatus of a job that is not known', () => rest.jobStatus(STRANGER))
  await talk.ask('jobExceptions of a job that is not known', () => rest.jobExceptions(STRANGER))
  await talk.ask('checkpointStatistics of a job that is not known', () => rest.checkpointStatistics(STRANGER))
  await talk.ask('checkpointConfig of a job that is not known', () => rest.checkpointConfig(STRANGER))
  await talk.ask('jobMetrics of a job that is not known', () => rest.jobMetrics(STRANGER, ['numRestarts']))
  await talk.ask('resourceRequirements of a job that is not known', () => rest.resourceRequirements(STRANGER))
  await talk.ask('triggerSavepoint of a job that is not known', () => rest.triggerSavepoint(STRANGER, { 'cancel-job': false, ...trigger }))
  await talk.ask('triggerCheckpoint of a job that is not known', () => rest.triggerCheckpoint(STRANGER, { checkpointType: 'CONFIGURED', ...trigger }))
  await talk.ask('stopWithSavepoint of a job that is not known', () => rest.stopWithSavepoint(STRANGER, { drain: false, ...trigger }))
  await talk.ask('operation of a trigger that is not known', () => rest.operation('savepoint', STRANGER, trigger.triggerId))
  await talk.ask('cancelJob of a job that is not known', () => rest.cancelJob(STRANGER))
  await talk.ask('jobsOverview without jobs', () => rest.jobsOverview())
  await talk.ask('overview without jobs', () => rest.overview(), readOverview)
  await talk.ask('taskManagers without jobs', () => rest.taskManagers(), readTaskManagers)
}

async function aboutRunning(talk: Conversation, { runningJar }: RestSubject): Promise<void> {
  const { rest } = talk
  const run = () => rest.runJar(runningJar, { jobId: FIRST, parallelism: 1 })
  await talk.ask('runJar', run, nameOf)
  await talk.ask('runJar once more', run, nameOf)
  await talk.untilState(FIRST, 'RUNNING')
  await talk.ask(
    'jobsOverview with a job',
    () => rest.jobsOverview(),
    ({ jobs }) => jobs.map(({ jid, state }) => ({ jid: nameOf(jid), state })),
  )
  await talk.ask('taskManagers with a job', () => rest.taskManagers(), readTaskManagers)
  await talk.ask('jobExceptions of a job that runs', () => rest.jobExceptions(FIRST), readExceptions)
  await talk.ask('jobMetrics', () => rest.jobMetrics(FIRST, ['numRestarts']))
  await talk.ask(
    'checkpointConfig',
    () => rest.checkpointConfig(FIRST),
    ({ interval, timeout, tolerable_failed_checkpoints }) => ({
      interval,
      timeout,
      tolerable_failed_checkpoints,
    }),
  )
  await talk.until(async () => (await rest.checkpointStatistics(FIRST)).counts.completed > 0)
  await talk.ask('checkpointStatistics behind a checkpoint', () => rest.checkpointStatistics(FIRST), readStatistics)
}

async function aboutSnapshots(talk: Conversation, { savepoints, breakSavepoints }: RestSubject): Promise<void> {
  const { rest } = talk
  const trigger = () => rest.triggerSavepoint(FIRST, { 'cancel-job': false, triggerId: triggerOf(4), 'target-directory': savepoints })
  await talk.ask('triggerSavepoint', trigger)
  await talk.ask('triggerSavepoint once more', trigger)
  await talk.untilDone('savepoint', FIRST, triggerOf(4))
  await talk.ask('checkpointStatistics behind a savepoint', () => rest.checkpointStatistics(FIRST), readStatistics)
  await talk.ask('triggerCheckpoint', () => rest.triggerCheckpoint(FIRST, { checkpointType: 'CONFIGURED', triggerId: triggerOf(5) }))
  const { checkpointId } = await talk.untilDone('checkpoint', FIRST, triggerOf(5))
  await talk.ask('checkpointPath', () => rest.checkpointPath(FIRST, Number(checkpointId)), wordOf)
  await talk.ask('operation of a trigger that the job does not know', () => rest.operation('savepoint', FIRST, triggerOf(9)))
  const directory = await breakSavepoints()
  await talk.ask('triggerSavepoint to where nothing can be written', () =>
    rest.triggerSavepoint(FIRST, { 'cancel-job': false, triggerId: triggerOf(6), 'target-directory': directory }),
  )
  await talk.untilDone('savepoint', FIRST, triggerOf(6))
  await talk.ask('stopWithSavepoint to where nothing can be written', () =>
    rest.stopWithSavepoint(FIRST, { drain: false, triggerId: triggerOf(7), targetDirectory: directory }),
  )
  await talk.untilDone('savepoint', FIRST, triggerOf(7))
  await talk.untilState(FIRST, 'RUNNING')
}

async function aboutSize(talk: Conversation): Promise<void> {
  const { rest } = talk
  const requirements = (upperBound: number) => async () => {
    const { vertices } = await rest.job(FIRST)
    return rest.putResourceRequirements(FIRST, Object.fromEntries(vertices.map(({ id }) => [id, { parallelism: { lowerBound: 1, upperBound } }])))
  }
  await talk.ask('resourceRequirements', () => rest.resourceRequirements(FIRST), readRequirements)
  await talk.ask('putResourceRequirements of a vertex that is not known', () =>
    rest.putResourceRequirements(FIRST, { ['a'.repeat(32)]: { parallelism: { lowerBound: 1, upperBound: 2 } } }),
  )
  await talk.ask('putResourceRequirements', requirements(2))
  await talk.until(async () => {
    const { state, vertices } = await rest.job(FIRST)
    return state === 'RUNNING' && vertices.every(({ parallelism }) => parallelism === 2)
  })
  await talk.untilState(FIRST, 'RUNNING')
  await talk.ask('resourceRequirements behind a change', () => rest.resourceRequirements(FIRST), readRequirements)
  await talk.ask('taskManagers behind a change', () => rest.taskManagers(), readTaskManagers)
}

async function aboutStopping(talk: Conversation, { runningJar, savepoints }: RestSubject): Promise<void> {
  const { rest } = talk
  const stop = () => rest.stopWithSavepoint(FIRST, { drain: false, triggerId: triggerOf(8), targetDirectory: savepoints })
  await talk.ask('stopWithSavepoint', stop)
  await talk.ask('stopWithSavepoint once more', stop)
  const { location } = await talk.untilDone('savepoint', FIRST, triggerOf(8))
  await talk.untilState(FIRST, 'FINISHED')
  await talk.ask('stopWithSavepoint of a job that has ended, once more', stop)
  await talk.ask(
    'operation of a job that has ended',
    () => rest.operation('savepoint', FIRST, triggerOf(8)),
    ({ status, operation }) => ({
      status,
      operation: worded(operation),
    }),
  )
  await talk.ask('triggerSavepoint of a job that has ended', () => rest.triggerSavepoint(FIRST, { 'cancel-job': false, triggerId: triggerOf(3) }))
  await talk.ask('cancelJob of a job that has ended', () => rest.cancelJob(FIRST))
  await talk.ask('runJar of a job that has ended', () => rest.runJar(runningJar, { jobId: FIRST, parallelism: 1 }), nameOf)
  await talk.ask('runJar from a savepoint', () => rest.runJar(runningJar, { jobId: SECOND, parallelism: 1, savepointPath: String(location) }), nameOf)
  await talk.untilState(SECOND, 'RUNNING')
  await talk.ask('cancelJob', () => rest.cancelJob(SECOND))
  await talk.untilState(SECOND, 'CANCELED')
}

async function aboutFailing(talk: Conversation, { failingJar }: RestSubject): Promise<void> {
  const { rest } = talk
  await talk.ask('runJar of a job that fails', () => rest.runJar(failingJar, { jobId: THIRD, parallelism: 1 }), nameOf)
  await talk.untilState(THIRD, 'FAILED')
  await talk.ask('jobExceptions of a job that has failed', () => rest.jobExceptions(THIRD), readExceptions)
  await talk.ask(
    'jobsOverview behind all',
    () => rest.jobsOverview(),
    ({ jobs }) => jobs.map(({ jid, state }) => `${nameOf(jid)} ${state}`).toSorted(),
  )
}

function readOverview(overview: Awaited<ReturnType<RestClient['overview']>>): object {
  return { slotsRequired: overview['millrace-slots-required'] }
}

function readTaskManagers(rows: Awaited<ReturnType<RestClient['taskManagers']>>): object {
  return rows.map(({ slotsNumber, freeSlots }) => `${freeSlots} of ${slotsNumber} free`).toSorted()
}

function readExceptions({ exceptionHistory }: Awaited<ReturnType<RestClient['jobExceptions']>>): object {
  return exceptionHistory.entries.map(({ stacktrace, timestamp, taskName }) => ({
    cause: stacktrace.includes('no price') ? 'no price' : stacktrace,
    timestamp: wordOf(timestamp),
    taskName: wordOf(taskName),
  }))
}

function readStatistics({ counts, latest }: Awaited<ReturnType<RestClient['checkpointStatistics']>>): object {
  const timed = (checkpoint: typeof latest.completed) =>
    checkpoint === null ? null : { id: wordOf(checkpoint.id), latest_ack_timestamp: wordOf(checkpoint.latest_ack_timestamp) }
  return {
    counts: { completed: counts.completed > 0, failed: counts.failed },
    latest: { completed: timed(latest.completed), savepoint: timed(latest.savepoint) },
  }
}

function readRequirements(requirements: Awaited<ReturnType<RestClient['resourceRequirements']>>): object {
  return Object.values(requirements)
}

type JobAnswer = Awaited<ReturnType<RestClient['job']>>

function readJob({ jid, state, vertices, timestamps, ...info }: JobAnswer): object {
  return {
    jid: nameOf(jid),
    state,
    parallelisms: [...new Set(vertices.map(({ parallelism }) => parallelism))],
    startTime: wordOf(info['start-time']),
    reached: wordOf(timestamps[state]),
  }
}

function nameOf(jobId: string): string {
  const number = JOBS.indexOf(jobId)
  return number < 0 ? '<another job>' : `<job ${number + 1}>`
}

/** Every value as the kind of value that it is. */
function worded(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return wordOf(value)
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, worded(each)]))
}

function wordOf(value: unknown): unknown {
  return value === null || value === undefined ? null : `<${typeof value}>`
}
