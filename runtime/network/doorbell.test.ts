import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { createDoorbellBuffer, LocalHostDoorbell, SharedDoorbell, SharedHostDoorbell } from './doorbell.ts'

const SLEEPING = 1

describe('shared doorbell', () => {
  test('a ring while the host is awake changes nothing', () => {
    const buffer = createDoorbellBuffer()
    new SharedDoorbell(buffer).ring()
    expect([...new Int32Array(buffer)]).toEqual([0, 0])
  })

  test('work found at the second look takes the sleep back', () => {
    const buffer = createDoorbellBuffer()
    const host = new SharedHostDoorbell(buffer)
    expect(host.sleepUnlessRung(() => true)).toBeUndefined()
    expect(new Int32Array(buffer)[SLEEPING]).toBe(0)
    host.close()
  })

  test('a ring between the second look and the wait is not lost', () => {
    const host = new SharedHostDoorbell(createDoorbellBuffer())
    const bell = new SharedDoorbell(host.buffer)
    // The ringer comes in the worst moment: the host has looked and found nothing, and has not begun to wait.
    const sleep = host.sleepUnlessRung(() => {
      bell.ring()
      return false
    })
    expect(sleep).toBeUndefined()
    host.close()
  })

  test('a ring wakes the sleeper, and it can sleep again', async () => {
    const host = new SharedHostDoorbell(createDoorbellBuffer())
    for (let i = 0; i < 3; i++) {
      const sleep = host.sleepUnlessRung(() => false)
      expect(sleep).toBeInstanceOf(Promise)
      host.ring()
      await sleep
    }
    host.close()
  })

  test('no wake-up is lost between two threads that answer each other 5,000 times', async () => {
    // Each side publishes its number and rings; a lost wake-up leaves both asleep, and the test runs into its timeout.
    const shared = new SharedArrayBuffer(8)
    const numbers = new Int32Array(shared)
    const host = new SharedHostDoorbell(createDoorbellBuffer())
    const otherBell = createDoorbellBuffer()
    const other = new SharedDoorbell(otherBell)
    const source = `
      const { workerData } = require('node:worker_threads')
      import(workerData.module).then(async ({ SharedHostDoorbell, SharedDoorbell }) => {
        const numbers = new Int32Array(workerData.shared)
        const host = new SharedHostDoorbell(workerData.own)
        const other = new SharedDoorbell(workerData.other)
        for (let i = 1; i <= 5000; i++) {
          while (Atomics.load(numbers, 0) < i) await host.sleepUnlessRung(() => Atomics.load(numbers, 0) >= i)
          Atomics.store(numbers, 1, i)
          other.ring()
        }
        host.close()
      })`
    const worker = new Worker(source, {
      eval: true,
      workerData: { module: new URL('./doorbell.ts', import.meta.url).href, shared, own: otherBell, other: host.buffer },
    })
    const exited = new Promise<number>((resolve, reject) => {
      worker.once('exit', resolve)
      worker.once('error', reject)
    })
    for (let i = 1; i <= 5000; i++) {
      Atomics.store(numbers, 0, i)
      other.ring()
      while (Atomics.load(numbers, 1) < i) await host.sleepUnlessRung(() => Atomics.load(numbers, 1) >= i)
    }
    host.close()
    expect(await exited).toBe(0)
    expect([...numbers]).toEqual([5000, 5000])
  })
})

describe('doorbell inside one thread', () => {
  test('rings wake a sleeper, rings during the second look keep it awake, other rings are nothing', async () => {
    const host = new LocalHostDoorbell()
    host.ring()
    expect(host.sleepUnlessRung(() => true)).toBeUndefined()
    const kept = host.sleepUnlessRung(() => {
      host.ring()
      return false
    })
    expect(kept).toBeUndefined()
    const sleep = host.sleepUnlessRung(() => false)
    expect(sleep).toBeInstanceOf(Promise)
    host.ring()
    await sleep
  })
})
