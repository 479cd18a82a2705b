import { describe, expect, test } from 'vitest'
import { simSeeds } from '../../test/support/sim-seeds.ts'
import { FlinkError, serializeError } from '../common/errors.ts'
import { type Random, seededRandom } from '../common/random.ts'
import { isCheckpoint, isTerminating, type SnapshotType, snapshotTypes } from '../common/snapshot-type.ts'
import {
  type CoordinatorEffect,
  type CoordinatorEvent,
  type CoordinatorOptions,
  type CoordinatorState,
  type CoordinatorTask,
  createCoordinator,
  step,
  wakeMs,
} from './coordinator-core.ts'

const defaults: CoordinatorOptions = { intervalMs: 1000, timeoutMs: 600, minPauseMs: 0, maxConcurrent: 1, tolerableFailures: 0, retainedMax: 1 }
/** source -> map -> sink, and a second source straight to the sink. */
const tasks: readonly CoordinatorTask[] = [
  { executionId: 'source', upstream: [] },
  { executionId: 'map', upstream: ['source'] },
  { executionId: 'other', upstream: [] },
  { executionId: 'sink', upstream: ['map', 'other'] },
]
const all = tasks.map(({ executionId }) => executionId)
const error = serializeError(new FlinkError('EXTERNAL_SYSTEM', 'disk full'))

type Event = CoordinatorEvent<string>
/** An event without its time. */
type At<E> = E extends unknown ? Omit<E, 'nowMs'> : never

class Run {
  state: CoordinatorState<string>
  nowMs = 0

  constructor(options: Partial<CoordinatorOptions> = {}, restored: readonly number[] = [], idFloor = 0) {
    this.state = createCoordinator({ ...defaults, ...options }, tasks, restored, idFloor)
  }

  at(nowMs: number, event: At<Event>): readonly CoordinatorEffect<string>[] {
    this.nowMs = nowMs
    // One of the events, with its time again.
    const [next, effects] = step(this.state, { ...event, nowMs } as Event)
    this.state = next
    return effects
  }

  start(firstDelayMs = 1000): void {
    expect(this.at(this.nowMs, { kind: 'start', firstDelayMs })).toEqual([])
  }

  wake(nowMs: number): readonly CoordinatorEffect<string>[] {
    return this.at(nowMs, { kind: 'wake' })
  }

  acknowledgeAll(nowMs: number, id: number, executionIds: readonly string[] = all): readonly CoordinatorEffect<string>[] {
    return executionIds.flatMap(executionId => this.at(nowMs, { kind: 'acknowledge', id, executionId, state: `${executionId} of ${id}` }))
  }
}

const trigger = (id: number, ...executionIds: string[]) => asked(id, [], ...executionIds)
const asked = (id: number, requests: readonly string[], ...executionIds: string[]) => ({
  kind: 'trigger',
  id,
  type: 'checkpoint',
  requests,
  executionIds,
})
const savepoint = (id: number, type: SnapshotType, requestId: string, executionIds: readonly string[] = ['source', 'other']) => ({
  kind: 'trigger',
  id,
  type,
  requests: [requestId],
  executionIds,
})
const completed = (requestId: string, id: number) => ({ kind: 'answer', requestId, end: { kind: 'completed', id } })
const refused = (requestId: string, id: number | undefined, why: string, cause: unknown = undefined) => ({
  kind: 'answer',
  requestId,
  end: { kind: 'aborted', id, why, error: cause },
})
const publish = (id: number, executionIds: readonly string[] = all) => ({
  kind: 'publish',
  id,
  states: new Map(executionIds.map(executionId => [executionId, `${executionId} of ${id}`])),
})
const complete = (id: number, retained: readonly number[] = [id], executionIds: readonly string[] = all) => ({
  kind: 'complete',
  id,
  executionIds,
  retained,
})
const abort = (id: number, why: string, executionIds: readonly string[] = all, cause: unknown = undefined) => ({
  kind: 'abort',
  id,
  why,
  error: cause,
  executionIds,
})
const failJob = (failures: number, why: string, cause: unknown = undefined, type: SnapshotType = 'checkpoint') => ({
  kind: 'failJob',
  type,
  failures,
  error: cause,
  why,
})

