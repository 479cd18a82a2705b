import { describe, expect, test } from 'vitest'
import { FileSinkJob, type FileSinkWorld, neverStop, type StopAt, steps } from '../../../test/support/file-sink-job.ts'
import { MemoryMultipartUploads, mortalUploads } from '../../../test/support/memory-multipart-uploads.ts'
import { type Life, MemoryFiles } from '../../../test/support/memory-recoverable-writer.ts'
import { recoverableWriterContract } from '../../../test/support/recoverable-writer-contract.ts'
import { FlinkError } from '../../common/errors.ts'
import { seededRandom } from '../../common/random.ts'
import type { RollingPolicySettings } from '../../stream/operators/part-buckets.ts'
import type { PartOwner, RecoverableWriter } from './recoverable-writer.ts'
import { S3RecoverableWriter } from './s3-recoverable-writer.ts'

/** The file sink against its model: each row that the source gave before its end is there once, whatever happened on the way. */
const never = Number.MAX_SAFE_INTEGER
const policies: Readonly<Record<string, RollingPolicySettings>> = {
  'parts end at every checkpoint': { rollOnCheckpoint: true, partSizeBytes: never, rolloverIntervalMs: never, inactivityIntervalMs: never },
  'parts are open over checkpoints': { rollOnCheckpoint: false, partSizeBytes: never, rolloverIntervalMs: never, inactivityIntervalMs: never },
  'parts end by size': { rollOnCheckpoint: false, partSizeBytes: 3, rolloverIntervalMs: never, inactivityIntervalMs: never },
}
/** Parallelism of each attempt in turn. */
const plans: readonly (readonly number[])[] = [[1], [2], [1, 3, 2], [3, 1]]
const rowCount = 5
const allRows = Array.from({ length: rowCount }, (_, row) => row)

recoverableWriterContract('the memory of tests', async () => {
  const files = new MemoryFiles()
  return {
    partSizeBytes: 3,
    create: owner => files.writer(owner),
    visible: async () => files.visible(),
    hiddenCount: async () => files.hidden().length,
  }
})

/** A process that is killed: everything it asks for fails from then on, and nothing is tidied up. */
class MortalLife implements Life {
  dead = false
  private checksLeft: number

  constructor(checks = Number.POSITIVE_INFINITY) {
    this.checksLeft = checks
  }

  check(): void {
    if (this.checksLeft-- <= 0) this.dead = true
    if (this.dead) throw new FlinkError('CANCELLED', 'this process is dead')
  }
}

const endings = {
  killed: async (job: FileSinkJob, plan: readonly number[], stopAt: StopAt) => {
    const life = new MortalLife()
    const attempt = await job.attempt(plan[0] ?? 1, stopAt, life)
    life.dead = true
    await attempt?.close()
    return attempt !== undefined
  },
  'closed in order': async (job: FileSinkJob, plan: readonly number[], stopAt: StopAt) => {
    const attempt = await job.attempt(plan[0] ?? 1, stopAt)
    await attempt?.close()
    return attempt !== undefined
  },
  'still alive': async (job: FileSinkJob, plan: readonly number[], stopAt: StopAt) => {
    const attempt = await job.attempt(plan[0] ?? 1, stopAt)
    if (attempt === undefined) return false
    // The next one runs a while, and is killed as well, before the first one finds out.
    const next = await job.attempt(plan[1 % plan.length] ?? 1, (step, row) => step === 'committed' && row > 2)
    await attempt.haunt()
    await attempt.close()
    await next?.close()
    return true
  },
}

class S3World implements FileSinkWorld {
  private readonly store = new MemoryMultipartUploads()

  writer(owner: PartOwner, life: Life): RecoverableWriter {
    return new S3RecoverableWriter(mortalUploads(this.store, life), 's3://bucket', 'out', owner)
  }

  visible(): Record<string, string> {
    const objects = [...this.store.objects].filter(([key]) => key.split('/').at(-1)?.startsWith('.') !== true)
    return Object.fromEntries(objects.map(([key, bytes]) => [key, Buffer.from(bytes).toString()]))
  }

  /** Left to the bucket's rules. */
  hidden(): readonly string[] {
    return []
  }
}

const worlds: Readonly<Record<string, () => FileSinkWorld>> = { 'file://': () => new MemoryFiles(), 's3://': () => new S3World() }
const jobs = Object.keys(worlds).flatMap(store =>
  Object.keys(policies).flatMap(name => [false, true].map(late => ({ store, name, heard: late ? 'late' : 'at once', late }))),
)

describe.each(jobs)('$store, $name, completed checkpoints are heard of $heard', ({ store, name, late }) => {
  const policy = policies[name] as RollingPolicySettings
  const newJob = () => new FileSinkJob(rowCount, policy, late, (worlds[store] as () => FileSinkWorld)())
  /** Some steps of a job that hears late of its checkpoints are never reached: the first row's, and those behind a commit. */
  const stopsExpected = late ? (rowCount + 1) * (steps.length - 3) + 2 * rowCount + 1 : (rowCount + 1) * steps.length

  describe.each(Object.keys(endings) as (keyof typeof endings)[])('an attempt that is %s', how => {
    test.each(plans.map(plan => ({ plan })))(
      'at any step of any checkpoint is followed by one that makes it whole: parallelism $plan',
      async ({ plan }) => {
        let stopped = 0
        for (const step of steps)
          for (let at = 0; at <= rowCount; at++) {
            const job = newJob()
            if (await endings[how](job, plan, (which, row) => which === step && row === at)) stopped++
            expect(await job.attempt(plan.at(-1) ?? 1)).toBeUndefined()
            expect(job.rows(), `${step} ${at}`).toEqual(allRows)
            expect(job.files.hidden(), `${step} ${at}`).toEqual([])
          }
        expect(stopped).toBe(stopsExpected)
      },
    )
  })

  test.each(plans.map(plan => ({ plan })))(
    'a process that dies at any call to the files, before or after it: parallelism $plan',
    async ({ plan }) => {
      for (let checks = 0; ; checks++) {
        const job = newJob()
        const life = new MortalLife(checks)
        let died = false
        for (const [i, parallelism] of [plan[0] ?? 1, ...plan, plan.at(-1) ?? 1].entries()) {
          const attempt = await job.attempt(parallelism, neverStop, i === 0 ? life : undefined).catch(error => {
            expect(error).toMatchObject({ code: 'CANCELLED' })
            died = true
          })
          expect(attempt).toBeUndefined()
        }
        expect(job.rows(), `${checks}`).toEqual(allRows)
        expect(job.files.hidden(), `${checks}`).toEqual([])
        if (!died) {
          expect(checks).toBeGreaterThan(20)
          break
        }
      }
    },
  )

  test('many attempts, each ended anywhere in any way, at random parallelism', async () => {
    const ways = Object.keys(endings) as (keyof typeof endings)[]
    for (let seed = 0; seed < 25; seed++) {
      const random = seededRandom(seed)
      const job = newJob()
      for (let attempt = 0; attempt < 6; attempt++) {
        let left = random.nextInt(20)
        const way = ways[random.nextInt(ways.length)] as keyof typeof endings
        await endings[way](job, [1 + random.nextInt(4), 1 + random.nextInt(4)], () => left-- === 0)
      }
      await job.attempt(1 + random.nextInt(4))
      expect(job.rows(), `seed ${seed}`).toEqual(allRows)
      expect(job.files.hidden(), `seed ${seed}`).toEqual([])
    }
  })
})
