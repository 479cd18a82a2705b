import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type { TypeSerializer } from '../serde/type-information.ts'
import { createDoorbellBuffer, SharedDoorbell, SharedHostDoorbell } from './doorbell.ts'
import type { ChannelElement } from './frame.ts'
import { createUnpooledRing } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

const ints: TypeSerializer<unknown> = { write: (value, out) => out.i32(value as number), read: input => input.i32() }
const ROWS = 200_000

test('200,000 rows go to another thread and back, both ends asleep whenever there is nothing to do', async () => {
  const there = createUnpooledRing(2, 0, 'there')
  const back = createUnpooledRing(1, 1, 'back', true)
  const ownBell = createDoorbellBuffer()
  const otherBell = createDoorbellBuffer()
  const host = new SharedHostDoorbell(ownBell)
  const other = new SharedDoorbell(otherBell)
  const worker = new Worker(new URL('./ring-worker.fixture.ts', import.meta.url), {
    workerData: { incoming: there, outgoing: back, ownBell: otherBell, otherBell: ownBell },
  })
  const finished = new Promise<{ sleeps: number }>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  // Without an error handler of its own a dead worker would leave this test asleep until its timeout.
  worker.once('exit', () => other.ring())
  const writer = new RingWriter(there, { serializer: ints, doorbell: other })
  const reader = new RingReader(back, { serializer: ints, doorbell: other })

  let next = 0
  let endSent = false
  let received = 0
  let wrong = 0
  let ended = false
  const nextElement = (): ChannelElement => {
    // Frames of very different sizes, so that either side runs ahead at times.
    const count = Math.min(ROWS - next, 1 + ((next * 7) % 400))
    return count === 0
      ? { kind: 'end' }
      : { kind: 'object', rows: Array.from({ length: count }, (_, i) => next + i), timestamps: undefined, rowKinds: undefined }
  }
  const step = (): boolean => {
    let moved = false
    while (!endSent) {
      const element = nextElement()
      if (!writer.offer(element)) break
      moved = true
      if (element.kind === 'object') next += element.rows.length
      else endSent = true
    }
    writer.flush()
    for (let element = reader.poll(); element !== undefined; element = reader.poll()) {
      moved = true
      if (element.kind === 'object') for (const row of element.rows) if (row !== received++) wrong++
      if (element.kind === 'end') ended = true
    }
    return moved
  }
  while (!ended) await host.sleepUnlessRung(step)
  host.close()
  expect({ next, received, wrong }).toEqual({ next: ROWS, received: ROWS, wrong: 0 })
  const { sleeps } = await finished
  expect(sleeps).toBeGreaterThan(0)
})