describe('a checkpoint', () => {
  test('is triggered at the sources, published when all tasks have acknowledged, and complete when it is published', () => {
    const run = new Run()
    run.start()
    expect(wakeMs(run.state)).toBe(1000)
    expect(run.wake(999)).toEqual([])
    expect(run.wake(1000)).toEqual([trigger(1, 'source', 'other')])
    expect(run.acknowledgeAll(1100, 1, ['sink', 'source', 'map'])).toEqual([])
    expect(run.acknowledgeAll(1200, 1, ['other'])).toEqual([publish(1)])
    expect(run.at(1300, { kind: 'published', id: 1 })).toEqual([complete(1)])
    expect(wakeMs(run.state)).toBe(2000)
    expect(run.wake(2000)).toEqual([trigger(2, 'source', 'other')])
  })

  test('comes a minimal pause behind the end of the one before, not behind its beginning', () => {
    const run = new Run({ minPauseMs: 900 })
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1500, 1)
    run.at(1550, { kind: 'published', id: 1 })
    expect(wakeMs(run.state)).toBe(2450)
    expect(run.wake(2449)).toEqual([])
    expect(run.wake(2450)).toEqual([trigger(2, 'source', 'other')])
  })

  test('does not come late because one before it was late: what was missed is not made up for', () => {
    const run = new Run()
    run.start()
    expect(run.wake(5300)).toEqual([trigger(1, 'source', 'other')])
    run.acknowledgeAll(5400, 1)
    run.at(5400, { kind: 'published', id: 1 })
    expect(wakeMs(run.state)).toBe(6300)
  })

  test('does not count what is late, doubled, of a stranger or of another checkpoint', () => {
    const run = new Run()
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1100, 1, ['source', 'source', 'stranger'])
    run.at(1100, { kind: 'acknowledge', id: 1, executionId: 'source', state: 'doubled, and another one' })
    run.acknowledgeAll(1100, 2, ['map', 'other', 'sink'])
    run.at(1100, { kind: 'decline', id: 1, executionId: 'source', error })
    run.at(1100, { kind: 'decline', id: 1, executionId: 'stranger', error })
    expect(run.acknowledgeAll(1200, 1, ['map', 'other', 'sink'])).toEqual([publish(1)])
    expect(run.at(1250, { kind: 'decline', id: 1, executionId: 'sink', error })).toEqual([])
    expect(run.at(1300, { kind: 'published', id: 2 })).toEqual([])
    expect(run.at(1300, { kind: 'published', id: 1 })).toEqual([complete(1)])
    expect(run.acknowledgeAll(1400, 1)).toEqual([])
  })

  test('has an id that no earlier one had, nor one that the store knows', () => {
    const run = new Run({ retainedMax: 3 }, [4, 7], 9)
    run.start(1)
    expect(run.wake(1)).toEqual([trigger(10, 'source', 'other')])
    run.acknowledgeAll(2, 10)
    expect(run.at(3, { kind: 'published', id: 10 })).toEqual([complete(10, [4, 7, 10])])
    run.wake(1001)
    run.acknowledgeAll(1002, 11)
    expect(run.at(1003, { kind: 'published', id: 11 })).toEqual([complete(11, [7, 10, 11])])
  })
})

describe('what fails', () => {
  test('one declined with an error is aborted everywhere and, where none is tolerated, fails the job; then nothing happens any more', () => {
    const run = new Run()
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1010, 1, ['source'])
    expect(run.at(1020, { kind: 'decline', id: 1, executionId: 'map', error })).toEqual([
      abort(1, 'declined', all, error),
      failJob(1, 'declined', error),
    ])
    expect(wakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.wake(9000)).toEqual([])
    expect(run.acknowledgeAll(9000, 1)).toEqual([])
  })

  test('only failures without a success between them add up', () => {
    const run = new Run({ tolerableFailures: 1 })
    run.start()
    run.wake(1000)
    expect(run.at(1100, { kind: 'decline', id: 1, executionId: 'map', error })).toEqual([abort(1, 'declined', all, error)])
    run.wake(2000)
    run.acknowledgeAll(2100, 2)
    run.at(2200, { kind: 'published', id: 2 })
    run.wake(3000)
    expect(run.at(3100, { kind: 'decline', id: 3, executionId: 'map', error })).toEqual([abort(3, 'declined', all, error)])
    run.wake(4000)
    expect(run.at(4100, { kind: 'decline', id: 4, executionId: 'map', error })).toEqual([
      abort(4, 'declined', all, error),
      failJob(2, 'declined', error),
    ])
  })

  test('one that takes too long expires; one that is being published does not', () => {
    const run = new Run({ tolerableFailures: 5 })
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1100, 1, ['source', 'map', 'other'])
    expect(wakeMs(run.state)).toBe(1600)
    expect(run.wake(1600)).toEqual([abort(1, 'expired')])
    run.wake(2000)
    run.acknowledgeAll(2100, 2)
    expect(run.wake(9000)).toEqual([])
    expect(run.at(9100, { kind: 'published', id: 2 })[0]).toEqual(complete(2))
  })

  test('a publication that fails counts as well (FLINK-32347); a taken id does not, and is tried again at once', () => {
    const run = new Run({ tolerableFailures: 1, minPauseMs: 500 })
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1100, 1)
    expect(run.at(1200, { kind: 'publishFailed', id: 1, outcome: 'conflict', error })).toEqual([
      abort(1, 'id taken', all, error),
      trigger(2, 'source', 'other'),
    ])
    run.acknowledgeAll(1300, 2)
    expect(run.at(1400, { kind: 'publishFailed', id: 2, outcome: 'failed', error })).toEqual([abort(2, 'publication failed', all, error)])
    run.wake(2200)
    run.acknowledgeAll(2300, 3)
    expect(run.at(2400, { kind: 'publishFailed', id: 3, outcome: 'failed', error })).toEqual([
      abort(3, 'publication failed', all, error),
      failJob(2, 'publication failed', error),
    ])
  })

  test('where the store has another leader, or does not know, everything ends at once: no abort, no commit, nothing', () => {
    const run = new Run({ maxConcurrent: 2 })
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1100, 1)
    run.at(1150, { kind: 'request', requestId: 'mine', type: 'checkpoint' })
    expect(run.at(1200, { kind: 'publishFailed', id: 1, outcome: 'lost', error })).toEqual([
      { kind: 'giveUp', error },
      { kind: 'answer', requestId: 'mine', end: { kind: 'aborted', id: 2, why: 'stopped', error: undefined } },
    ])
    expect(run.at(1300, { kind: 'published', id: 1 })).toEqual([])
    expect(run.wake(5000)).toEqual([])
  })
})

