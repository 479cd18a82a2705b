import { describe, expect, test } from 'vitest'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import { createLogger, type LogEntry } from '../../common/log.ts'
import { OffsetCommitter } from './offset-committer.ts'
import { parseProperties } from './settings.ts'

const NOT_COORDINATOR = 16
const UNKNOWN_MEMBER_ID = 25

function setUp() {
  const kafka = new FakeKafka()
  kafka.createTopic('t', 1)
  const { settings } = parseProperties(
    new Map([
      ['bootstrap.servers', 'a:1'],
      ['group.id', 'g'],
      ['default.api.timeout.ms', '3000'],
    ]),
  )
  const clock = new SimulatedClock()
  const logged: LogEntry[] = []
  const events: unknown[] = []
  const abort = new AbortController()
  /** Credit of the port: reports wait for it. */
  let taken = Promise.withResolvers<void>()
  taken.resolve()
  const sink = {
    write: async () => {},
    block: async () => new Uint8Array(0),
    writeBlock: async () => {},
    event: async (what: string, data: unknown) => {
      events.push([what, data])
      await taken.promise
    },
  }
  const taskManager = { id: 'tm', stdout: () => {}, stderr: () => {} }
  const context = { clock, log: createLogger(entry => logged.push(entry)), signal: abort.signal, taskManager }
  const committer = new OffsetCommitter(settings, kafka.client(), sink, context, 3)
  return {
    kafka,
    committer,
    clock,
    logged,
    events,
    abort,
    commit: (offset: number) => committer.commit([{ topic: 't', partition: 0, offset }]),
    committed: () => kafka.committed.get('g t-0'),
    holdReports: () => {
      taken = Promise.withResolvers<void>()
      return () => taken.resolve()
    },
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

describe('commits of offsets', () => {
  test('one is under way, the newest waits for it, and those between are never made', async () => {
    const { kafka, clock, logged, events, commit, committed } = setUp()
    kafka.setSilent(1, true)
    for (const offset of [1, 2, 3, 4]) commit(offset)
    await settle()
    expect([kafka.commitCount, committed()]).toEqual([1, undefined])
    kafka.setSilent(1, false)
    await settle()
    expect([kafka.commitCount, committed()]).toEqual([2, 4])
    expect(logged.map(({ level, message }) => [level, message.slice(0, 65)])).toEqual(
      Array.from({ length: 2 }, () => ['warn', 'Committing offsets to Kafka takes longer than the checkpoint inte']),
    )
    expect(events).toEqual([
      ['commits', { succeeded: 1, failed: 0 }],
      ['commits', { succeeded: 1, failed: 0 }],
    ])
    expect(clock.pendingCount).toBe(0)
  })

  test('what another attempt can mend is tried again with back-off, and nothing is lost', async () => {
    const { kafka, clock, logged, events, commit, committed } = setUp()
    kafka.commitRefusals.push(NOT_COORDINATOR, NOT_COORDINATOR)
    commit(7)
    await settle()
    expect(committed()).toBeUndefined()
    clock.advanceBy(100)
    await settle()
    clock.advanceBy(200)
    await settle()
    expect(committed()).toBe(7)
    expect(events).toEqual([['commits', { succeeded: 1, failed: 0 }]])
    expect(logged.map(({ message, fields }) => [message, fields['reason']])).toEqual([
      ['kafka offsets cannot be committed at the moment, trying again', 'group g, topic t, partition 0: NOT_COORDINATOR'],
    ])
  })

  test('a commit that is refused is logged in Flink’s words and counted, and the next one is made', async () => {
    const { kafka, logged, events, commit, committed } = setUp()
    kafka.commitRefusals.push(UNKNOWN_MEMBER_ID)
    commit(7)
    await settle()
    commit(9)
    await settle()
    expect(committed()).toBe(9)
    expect(logged).toEqual([
      {
        level: 'warn',
        message: 'Consumer subtask 3 failed async Kafka commit.',
        fields: { reason: 'group g, topic t, partition 0: UNKNOWN_MEMBER_ID' },
      },
    ])
    expect(events).toEqual([
      ['commits', { succeeded: 0, failed: 1 }],
      ['commits', { succeeded: 1, failed: 0 }],
    ])
  })

  test.each(['silent', 'down'] as const)(
    'a coordinator that is %s: the commit fails after default.api.timeout.ms, and the job goes on',
    async how => {
      const { kafka, clock, logged, events, commit, committed } = setUp()
      if (how === 'silent') kafka.setSilent(1, true)
      else kafka.setDown(1, true)
      commit(7)
      for (let ms = 0; ms < 2_999; ms++) {
        clock.advanceBy(1)
        await settle()
      }
      expect(events).toEqual([])
      clock.advanceBy(1)
      await settle()
      expect(events).toEqual([['commits', { succeeded: 0, failed: 1 }]])
      expect(logged.at(-1)?.message).toBe('Consumer subtask 3 failed async Kafka commit.')
      kafka.setSilent(1, false)
      kafka.setDown(1, false)
      commit(8)
      await settle()
      expect(committed()).toBe(8)
    },
  )

  test('while the slot takes no events, how commits went is summed up', async () => {
    const { events, commit, holdReports } = setUp()
    const release = holdReports()
    for (const offset of [1, 2, 3]) {
      commit(offset)
      await settle()
    }
    expect(events).toEqual([['commits', { succeeded: 1, failed: 0 }]])
    release()
    await settle()
    expect(events.slice(1)).toEqual([['commits', { succeeded: 2, failed: 0 }]])
  })

  test('closing lets the commit of a last checkpoint out, and does not wait long for a coordinator that is silent', async () => {
    const prompt = setUp()
    prompt.commit(7)
    prompt.abort.abort(new Error('the job has ended'))
    await prompt.committer.close()
    expect(prompt.committed()).toBe(7)
    const { kafka, committer, clock, commit, abort } = setUp()
    kafka.setSilent(1, true)
    commit(7)
    await settle()
    abort.abort(new Error('the job has ended'))
    let closed = false
    const closing = committer.close().then(() => {
      closed = true
    })
    clock.advanceBy(999)
    await settle()
    expect(closed).toBe(false)
    clock.advanceBy(1)
    await closing
  })
})
