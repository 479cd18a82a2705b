import { describe, expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { Types } from '../../serde/types.ts'
import { MapStateDescriptor, ValueStateDescriptor } from '../../state/descriptors.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import type { BroadcastState, ReadOnlyBroadcastState, ValueState } from '../../state/state.ts'
import type { KeyedBroadcastContext, KeyedBroadcastProcessFunction } from '../broadcast-functions.ts'
import { type KeySpec, OutputTag, type RuntimeContext } from '../functions.ts'
import { BroadcastProcessOperator } from './broadcast-process-operator.ts'

const limits = new MapStateDescriptor('limits', Types.STRING, Types.INT)
const byName: KeySpec = { select: value => (value as string).split(' ')[0], type: Types.STRING }
type Fn = Partial<KeyedBroadcastProcessFunction<string, string, string, unknown>>

async function started(fn: Fn, key?: KeySpec, snapshot?: OperatorSnapshot): Promise<StreamOperatorHarness> {
  const whole = Object.assign(Object.create(fn), { processElement: () => {}, processBroadcastElement: () => {} }, fn)
  return new StreamOperatorHarness(new BroadcastProcessOperator(whole as never, [limits as never], key), { name: 'alerts' }).open(snapshot)
}

const setLimit: Fn = {
  processBroadcastElement(rule, context) {
    const [name, limit] = rule.split(' ') as [string, string]
    context.getBroadcastState(limits).put(name, Number(limit))
  },
}

describe('broadcast state', () => {
  test('written by the broadcast side, read by the other', async () => {
    const harness = await started({
      ...setLimit,
      processElement(name, context, out) {
        const state = context.getBroadcastState(limits)
        out.collect([name, state.contains(name), state.get(name), context.timestamp(), context.currentWatermark(), context.currentProcessingTime()])
      },
    })
    harness.clock.advanceTo(1_000)
    harness.row('a', 5)
    harness.row('a 3', 6, 1)
    harness.watermark(4)
    harness.watermark(3, 1)
    harness.row('a')
    expect(harness.values()).toEqual([
      ['a', false, null, 5, Number.NEGATIVE_INFINITY, 1_000],
      ['a', true, 3, null, 3, 1_000],
    ])
  })

  test('both sides write side outputs, with the timestamp of their row', async () => {
    const tag = new OutputTag('seen', Types.STRING)
    const harness = await started({
      processElement: (value, context) => context.output(tag, value),
      processBroadcastElement: (value, context) => context.output(tag, value),
    })
    harness.row('row', 1)
    harness.row('rule', 2, 1)
    expect(harness.rows.map(({ tag: id, value, timestamp }) => [id, value, timestamp])).toEqual([
      ['seen', 'row', 1],
      ['seen', 'rule', 2],
    ])
  })

  test('a new subtask gets the copy that all had', async () => {
    const first = await started(setLimit)
    const second = await started(setLimit)
    for (const harness of [first, second]) for (const rule of ['a 1', 'b 2', 'a 3']) harness.row(rule, 1, 1)
    const entries: unknown[] = []
    for (const part of redistribute([first.snapshot(), second.snapshot()], 3, 16)) {
      const harness = await started(
        { processElement: (_value, context) => void entries.push([...context.getBroadcastState(limits).immutableEntries()]) },
        undefined,
        part,
      )
      harness.row('any')
    }
    const all = [
      ['a', 3],
      ['b', 2],
    ]
    expect(entries).toEqual([all, all, all])
  })

  test('is read-only where rows differ from subtask to subtask', async () => {
    for (const method of ['put', 'putAll', 'remove', 'clear'] as const) {
      const harness = await started({
        processElement: (_value, context) => (context.getBroadcastState(limits) as unknown as Record<typeof method, () => void>)[method](),
      })
      expect(() => harness.row('a')).toThrow('broadcast state limits is read-only in processElement and onTimer')
    }
    let entry: readonly [string, number] | undefined
    const harness = await started({
      ...setLimit,
      processElement(_value, context) {
        entry = [...(context.getBroadcastState(limits) as ReadOnlyBroadcastState<string, number>).immutableEntries()][0]
      },
    })
    harness.row('a 1', 1, 1)
    harness.row('a')
    expect(() => ((entry as unknown as unknown[])[1] = 9)).toThrow(TypeError)
  })

  test('one that broadcast(…) was not given is refused in the words of Flink', async () => {
    const other = new MapStateDescriptor('rules', Types.STRING, Types.INT)
    const text =
      'The requested state does not exist. Check for typos in your state descriptor, or specify the state descriptor in the datastream.broadcast(...) call if you forgot to register it.'
    const harness = await started({
      processElement: (_value, context) => void context.getBroadcastState(other),
      processBroadcastElement: (_value, context) => void context.getBroadcastState(other),
    })
    expect(() => harness.row('a')).toThrow(text)
    expect(() => harness.row('a', 1, 1)).toThrow(text)
  })

  test('may be written as any map is', async () => {
    let state: BroadcastState<string, number> | undefined
    const harness = await started({
      processBroadcastElement(_value, context) {
        state = context.getBroadcastState(limits)
        state.putAll([
          ['a', 1],
          ['b', 2],
        ])
        state.remove('a')
      },
    })
    harness.row('rule', 1, 1)
    expect([...(state?.entries() ?? [])]).toEqual([['b', 2]])
    expect([...(state?.keys() ?? [])]).toEqual(['b'])
  })
})

describe('with keys', () => {
  class Counts {
    readonly limits = limits
    readonly count = new ValueStateDescriptor('count', Types.INT)
    state!: ValueState<number>
    readonly seen: unknown[] = []

    open(context: RuntimeContext): void {
      this.state = context.getState(this.count)
    }
  }

  test('keyed state and timers on the side that has keys; a descriptor among the fields is no keyed state', async () => {
    const fn = Object.assign(new Counts(), {
      processElement(this: Counts, value: string, context: { timerService(): { registerEventTimeTimer(time: number): void } }) {
        this.state.update((this.state.value() ?? 0) + value.length)
        context.timerService().registerEventTimeTimer(10)
      },
      onTimer(this: Counts, time: number, context: { getCurrentKey(): string; timeDomain(): string }, out: { collect(value: unknown): void }) {
        out.collect([context.getCurrentKey(), time, context.timeDomain(), this.state.value()])
      },
    })
    const harness = await started(fn as never, byName)
    for (const row of ['a x', 'b', 'a']) harness.row(row, 1)
    for (const input of [0, 1]) harness.watermark(20, input)
    expect(harness.values()).toEqual([
      ['a', 10, 'EVENT_TIME', 4],
      ['b', 10, 'EVENT_TIME', 1],
    ])
    expect(harness.snapshot().keyed?.schemas.map(({ name }) => name)).not.toContain('limits')
  })

  test('applyToKeyedState meets every key that has the state, once, and may change or clear it', async () => {
    const fn = Object.assign(new Counts(), {
      processElement(this: Counts, value: string) {
        if (value.startsWith('-')) this.state.clear()
        else this.state.update(value.length)
      },
      processBroadcastElement(this: Counts, _rule: string, context: KeyedBroadcastContext<string>) {
        context.applyToKeyedState(this.count, (key, state) => {
          this.seen.push([key, state.value()])
          if (key === 'b') state.clear()
          else state.update(100)
        })
      },
    })
    const harness = await started(fn as never, byName)
    for (const row of ['a', 'b x', 'c']) harness.row(row, 1)
    harness.row('rule', 1, 1)
    expect(fn.seen.splice(0).sort()).toEqual([
      ['a', 1],
      ['b', 3],
      ['c', 1],
    ])
    harness.row('rule', 1, 1)
    expect(fn.seen.sort()).toEqual([
      ['a', 100],
      ['c', 100],
    ])
  })

  test('a broadcast row has no key: neither keyed state nor timers, whatever row came before it', async () => {
    const fn = Object.assign(new Counts(), {
      processElement(this: Counts) {
        this.state.update(1)
      },
      processBroadcastElement(this: Counts) {
        this.state.value()
      },
    })
    const harness = await started(fn as never, byName)
    harness.row('a', 1)
    expect(() => harness.row('rule', 1, 1)).toThrow('no key is set; keyed state can be used only while a record of a keyed stream')
    const timers = await started(
      { processBroadcastElement: (_rule, context) => void (context as never as { timerService(): void }).timerService() },
      byName,
    )
    expect(() => timers.row('rule', 1, 1)).toThrow('processBroadcastElement has no timers')
  })
})

describe('without keys', () => {
  test('timers are refused in the words of Flink, and applyToKeyedState by name', async () => {
    const harness = await started({
      processElement: (_value, context) => context.timerService().registerEventTimeTimer(1),
      processBroadcastElement: (_value, context) => context.applyToKeyedState(new ValueStateDescriptor('count', Types.INT), () => {}),
    })
    expect(() => harness.row('a')).toThrow('Setting timers is only supported on a keyed streams.')
    expect(() => harness.row('a', 1, 1)).toThrow('applyToKeyedState: there is keyed state on a keyed stream only')
  })

  test('a function that returns a promise is refused', async () => {
    const harness = await started({ processElement: async () => {}, processBroadcastElement: async () => {} } as never)
    expect(() => harness.row('a')).toThrow('operator alerts: processElement returned a promise')
    expect(() => harness.row('a', 1, 1)).toThrow('operator alerts: processBroadcastElement returned a promise')
  })
})