describe('several at once', () => {
  test('as many as may be; each is published behind the ones before it, and subsumes those that are not whole', () => {
    const run = new Run({ maxConcurrent: 3, intervalMs: 100, timeoutMs: 10_000, retainedMax: 2 })
    run.start(100)
    expect([100, 200, 300].flatMap(ms => run.wake(ms))).toEqual([1, 2, 3].map(id => trigger(id, 'source', 'other')))
    expect(wakeMs(run.state)).toBe(10_100)
    expect(run.wake(400)).toEqual([])
    expect(run.acknowledgeAll(410, 2)).toEqual([publish(2)])
    expect(run.acknowledgeAll(420, 3)).toEqual([])
    expect(run.at(430, { kind: 'published', id: 2 })).toEqual([abort(1, 'subsumed'), complete(2), publish(3), trigger(4, 'source', 'other')])
    expect(run.acknowledgeAll(435, 1)).toEqual([])
    expect(run.at(440, { kind: 'published', id: 3 })).toEqual([complete(3, [2, 3])])
  })
})

describe('tasks that finish', () => {
  test('are not waited for, and the barrier starts behind them', () => {
    const run = new Run()
    run.start()
    run.at(500, { kind: 'taskFinished', executionId: 'source' })
    expect(run.wake(1000)).toEqual([trigger(1, 'map', 'other')])
    expect(run.acknowledgeAll(1100, 1, ['map', 'other', 'sink'])).toEqual([publish(1, ['map', 'other', 'sink'])])
    expect(run.at(1200, { kind: 'published', id: 1 })).toEqual([complete(1, [1], ['map', 'other', 'sink'])])
  })

  test('before they have acknowledged abort the checkpoint, which counts for nothing and is taken again at once', () => {
    const run = new Run({ minPauseMs: 800 })
    run.start()
    run.wake(1000)
    run.at(1010, { kind: 'request', requestId: 'mine', type: 'checkpoint' })
    run.acknowledgeAll(1050, 1, ['source'])
    expect(run.at(1100, { kind: 'taskFinished', executionId: 'other' })).toEqual([
      abort(1, 'task finished', ['source', 'map', 'sink']),
      asked(2, ['mine'], 'source'),
    ])
    expect(run.at(1110, { kind: 'taskFinished', executionId: 'other' })).toEqual([])
    expect(run.at(1120, { kind: 'decline', id: 2, executionId: 'source', error: undefined })).toEqual([
      abort(2, 'task finished', ['source', 'map', 'sink']),
      asked(3, ['mine'], 'source'),
    ])
    expect(run.at(1130, { kind: 'taskFinished', executionId: 'source' })).toEqual([
      abort(3, 'task finished', ['map', 'sink']),
      asked(4, ['mine'], 'map'),
    ])
    run.acknowledgeAll(1140, 4, ['map', 'sink'])
    expect(run.at(1150, { kind: 'published', id: 4 })).toContainEqual({ kind: 'answer', requestId: 'mine', end: { kind: 'completed', id: 4 } })
  })

  test('after they have acknowledged change nothing; when none runs, nothing is triggered', () => {
    const run = new Run()
    run.start()
    run.wake(1000)
    run.acknowledgeAll(1050, 1)
    for (const executionId of all) expect(run.at(1100, { kind: 'taskFinished', executionId })).toEqual([])
    expect(run.at(1200, { kind: 'published', id: 1 })).toEqual([complete(1, [1], [])])
    expect(wakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.wake(9000)).toEqual([])
    expect(run.at(9000, { kind: 'request', requestId: 'late', type: 'checkpoint' })).toEqual([
      { kind: 'answer', requestId: 'late', end: { kind: 'aborted', id: undefined, why: 'no task runs', error: undefined } },
    ])
  })
})

