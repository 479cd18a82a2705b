/**
 * Doorbells wake a sleeping host (a slot or the I/O worker). Nobody blocks: `Atomics.wait` would stop the host's event loop.
 *
 * Protocol of the shared one, two Int32 (`sequence`, `sleeping`):
 * 1. The host reads `sequence`, sets `sleeping`, then looks at all its queues once more; work found = `sleeping` is taken back.
 * 2. Whoever publishes work does so first and looks at `sleeping` afterwards. Atomics are sequentially consistent, so either the
 *    host's second look sees the work or the ringer sees `sleeping`: no wake-up is lost.
 * 3. The one ringer that takes `sleeping` from 1 to 0 advances `sequence` and notifies. A host that has not begun to wait by then
 *    finds `sequence` changed and does not wait.
 */
import { MessageChannel } from 'node:worker_threads'
import { assert } from '../common/assert.ts'
import type { Doorbell } from './frame.ts'

const SEQUENCE = 0
const SLEEPING = 1

export const DOORBELL_SIZE = 8

export function createDoorbellBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer(DOORBELL_SIZE)
}

/** What a host sleeps on; `ring` may come from anywhere. */
export interface HostDoorbell extends Doorbell {
  /**
   * undefined = there is work (`recheck` said so) or the bell rang meanwhile: do not sleep. Otherwise the promise resolves when
   * somebody rings. The host awaits it before it calls again.
   */
  sleepUnlessRung(recheck: () => boolean): Promise<void> | undefined
  close(): void
}

/** The ringers' end, from any thread. Costs one atomic load while the host is awake. */
export class SharedDoorbell implements Doorbell {
  readonly buffer: SharedArrayBuffer
  private readonly words: Int32Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
  }

  ring(): void {
    if (Atomics.load(this.words, SLEEPING) === 0) return
    if (Atomics.compareExchange(this.words, SLEEPING, 1, 0) !== 1) return
    Atomics.add(this.words, SEQUENCE, 1)
    Atomics.notify(this.words, SEQUENCE)
  }
}

/** The host's end; one per thread that sleeps. */
export class SharedHostDoorbell implements HostDoorbell {
  readonly buffer: SharedArrayBuffer
  private readonly words: Int32Array
  private readonly bell: SharedDoorbell
  // A pending waitAsync does not keep a worker alive: without a ref'd handle the thread would end in its sleep.
  private readonly keepAlive: MessageChannel

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.words = new Int32Array(buffer)
    this.bell = new SharedDoorbell(buffer)
    this.keepAlive = new MessageChannel()
    this.keepAlive.port1.on('message', () => {})
    this.keepAlive.port1.ref()
  }

  ring(): void {
    this.bell.ring()
  }

  sleepUnlessRung(recheck: () => boolean): Promise<void> | undefined {
    const { words } = this
    const sequence = Atomics.load(words, SEQUENCE)
    Atomics.store(words, SLEEPING, 1)
    if (recheck()) {
      Atomics.store(words, SLEEPING, 0)
      return undefined
    }
    const wait = Atomics.waitAsync(words, SEQUENCE, sequence)
    return wait.async ? wait.value.then(ignore) : undefined
  }

  /** A promise of a sleep that is going on stays pending: the host is ending. */
  close(): void {
    this.keepAlive.port1.close()
  }
}

/** For hosts in one thread (tests, simulation): the same contract without shared memory. `onWake` runs synchronously in `ring`. */
export class LocalHostDoorbell implements HostDoorbell {
  private wake: (() => void) | undefined = undefined

  ring(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  sleepUnlessRung(recheck: () => boolean): Promise<void> | undefined {
    assert(this.wake === undefined, 'a host sleeps once at a time')
    let rung = false
    // Set before the second look: the recheck itself may ring.
    this.wake = () => {
      rung = true
    }
    if (recheck() || rung) {
      this.wake = undefined
      return undefined
    }
    return new Promise(resolve => {
      this.wake = resolve
    })
  }

  close(): void {
    this.wake = undefined
  }
}

/** Calls `callback` for every ring: for edges inside one thread, where ringing means putting a task back into the run queue. */
export function callbackDoorbell(callback: () => void): Doorbell {
  return { ring: callback }
}

export const silentDoorbell: Doorbell = { ring: ignore }

function ignore(): void {}
