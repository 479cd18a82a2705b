/**
 * The other thread of ring-worker.test.ts: echoes what comes on one ring into another, sleeping on its doorbell whenever there is
 * nothing to do.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { TypeSerializer } from '../serde/type-information.ts'
import { SharedDoorbell, SharedHostDoorbell } from './doorbell.ts'
import type { ChannelElement } from './frame.ts'
import type { RingDescriptor } from './ring.ts'
import { RingReader, RingWriter } from './ring-channel.ts'

interface EchoData {
  readonly incoming: RingDescriptor
  readonly outgoing: RingDescriptor
  readonly ownBell: SharedArrayBuffer
  readonly otherBell: SharedArrayBuffer
}

const ints: TypeSerializer<unknown> = { write: (value, out) => out.i32(value as number), read: input => input.i32() }

const { incoming, outgoing, ownBell, otherBell } = workerData as EchoData
const host = new SharedHostDoorbell(ownBell)
const other = new SharedDoorbell(otherBell)
const reader = new RingReader(incoming, { serializer: ints, doorbell: other })
const writer = new RingWriter(outgoing, { serializer: ints, doorbell: other })

let waiting: ChannelElement | undefined
let ended = false
let sleeps = 0

function step(): boolean {
  let moved = false
  for (;;) {
    waiting ??= reader.poll()
    if (waiting === undefined) {
      writer.flush()
      return moved
    }
    if (!writer.offer(waiting)) return moved
    moved = true
    if (waiting.kind === 'end') ended = true
    waiting = undefined
  }
}

while (!ended || !writer.flush()) {
  const sleep = host.sleepUnlessRung(step)
  if (sleep === undefined) continue
  sleeps++
  await sleep
}
host.close()
parentPort?.postMessage({ sleeps })