describe('one that somebody asks for', () => {
  test('does not wait for interval or pause, also where there is no interval; all that wait share it', () => {
    const run = new Run({ intervalMs: undefined })
    run.start(Number.POSITIVE_INFINITY)
    expect(wakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.at(10, { kind: 'request', requestId: 'a', type: 'checkpoint' })).toEqual([asked(1, ['a'], 'source', 'other')])
    expect(run.at(20, { kind: 'request', requestId: 'b', type: 'checkpoint' })).toEqual([])
    expect(run.at(30, { kind: 'request', requestId: 'c', type: 'checkpoint' })).toEqual([])
    run.acknowledgeAll(40, 1)
    expect(run.at(50, { kind: 'published', id: 1 })).toEqual([complete(1), completed('a', 1), asked(2, ['b', 'c'], 'source', 'other')])
    run.acknowledgeAll(60, 2)
    expect(run.at(70, { kind: 'published', id: 2 }).slice(1)).toEqual(
      ['b', 'c'].map(requestId => ({ kind: 'answer', requestId, end: { kind: 'completed', id: 2 } })),
    )
  })

  test('is answered when it fails, when the job stops, and behind that', () => {
    const run = new Run({ tolerableFailures: 3 })
    run.start()
    run.at(10, { kind: 'request', requestId: 'a', type: 'checkpoint' })
    expect(run.at(20, { kind: 'decline', id: 1, executionId: 'map', error })).toEqual([
      abort(1, 'declined', all, error),
      { kind: 'answer', requestId: 'a', end: { kind: 'aborted', id: 1, why: 'declined', error } },
    ])
    run.at(30, { kind: 'request', requestId: 'b', type: 'checkpoint' })
    run.at(31, { kind: 'request', requestId: 'c', type: 'checkpoint' })
    expect(run.at(40, { kind: 'stop' })).toEqual([
      { kind: 'answer', requestId: 'b', end: { kind: 'aborted', id: 2, why: 'stopped', error: undefined } },
      { kind: 'answer', requestId: 'c', end: { kind: 'aborted', id: undefined, why: 'stopped', error: undefined } },
    ])
    expect(run.at(50, { kind: 'request', requestId: 'd', type: 'checkpoint' })).toEqual([
      { kind: 'answer', requestId: 'd', end: { kind: 'aborted', id: undefined, why: 'stopped', error: undefined } },
    ])
  })

  test('is a full one for all that wait for it where one of them wants that, and a checkpoint of the job like any other', () => {
    const run = new Run({ intervalMs: undefined })
    run.start(Number.POSITIVE_INFINITY)
    run.at(1, { kind: 'request', requestId: 'a', type: 'checkpoint' })
    run.at(2, { kind: 'request', requestId: 'b', type: 'checkpoint' })
    run.at(2, { kind: 'request', requestId: 'c', type: 'full-checkpoint' })
    run.acknowledgeAll(3, 1)
    expect(run.at(4, { kind: 'published', id: 1 }).at(-1)).toEqual({
      kind: 'trigger',
      id: 2,
      type: 'full-checkpoint',
      requests: ['b', 'c'],
      executionIds: ['source', 'other'],
    })
    run.acknowledgeAll(5, 2)
    expect(run.at(6, { kind: 'published', id: 2 })).toEqual([complete(2), completed('b', 2), completed('c', 2)])
  })

  test('before the tasks run waits until they do', () => {
    const run = new Run()
    expect(run.at(0, { kind: 'request', requestId: 'a', type: 'checkpoint' })).toEqual([])
    expect(run.at(10, { kind: 'start', firstDelayMs: 1000 })).toEqual([asked(1, ['a'], 'source', 'other')])
  })
})

