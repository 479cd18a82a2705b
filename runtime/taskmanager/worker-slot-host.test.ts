import { MessageChannel, Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type { SlotEvent } from './slot-host.ts'
import { WorkerSlotHost } from './worker-slot-host.ts'

/** Runs `source` as the thread of a slot; answers what its host tells up to the end. */
function eventsOf(source: string): Promise<SlotEvent[]> {
  return new Promise(resolve => {
    const events: SlotEvent[] = []
    const prelude = "const { parentPort } = require('node:worker_threads'); parentPort.on('message', () => {});"
    new WorkerSlotHost({
      worker: new Worker(prelude + source, { eval: true }),
      slotIndex: 0,
      ioPort: new MessageChannel().port1,
      onEvent: event => {
        events.push(event)
        if (event.kind === 'exited') resolve(events)
      },
      artifactPath: digest => digest,
      heapLimitMb: 64,
    })
  })
}

test('the reason that a slot gave for its end is not replaced by the end of its thread', async () => {
  const error = { name: 'FlinkError', code: 'INVALID_PROGRAM', message: 'no graph', stack: '', cause: undefined }
  const events = await eventsOf(`parentPort.postMessage({ kind: 'exited', error: ${JSON.stringify(error)} })`)
  expect(events).toMatchObject([{ kind: 'exited', error: { message: 'no graph' } }])
})

test('a program that calls process.exit is told so', async () => {
  expect(await eventsOf('process.exit(3)')).toMatchObject([
    { kind: 'exited', error: { code: 'USER_FUNCTION', message: 'the program called process.exit (code 3), which ends the thread of its slot' } },
  ])
})
