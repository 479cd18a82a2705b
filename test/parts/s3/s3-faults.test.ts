import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ObjectStore } from '../../../runtime/checkpoint/storage/object-store.ts'
import { openStore } from '../../../runtime/checkpoint/storage/open-store.ts'
import { systemClock } from '../../../runtime/common/clock.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import { noLog } from '../../../runtime/common/log.ts'
import { systemRandom } from '../../../runtime/common/random.ts'
import { DeadlineClock } from '../../support/deadline-clock.ts'
import { checkRestorable, Leader } from '../../support/epoch-log-harness.ts'
import { type S3Fault, S3FaultProxy, type S3Operation, s3Faults } from '../../support/s3-fault-proxy.ts'
import { S3Server } from '../../support/s3-server.ts'

let server: S3Server
let proxy: S3FaultProxy
beforeAll(async () => {
  server = await S3Server.start()
  server.createBucket('checkpoints')
  proxy = await S3FaultProxy.start(server.endpoint)
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})
beforeEach(() => {
  proxy.rule = () => undefined
})

let stores = 0

/** One store twice: past the proxy, which says what is true, and through it. Probing is over when the rules begin. */
async function openBoth(): Promise<{ direct: ObjectStore; faulty: ObjectStore }> {
  const uri = `s3://checkpoints/store-${stores++}`
  const clock = new DeadlineClock()
  proxy.rule = () => undefined
  proxy.onHang = () => clock.expire()
  const direct = await openStore(uri, server.configuration(), { clock: systemClock, random: systemRandom, log: noLog })
  const faulty = await openStore(uri, server.configuration(proxy.endpoint), { clock, random: systemRandom, log: noLog })
  proxy.log = []
  return { direct, faulty }
}