describe('a savepoint', () => {
  const request = (requestId: string, type: SnapshotType = 'savepoint') => ({ kind: 'request', requestId, type }) as const

  test('is no checkpoint of the job: nobody commits, none is subsumed, the next one comes when it was due', () => {
    const run = new Run({ maxConcurrent: 2, minPauseMs: 0, retainedMax: 3 })
    run.start()
    expect(run.wake(1000)).toEqual([trigger(1, 'source', 'other')])
    expect(run.at(1100, request('mine'))).toEqual([savepoint(2, 'savepoint', 'mine')])
    expect(run.acknowledgeAll(1200, 2)).toEqual([publish(2)])
    expect(run.at(1250, { kind: 'published', id: 2 })).toEqual([completed('mine', 2)])
    expect(run.acknowledgeAll(1300, 1)).toEqual([publish(1)])
    expect(run.at(1350, { kind: 'published', id: 1 })).toEqual([complete(1)])
    expect(wakeMs(run.state)).toBe(2000)
    expect(run.wake(2000)).toEqual([trigger(3, 'source', 'other')])
    run.acknowledgeAll(2100, 3)
    expect(run.at(2200, { kind: 'published', id: 3 })).toEqual([complete(3, [1, 3])])
  })

  test('is not subsumed by a checkpoint behind it', () => {
    const run = new Run({ maxConcurrent: 2, timeoutMs: 5000 })
    run.start()
    run.at(900, request('mine'))
    run.wake(1000)
    run.acknowledgeAll(1100, 2)
    expect(run.at(1200, { kind: 'published', id: 2 })).toEqual([complete(2)])
    expect(run.acknowledgeAll(1300, 1)).toEqual([publish(1)])
    expect(run.at(1400, { kind: 'published', id: 1 })).toEqual([completed('mine', 1)])
  })

  test('is one for each request, in their order; those that want a checkpoint share one', () => {
    const run = new Run({ intervalMs: undefined })
    run.start(Number.POSITIVE_INFINITY)
    run.at(1, request('a'))
    for (const [requestId, type] of [
      ['b', 'checkpoint'],
      ['c', 'savepoint'],
      ['d', 'checkpoint'],
    ] as const)
      run.at(2, request(requestId, type))
    run.acknowledgeAll(3, 1)
    expect(run.at(4, { kind: 'published', id: 1 })).toEqual([completed('a', 1), asked(2, ['b', 'd'], 'source', 'other')])
    run.acknowledgeAll(5, 2)
    expect(run.at(6, { kind: 'published', id: 2 })).toEqual([complete(2), completed('b', 2), completed('d', 2), savepoint(3, 'savepoint', 'c')])
  })

  test('is refused while not all tasks run, and when none does any more', () => {
    const run = new Run()
    expect(run.at(0, request('early'))).toEqual([refused('early', undefined, 'not all tasks run')])
    run.start()
    for (const executionId of all) run.at(1, { kind: 'taskFinished', executionId })
    expect(run.at(2, request('late'))).toEqual([refused('late', undefined, 'no task runs')])
  })

  test.each(['savepoint', 'savepoint-terminate'] as const)('that fails is answered with why, and counts for nothing: %s', type => {
    const run = new Run({ intervalMs: undefined })
    run.start(Number.POSITIVE_INFINITY)
    run.at(0, request('a', type))
    expect(run.at(10, { kind: 'decline', id: 1, executionId: 'map', error })).toEqual([
      abort(1, 'declined', all, error),
      refused('a', 1, 'declined', error),
    ])
    run.at(20, request('b', type))
    expect(run.wake(620)).toEqual([abort(2, 'expired'), refused('b', 2, 'expired')])
    run.at(700, request('c', type))
    run.acknowledgeAll(710, 3)
    expect(run.at(720, { kind: 'publishFailed', id: 3, outcome: 'failed', error })).toEqual([
      abort(3, 'publication failed', all, error),
      refused('c', 3, 'publication failed', error),
    ])
    // A checkpoint's failure is still the first one.
    run.at(800, request('d', 'checkpoint'))
    expect(run.at(810, { kind: 'decline', id: 4, executionId: 'map', error })).toContainEqual(failJob(1, 'declined', error))
  })

  test('that a task has finished too early for is taken again at once, and nothing else is', () => {
    const run = new Run({ intervalMs: undefined })
    run.start(Number.POSITIVE_INFINITY)
    run.at(0, request('mine', 'savepoint-drain'))
    expect(run.at(10, { kind: 'taskFinished', executionId: 'other' })).toEqual([
      abort(1, 'task finished', ['source', 'map', 'sink']),
      savepoint(2, 'savepoint-drain', 'mine', ['source']),
    ])
    run.acknowledgeAll(20, 2, ['source', 'map', 'sink'])
    expect(run.at(30, { kind: 'published', id: 2 })).toEqual([complete(2, [], ['source', 'map', 'sink']), completed('mine', 2)])
  })

  test.each(['savepoint-terminate', 'savepoint-drain'] as const)('behind which the job stops is the last thing that happens: %s', type => {
    const run = new Run({ maxConcurrent: 2, timeoutMs: 5000 })
    run.start()
    run.wake(1000)
    expect(run.at(1100, request('stop', type))).toEqual([savepoint(2, type, 'stop')])
    run.acknowledgeAll(1150, 1)
    expect(run.at(1160, { kind: 'published', id: 1 })).toEqual([complete(1)])
    // The interval is over, but tasks stand still.
    expect(wakeMs(run.state)).toBe(6100)
    expect(run.wake(2500)).toEqual([])
    expect(run.at(2600, request('behind', 'checkpoint'))).toEqual([])
    expect(run.acknowledgeAll(2700, 2)).toEqual([publish(2)])
    expect(run.at(2800, { kind: 'published', id: 2 })).toEqual([complete(2, [1]), completed('stop', 2), refused('behind', undefined, 'stopped')])
    for (const executionId of all) expect(run.at(2900, { kind: 'taskFinished', executionId })).toEqual([])
    expect(wakeMs(run.state)).toBe(Number.POSITIVE_INFINITY)
    expect(run.wake(9000)).toEqual([])
  })

  test('behind which the job stops subsumes the checkpoints in front of it: it is the newest one', () => {
    const run = new Run({ maxConcurrent: 2 })
    run.start()
    run.wake(1000)
    run.at(1100, request('stop', 'savepoint-terminate'))
    run.acknowledgeAll(1200, 2)
    expect(run.at(1300, { kind: 'published', id: 2 })).toEqual([abort(1, 'subsumed'), complete(2, []), completed('stop', 2)])
  })

  test('behind which the job was to stop lets it go on when it fails; a drain cannot be taken back, and fails the job', () => {
    const run = new Run({ tolerableFailures: 5 })
    run.start()
    run.at(100, request('stop', 'savepoint-terminate'))
    expect(run.wake(700)).toEqual([abort(1, 'expired'), refused('stop', 1, 'expired')])
    expect(run.wake(1000)).toEqual([trigger(2, 'source', 'other')])
    run.acknowledgeAll(1100, 2)
    run.at(1200, { kind: 'published', id: 2 })
    run.at(1300, request('drain', 'savepoint-drain'))
    expect(run.wake(1900)).toEqual([abort(3, 'expired'), refused('drain', 3, 'expired'), failJob(1, 'expired', undefined, 'savepoint-drain')])
    expect(run.wake(9000)).toEqual([])
  })
})

