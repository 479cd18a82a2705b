import { describe, expect, test } from 'vitest'
import { ConnectorHarness } from '../../../test/support/connector-harness.ts'
import { SimulatedClock } from '../../../test/support/simulated-clock.ts'
import type { SinkContext, SinkFunction } from '../functions.ts'
import { SinkFunctionOperator, type SinkFunctionOptions } from './sink-function-operator.ts'

function harness(fn: SinkFunction<unknown>, options: SinkFunctionOptions & { clock?: SimulatedClock } = {}): ConnectorHarness {
  return new ConnectorHarness(
    new SinkFunctionOperator(fn as SinkFunction<never>, options),
    options.clock === undefined ? {} : { clock: options.clock },
  )
}

const turn = () => new Promise(resolve => setImmediate(resolve))

/** Invocations that a test settles by hand. */
class Calls {
  readonly pending: { readonly value: unknown; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []
  most = 0
  readonly invoke = (value: unknown): Promise<void> =>
    new Promise((resolve, reject) => {
      this.pending.push({ value, resolve, reject })
      this.most = Math.max(this.most, this.pending.length)
    })
  settle(): void {
    this.pending.shift()?.resolve()
  }
}

describe('own sink', () => {
  test('the context tells timestamp, watermark and processing time', async () => {
    const seen: unknown[] = []
    const sink = harness(
      {
        invoke: (value, context: SinkContext) =>
          void seen.push([value, context.timestamp(), context.currentWatermark(), context.currentProcessingTime()]),
      },
      { clock: new SimulatedClock(77) },
    )
    await sink.open()
    sink.operator.processElement('a', 5)
    sink.operator.processWatermark(3, 0)
    sink.operator.processElement('b', Number.NaN)
    expect(seen).toEqual([
      ['a', 5, Number.NEGATIVE_INFINITY, 77],
      ['b', null, 3, 77],
    ])
    await sink.close()
  })

  test('an asynchronous call keeps the context it was given', async () => {
    const seen: unknown[] = []
    const sink = harness({
      async invoke(value, context) {
        await turn()
        seen.push([value, context.timestamp()])
      },
    })
    await sink.open()
    for (const i of [1, 2, 3]) sink.operator.processElement(i, i * 10)
    await sink.until(() => sink.operator.endInput(0))
    expect(seen).toEqual([
      [1, 10],
      [2, 20],
      [3, 30],
    ])
    await sink.close()
  })

  test('at the bound in flight it blocks, keeps what one record still sends in order, and unblocks', async () => {
    const calls = new Calls()
    const sink = harness({ invoke: calls.invoke }, { inFlightMax: 3 })
    await sink.open()
    const started: unknown[] = []
    for (let i = 0; i < 10; i++) sink.operator.processElement(i, Number.NaN)
    expect(sink.blockers).toBe(1)
    expect(calls.pending.length).toBe(3)
    for (let i = 0; i < 10; i++) {
      started.push(calls.pending[0]?.value)
      calls.settle()
      await turn()
    }
    expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(calls.most).toBe(3)
    expect(sink.blockers).toBe(0)
    await sink.close()
  })

  test('the input ends, and a barrier passes, only when every call has settled', async () => {
    const calls = new Calls()
    const sink = harness({ invoke: calls.invoke })
    await sink.open()
    sink.operator.processElement('x', Number.NaN)
    expect(sink.operator.prepareSnapshotPreBarrier?.()).toBe(false)
    expect(sink.operator.endInput(0)).toBe(false)
    const ended = sink.until(() => sink.operator.endInput(0))
    calls.settle()
    await ended
    expect(sink.operator.prepareSnapshotPreBarrier?.()).toBe(true)
    await sink.close()
  })

  test('a rejected promise and a throw fail the task, and close still runs', async () => {
    let closed = 0
    const close = () => void closed++
    const rejecting = harness({ invoke: () => Promise.reject(new Error('no connection')), close })
    await rejecting.open()
    rejecting.operator.processElement('x', Number.NaN)
    await turn()
    expect(rejecting.failure).toMatchObject({ code: 'USER_FUNCTION', message: expect.stringContaining('no connection') })
    await rejecting.close()
    const throwing = harness({
      invoke() {
        throw new Error('bad row')
      },
      close,
    })
    await throwing.open()
    expect(() => throwing.operator.processElement('x', Number.NaN)).toThrow(/bad row/)
    await throwing.close()
    expect(closed).toBe(2)
  })

  test('close waits for calls in flight until a deadline and runs once', async () => {
    let closed = 0
    const clock = new SimulatedClock()
    const sink = harness({ invoke: () => new Promise(() => {}), close: () => void closed++ }, { clock, closeTimeoutMs: 100 })
    await sink.open()
    sink.operator.processElement('x', Number.NaN)
    const closing = sink.close()
    await turn()
    expect(closed).toBe(0)
    clock.advanceBy(100)
    await closing
    await sink.operator.close()
    expect(closed).toBe(1)
  })
})
