import { crc32 } from 'node:zlib'
import { expect } from 'vitest'
import { EpochLog, objectName, readManifest } from '../../runtime/checkpoint/storage/epoch-log.ts'
import { type ObjectRef, refOf } from '../../runtime/checkpoint/storage/manifest.ts'
import type { ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'

export const jobId = '0'.repeat(31).concat('1')

/** Waiting takes no time of ours. */
export function instantClock(): Clock {
  let nowMs = 0
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    schedule(delayMs, callback) {
      nowMs += delayMs
      setImmediate(callback)
      return { cancel() {} }
    },
  }
}

export function logOf(store: ObjectStore, generation: number): EpochLog {
  return new EpochLog({ store, jobId, generation, clock: instantClock(), random: seededRandom(generation * 7919 + 1), log: noLog })
}

/** A JobManager that only takes checkpoints: each one writes data of its own and needs that of the one before. */
export class Leader {
  readonly log: EpochLog
  readonly acknowledged: number[] = []
  restored: number | null | undefined = undefined
  ended: unknown
  private readonly store: ObjectStore
  private next = 1
  private last: ObjectRef[] = []

  constructor(store: ObjectStore, generation: number) {
    this.store = store
    this.log = logOf(store, generation)
  }

  async run(checkpoints: number): Promise<void> {
    try {
      await this.takeOver()
      for (let i = 0; i < checkpoints; i++) await this.checkpoint()
    } catch (error) {
      this.ended = error
    }
  }

  async takeOver(): Promise<void> {
    this.restored = await this.log.takeOver()
    this.next = (this.restored ?? 0) + 1
    this.last = this.restored === null ? [] : [...(await readManifest(this.store, jobId, this.restored)).head.objects]
  }

  async checkpoint(): Promise<void> {
    const id = this.next++
    const name = objectName(id, this.log.nonce.slice(0, 8))
    const bytes = new TextEncoder().encode(`state of ${id}`)
    // Nothing names data whose outcome is unknown.
    if (await failed(this.store.create(`${jobId}/shared/${name}`, bytes), 'EXTERNAL_SYSTEM', 'OUTCOME_UNKNOWN')) return
    const objects = [...this.last.slice(-1), refOf(name, bytes)]
    const published = this.log.publish({ checkpointId: id, timestampMs: id * 1000, objects }, new TextEncoder().encode(`body ${id}`))
    if (await failed(published, 'EXTERNAL_SYSTEM', 'CONFLICT')) return
    this.acknowledged.push(id)
    this.last = objects
    // It comes again with the next one.
    await failed(this.log.cleanUp(this.acknowledged.slice(-2)), 'EXTERNAL_SYSTEM')
  }
}

/** True when it failed in one of these ways; anything else is the end of a JobManager. */
async function failed(work: Promise<unknown>, ...codes: readonly string[]): Promise<boolean> {
  try {
    await work
    return false
  } catch (error) {
    if (error instanceof FlinkError && codes.includes(error.code)) return true
    throw error
  }
}

/** The next JobManager on what is left: it must find at least what was acknowledged, whole. */
export async function checkRestorable(store: ObjectStore, acknowledged: readonly number[], generation: number): Promise<number | null> {
  const restored = await logOf(store, generation).takeOver()
  expect(restored ?? 0, 'restored what was acknowledged, or later').toBeGreaterThanOrEqual(Math.max(0, ...acknowledged))
  if (restored === null) return null
  const { head, body } = await readManifest(store, jobId, restored)
  expect(new TextDecoder().decode(body)).toBe(`body ${restored}`)
  for (const { name, size, crc } of head.objects) {
    const bytes = await store.read(`${jobId}/shared/${name}`)
    expect(bytes?.length, `object ${name}`).toBe(size)
    expect(crc32(bytes ?? new Uint8Array())).toBe(crc)
  }
  return restored
}