describe('whatever happens', () => {
  const seeds = simSeeds(300)
  const chunkSize = Math.min(500, Math.ceil(seeds.length / 4))
  for (let from = 0; from < seeds.length; from += chunkSize) {
    const chunk = seeds.slice(from, from + chunkSize)
    test(`the rules hold: seeds ${chunk[0]} to ${chunk.at(-1)}`, () => {
      const seen = new Set<string>()
      for (const seed of chunk) simulate(seed, seen)
      // A simulation that meets nothing proves nothing.
      if (chunk.length >= 50)
        expect([...seen].sort()).toEqual([
          'abort:declined',
          'abort:expired',
          'abort:id taken',
          'abort:publication failed',
          'abort:subsumed',
          'abort:task finished',
          'answer',
          'complete',
          'failJob',
          'giveUp',
          'publish',
          'trigger:checkpoint',
          'trigger:full-checkpoint',
          'trigger:savepoint',
          'trigger:savepoint-drain',
          'trigger:savepoint-terminate',
        ])
    })
  }
})

/** Tasks, store and users that do anything at any time, doubled and late; the rules of the entry comment are looked at from outside. */
function simulate(seed: number, seen: Set<string>): void {
  const random = seededRandom(seed * 31 + 5)
  const options: CoordinatorOptions = {
    intervalMs: random.nextInt(5) === 0 ? undefined : 10 + random.nextInt(200),
    timeoutMs: 50 + random.nextInt(1000),
    minPauseMs: random.nextInt(2) === 0 ? 0 : random.nextInt(150),
    maxConcurrent: 1 + random.nextInt(3),
    tolerableFailures: random.nextInt(6),
    retainedMax: 1 + random.nextInt(3),
  }
  let state = createCoordinator<string>(options, tasks)
  const world = new World(options)
  let nowMs = 0
  const give = (event: At<Event>) => {
    // One of the events, with its time again.
    const [next, effects] = step(state, { ...event, nowMs } as Event)
    state = next
    world.check(nowMs, effects, event)
    for (const effect of effects)
      seen.add(effect.kind === 'abort' ? `abort:${effect.why}` : effect.kind === 'trigger' ? `trigger:${effect.type}` : effect.kind)
  }
  give({ kind: 'start', firstDelayMs: random.nextInt(100) })
  for (let i = 0; i < 300; i++) {
    nowMs += random.nextInt(3) === 0 ? random.nextInt(60) : random.nextInt(5)
    if (random.nextInt(3) === 0) {
      nowMs = Math.max(nowMs, Math.min(wakeMs(state), nowMs + 200))
      give({ kind: 'wake' })
    }
    give(world.something(random))
    expect(state.pending.length, 'never more at once than may be').toBeLessThanOrEqual(options.maxConcurrent)
  }
  give({ kind: 'stop' })
  expect(world.unanswered(), 'every request was answered').toEqual([])
  expect(wakeMs(state)).toBe(Number.POSITIVE_INFINITY)
}