/** The answer, or the code of the error. */
async function answerOf<T>(call: Promise<T>): Promise<T | string> {
  try {
    return await call
  } catch (error) {
    if (error instanceof FlinkError) return error.code
    throw error
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)

/** The fault at the first try of the operation, or at each one. */
function meet(operation: S3Operation, fault: S3Fault, times: number): void {
  let met = 0
  proxy.rule = call => (call.operation === operation && met++ < times ? fault : undefined)
}

const once = 1
const always = Number.POSITIVE_INFINITY

describe('create, when a try meets a fault', () => {
  /** What the store may say, with the object as it is afterwards. A store that calls what it has not done `created` loses checkpoints. */
  const expected: Readonly<Record<S3Fault, readonly [once: string, always: string]>> = {
    // Certainly not carried out: the next try is, or it has failed for certain.
    '409': ['created', 'EXTERNAL_SYSTEM'],
    // The server has lied: nothing is there. EpochLog looks, and finds that it is not its own.
    '412': ['exists', 'exists'],
    // It is ours: EpochLog looks, and finds that.
    '412-after': ['exists', 'exists'],
    '500-before': ['created', 'OUTCOME_UNKNOWN'],
    '500-after': ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    '503-before': ['created', 'OUTCOME_UNKNOWN'],
    '503-after': ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    reset: ['created', 'OUTCOME_UNKNOWN'],
    lost: ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    late: ['created', 'OUTCOME_UNKNOWN'],
    hang: ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    'hang-after': ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    cut: ['OUTCOME_UNKNOWN', 'OUTCOME_UNKNOWN'],
    slow: ['created', 'created'],
  }

  test.each(s3Faults)('%s: it never says `created` of what is not there, nor a certain failure of what is', async fault => {
    for (const [i, times] of [once, always].entries()) {
      const { direct, faulty } = await openBoth()
      meet('PutObject', fault, times)
      const answer = await answerOf(faulty.create('job/epochs/1', bytes('mine')))
      proxy.rule = () => undefined
      await proxy.settle()
      const found = await direct.read('job/epochs/1')
      expect(answer, `${fault}, times ${times}`).toBe(expected[fault][i])
      if (answer === 'created') expect(found).toEqual(bytes('mine'))
      if (answer === 'EXTERNAL_SYSTEM') expect(found).toBeUndefined()
      if (answer === 'exists') expect(found).toEqual(fault === '412' ? undefined : bytes('mine'))
    }
  })

  test.each(s3Faults)("%s: what is somebody else's stays so, and is never said to be created", async fault => {
    for (const times of [once, always]) {
      const { direct, faulty } = await openBoth()
      await direct.create('job/epochs/1', bytes('theirs'))
      meet('PutObject', fault, times)
      const answer = await answerOf(faulty.create('job/epochs/1', bytes('mine')))
      proxy.rule = () => undefined
      await proxy.settle()
      const lost = expected[fault][1] === 'OUTCOME_UNKNOWN'
      const certain = times === always && fault === '409' ? 'EXTERNAL_SYSTEM' : 'exists'
      // The refusal itself was cut short: its first line has come, and that says all.
      expect(answer, `${fault}, times ${times}`).toBe(lost && fault !== 'cut' ? 'OUTCOME_UNKNOWN' : certain)
      expect(await direct.read('job/epochs/1')).toEqual(bytes('theirs'))
    }
  })
})

describe('what changes nothing, when a try meets a fault', () => {
  const content = Uint8Array.from({ length: 5000 }, (_, i) => i % 251)
  const operations: readonly (readonly [string, S3Operation, (store: ObjectStore) => Promise<unknown>, unknown])[] = [
    ['read', 'GetObject', store => store.read('job/a'), content],
    ['read of a range', 'GetObject', store => store.read('job/a', { offset: 7, length: 4000 }), content.slice(7, 4007)],
    ['read of what is not there', 'GetObject', store => store.read('job/b'), undefined],
    ['size', 'HeadObject', store => store.size('job/a'), 5000],
    ['size of what is not there', 'HeadObject', store => store.size('job/b'), undefined],
    ['size of what is not there, at the bucket', 'HeadBucket', store => store.size('job/b'), undefined],
    ['list', 'ListObjectsV2', store => store.list('job'), ['job/a', 'job/c']],
  ]

  test.each(operations)('%s: the answer is the true one, or an error', async (_, operation, act, truth) => {
    const { direct, faulty } = await openBoth()
    await direct.create('job/a', content)
    await direct.create('job/c', content)
    for (const fault of s3Faults) {
      for (const times of [once, always]) {
        meet(operation, fault, times)
        const answer = await answerOf(act(faulty))
        const fails = times === always ? fault !== 'slow' : /^(412|hang)/.test(fault)
        expect(answer, `${fault}, times ${times}`).toEqual(fails ? 'EXTERNAL_SYSTEM' : truth)
      }
    }
  })

  test.each(s3Faults)('remove, %s: it is gone, or it is an error, and then removing again does', async fault => {
    for (const times of [once, always]) {
      const { direct, faulty } = await openBoth()
      await direct.create('job/a', content)
      await direct.create('job/c', content)
      meet('DeleteObject', fault, times)
      const answer = await answerOf(faulty.remove('job/a'))
      const fails = times === always ? fault !== 'slow' : /^(412|hang)/.test(fault)
      expect(answer, `times ${times}`).toBe(fails ? 'EXTERNAL_SYSTEM' : undefined)
      proxy.rule = () => undefined
      if (answer !== undefined) await faulty.remove('job/a')
      await proxy.settle()
      expect(await direct.list('job')).toEqual(['job/c'])
    }
  })
})

describe('every request of a JobManager', () => {
  const checkpoints = 2
  /** To each call by itself a 503 is a 500, as shown above. */
  const faults = s3Faults.filter(fault => !fault.startsWith('503'))

  async function requests(): Promise<readonly string[]> {
    const { faulty } = await openBoth()
    const leader = new Leader(faulty, 1)
    await leader.run(checkpoints)
    expect([leader.ended, leader.acknowledged]).toEqual([undefined, [1, 2]])
    const log = proxy.log.map(call => call.replace(/store-\d+/, 'store').replace(/[0-9a-f]{8,}/g, 'id'))
    for (const step of [
      'PutObject .*/head/',
      'PutObject .*/epochs/',
      'PutObject .*/shared/',
      'PutObject .*/_metadata',
      'HeadObject',
      'ListObjectsV2',
    ])
      expect(
        log.some(call => new RegExp(step).test(call)),
        step,
      ).toBe(true)
    return log
  }

  test.each(faults)('%s: the next one restores what was acknowledged, whole', async fault => {
    const plain = await requests()
    for (let at = 0; at < plain.length; at++) {
      const { direct, faulty } = await openBoth()
      proxy.rule = call => (call.number === at ? fault : undefined)
      const leader = new Leader(faulty, 1)
      await leader.run(checkpoints)
      const where = `${fault} at request ${at}: ${plain[at]}`
      // A server that says of what is not there that it is there: the JobManager must take itself for an old one.
      if (fault === '412') expect([undefined, 'FENCED', 'CORRUPT_CHECKPOINT'], where).toContain(codeOf(leader.ended))
      else expect(leader.ended, where).toBeUndefined()
      if (fault !== '412') expect(leader.acknowledged.length, where).toBeGreaterThanOrEqual(checkpoints - 1)
      await checkRestorable(direct, leader.acknowledged, 2)
      if (fault !== 'late') continue
      // It arrives when somebody else leads already.
      await proxy.settle()
      await checkRestorable(direct, leader.acknowledged, 3)
    }
  })

  test.each(['409', '500-after', 'lost', 'hang', 'hang-after'] as const)(
    '%s, of it and of all that follow: it ends, and the next one restores what was acknowledged, whole',
    async fault => {
      const plain = await requests()
      let acknowledged = 0
      for (let at = 0; at < plain.length; at++) {
        const { direct, faulty } = await openBoth()
        proxy.rule = call => (call.number >= at ? fault : undefined)
        const leader = new Leader(faulty, 1)
        await leader.run(checkpoints)
        acknowledged += leader.acknowledged.length
        const where = `${fault} from request ${at} on: ${plain[at]}`
        expect([undefined, 'EXTERNAL_SYSTEM', 'OUTCOME_UNKNOWN'], where).toContain(codeOf(leader.ended))
        await checkRestorable(direct, leader.acknowledged, 2)
      }
      expect(acknowledged).toBeGreaterThan(0)
    },
  )
})

function codeOf(error: unknown): unknown {
  return error instanceof FlinkError ? error.code : error
}