class World {
  private readonly options: CoordinatorOptions
  private readonly open = new Map<
    number,
    { readonly type: SnapshotType; readonly triggeredMs: number; readonly acks: Map<string, string>; readonly waitsFor: readonly string[] }
  >()
  private readonly typeOf = new Map<number, SnapshotType>()
  private readonly requests = new Map<string, number>()
  private readonly types = new Map<string, SnapshotType>()
  private readonly finished = new Set<string>()
  private publishing: number | undefined = undefined
  private lastId = 0
  private lastEndMs = Number.NEGATIVE_INFINITY
  private lastPublished = 0
  private retained: readonly number[] = []
  private failures = 0
  private ended = false
  private excused = false

  constructor(options: CoordinatorOptions) {
    this.options = options
  }

  something(random: Random): At<Event> {
    const ids = [...this.open.keys()]
    const id = random.nextInt(8) === 0 ? random.nextInt(this.lastId + 2) : (ids[random.nextInt(ids.length + 1)] ?? this.lastId)
    const missing = this.open.get(id)?.waitsFor.filter(candidate => !this.open.get(id)?.acks.has(candidate)) ?? []
    const among = missing.length === 0 || random.nextInt(4) === 0 ? all : missing
    const executionId = among[random.nextInt(among.length)] as string
    const kind = random.nextInt(40)
    if (kind < 26) return { kind: 'acknowledge', id, executionId, state: `${executionId} of ${id}` }
    if (kind === 26) return { kind: 'decline', id, executionId, error: random.nextInt(2) === 0 ? error : undefined }
    if (kind === 28 && random.nextInt(20) === 0) {
      this.finished.add(executionId)
      return { kind: 'taskFinished', executionId }
    }
    if (kind < 31) {
      const requestId = `request ${this.requests.size}`
      this.requests.set(requestId, 0)
      const rare = snapshotTypes[random.nextInt(snapshotTypes.length)] ?? 'savepoint'
      const type = random.nextInt(3) > 0 ? 'checkpoint' : isTerminating(rare) && random.nextInt(4) > 0 ? 'savepoint' : rare
      this.types.set(requestId, type)
      return { kind: 'request', requestId, type }
    }
    if (this.publishing === undefined) return { kind: 'wake' }
    if (kind < 38) return { kind: 'published', id: this.publishing }
    return {
      kind: 'publishFailed',
      id: this.publishing,
      outcome: (['failed', 'conflict', 'failed', 'conflict', 'lost'] as const)[random.nextInt(5)] ?? 'failed',
      error,
    }
  }

  check(nowMs: number, effects: readonly CoordinatorEffect<string>[], event: At<Event>): void {
    if (event.kind === 'acknowledge') this.open.get(event.id)?.acks.set(event.executionId, event.state)
    if (event.kind === 'published' && this.open.get(event.id)?.type === 'savepoint' && !this.ended) {
      this.close(event.id, nowMs)
      expect(effects[0], 'who has asked for it is told').toMatchObject({ kind: 'answer', end: { kind: 'completed', id: event.id } })
    }
    for (const effect of effects) {
      expect(!this.ended || effect.kind === 'answer', `nothing behind the end but answers: ${effect.kind}`).toBe(true)
      switch (effect.kind) {
        case 'trigger': {
          expect(effect.id, 'ids grow').toBeGreaterThan(this.lastId)
          this.lastId = effect.id
          const wanted = effect.requests.map(requestId => this.types.get(requestId))
          if (!isCheckpoint(effect.type)) expect(wanted, 'a savepoint is for one, who wants it').toEqual([effect.type])
          else {
            expect(
              wanted.every(type => isCheckpoint(type ?? 'savepoint')),
              'nobody gets a checkpoint for a savepoint',
            ).toBe(true)
            expect(effect.type === 'full-checkpoint', 'full where somebody wants it').toBe(wanted.includes('full-checkpoint'))
          }
          for (const { type } of this.open.values()) expect(isTerminating(type), 'nothing follows while the job is to stop').toBe(false)
          if (effect.requests.length === 0 && !this.excused)
            expect(nowMs, 'the pause was kept').toBeGreaterThanOrEqual(this.lastEndMs + this.options.minPauseMs)
          const waitsFor = all.filter(executionId => !this.finished.has(executionId))
          for (const executionId of effect.executionIds)
            expect(
              tasks.find(task => task.executionId === executionId)?.upstream.filter(up => !this.finished.has(up)),
              'nobody in front of it runs',
            ).toEqual([])
          this.open.set(effect.id, { type: effect.type, triggeredMs: nowMs, acks: new Map(), waitsFor })
          this.typeOf.set(effect.id, effect.type)
          if (isCheckpoint(effect.type)) this.excused = false
          break
        }
        case 'abort':
          if (effect.why === 'expired') expect(nowMs).toBeGreaterThanOrEqual((this.open.get(effect.id)?.triggeredMs ?? 0) + this.options.timeoutMs)
          this.close(effect.id, nowMs)
          if (effect.why === 'declined' || effect.why === 'expired' || effect.why === 'publication failed') {
            if (isCheckpoint(this.typeOf.get(effect.id) ?? 'savepoint')) this.failures++
          } else if (effect.why === 'subsumed')
            expect(isCheckpoint(this.typeOf.get(effect.id) ?? 'savepoint'), 'savepoints are not subsumed').toBe(true)
          else if (isCheckpoint(this.typeOf.get(effect.id) ?? 'savepoint')) this.excused = true
          break
        case 'publish': {
          expect(this.publishing, 'one at a time').toBeUndefined()
          if (this.open.get(effect.id)?.type !== 'savepoint') expect(effect.id, 'in order').toBeGreaterThan(this.lastPublished)
          this.publishing = effect.id
          const open = this.open.get(effect.id)
          expect([...effect.states.keys()].sort(), 'all have acknowledged').toEqual([...(open?.waitsFor ?? [])].sort())
          for (const [executionId, state] of effect.states) expect(state).toBe(`${executionId} of ${effect.id}`)
          break
        }
        case 'complete':
          expect(event).toEqual({ kind: 'published', id: effect.id })
          this.lastPublished = effect.id
          this.failures = 0
          this.close(effect.id, nowMs)
          expect(
            [...this.open].every(([id, { type }]) => id > effect.id || !isCheckpoint(type)),
            'older ones are gone',
          ).toBe(true)
          expect(this.typeOf.get(effect.id), 'a savepoint of somebody else is no checkpoint of the job').not.toBe('savepoint')
          if (isTerminating(this.typeOf.get(effect.id) ?? 'checkpoint')) this.ended = true
          else {
            this.retained = [...this.retained, effect.id].slice(-this.options.retainedMax)
          }
          expect(effect.retained, 'checkpoints only, the newest last').toEqual(this.retained)
          expect(effect.retained.length).toBeLessThanOrEqual(this.options.retainedMax)
          break
        case 'answer':
          this.requests.set(effect.requestId, (this.requests.get(effect.requestId) ?? 0) + 1)
          expect(this.requests.get(effect.requestId), 'once').toBe(1)
          break
        case 'failJob':
          if (isCheckpoint(effect.type)) {
            expect(effect.failures).toBe(this.options.tolerableFailures + 1)
            expect(this.failures).toBe(effect.failures)
          } else expect(effect.type, 'only a drain cannot be taken back').toBe('savepoint-drain')
          this.ended = true
          break
        case 'giveUp':
          this.ended = true
      }
    }
    if (!this.ended) expect(this.failures, 'the job has failed when it had to').toBeLessThanOrEqual(this.options.tolerableFailures)
    for (const [id, { triggeredMs }] of this.open) {
      if (event.kind === 'wake' && id !== this.publishing && !this.ended)
        expect(nowMs, 'nobody waits for ever').toBeLessThan(triggeredMs + this.options.timeoutMs)
    }
  }

  unanswered(): readonly string[] {
    return [...this.requests].filter(([, answers]) => answers === 0).map(([requestId]) => requestId)
  }

  private close(id: number, nowMs: number): void {
    this.open.delete(id)
    if (this.publishing === id) this.publishing = undefined
    this.lastEndMs = nowMs
  }
}
