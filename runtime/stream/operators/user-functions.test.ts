import { describe, expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../../test/support/stream-operator-harness.ts'
import { redistribute } from '../../checkpoint/redistribute.ts'
import { Types } from '../../serde/types.ts'
import { ListStateDescriptor, ValueStateDescriptor } from '../../state/descriptors.ts'
import type { OperatorSnapshot } from '../../state/snapshot.ts'
import type { ListState, ValueState } from '../../state/state.ts'
import { TumblingEventTimeWindows } from '../../time/windows.ts'
import type { FunctionInitializationContext, FunctionSnapshotContext } from '../checkpointed-function.ts'
import type { Collector, KeySpec, RuntimeContext } from '../functions.ts'
import type { StreamOperator } from '../operator.ts'
import { CoFlatMapOperator } from './co-flat-map-operator.ts'
import { CoMapOperator } from './co-map-operator.ts'
import { CoProcessOperator } from './co-process-operator.ts'
import { FilterOperator } from './filter-operator.ts'
import { FlatMapOperator } from './flat-map-operator.ts'
import { FunctionSourceOperator } from './function-source-operator.ts'
import { KeyedProcessOperator } from './keyed-process-operator.ts'
import { MapOperator } from './map-operator.ts'
import { ProcessOperator } from './process-operator.ts'
import { ReduceOperator } from './reduce-operator.ts'
import { SinkFunctionOperator } from './sink-function-operator.ts'
import type { SourceHeadOperator } from './source-operator.ts'
import { WindowOperator } from './window-operator.ts'

const byItself: KeySpec = { select: value => value, type: Types.INT }

/** Says what is called, in order; `row` stands for the function's own method. */
class Recorder {
  readonly calls: string[] = []

  initializeState(context: FunctionInitializationContext): void {
    this.calls.push(`initializeState restored=${context.isRestored()}`)
  }

  open(_context: RuntimeContext): void {
    this.calls.push('open')
  }

  snapshotState(context: FunctionSnapshotContext): void {
    this.calls.push(`snapshotState ${context.getCheckpointId()} at ${context.getCheckpointTimestamp()}`)
  }

  notifyCheckpointComplete(checkpointId: number): void {
    this.calls.push(`complete ${checkpointId}`)
  }

  notifyCheckpointAborted(checkpointId: number): void {
    this.calls.push(`aborted ${checkpointId}`)
  }

  close(): void {
    this.calls.push('close')
  }

  private row<T>(result: T): T {
    this.calls.push('row')
    return result
  }

  map = (value: number) => this.row(value)
  map1 = this.map
  map2 = this.map
  filter = () => this.row(true)
  flatMap = () => this.row(undefined)
  flatMap1 = this.flatMap
  flatMap2 = this.flatMap
  processElement = () => this.row(undefined)
  processElement1 = this.processElement
  processElement2 = this.processElement
  reduce = (a: number) => this.row(a)
  process = () => this.row(undefined)
  invoke = () => this.row(undefined)
  run = () => this.row(undefined)
  cancel = () => {}
}

const operators: Readonly<Record<string, (fn: Recorder) => StreamOperator>> = {
  map: fn => new MapOperator(fn),
  'map of a keyed stream': fn => new MapOperator(fn, byItself),
  filter: fn => new FilterOperator(fn),
  flatMap: fn => new FlatMapOperator(fn),
  process: fn => new ProcessOperator(fn),
  'keyed process': fn => new KeyedProcessOperator(byItself, fn),
  reduce: fn => new ReduceOperator(byItself, fn, Types.INT as never, { finalOnly: false }),
  'co-map': fn => new CoMapOperator(fn),
  'co-flatMap': fn => new CoFlatMapOperator(fn),
  'co-process': fn => new CoProcessOperator(fn),
  'window with reduce': fn =>
    new WindowOperator({
      key: byItself,
      assigner: TumblingEventTimeWindows.of(10),
      function: { reduce: fn as never },
      valueType: Types.INT as never,
    }),
  sink: fn => new SinkFunctionOperator(fn as never),
  source: fn => new FunctionSourceOperator(fn as never),
}

describe('a function takes part in checkpoints, in this order', () => {
  test.each(Object.keys(operators))('%s', async kind => {
    const fn = new Recorder()
    const harness = new StreamOperatorHarness((operators[kind] as (typeof operators)['map'])(fn))
    await harness.open()
    harness.clock.advanceTo(500)
    const give = () => {
      if (kind === 'source') (harness.operator as SourceHeadOperator).pollSource(() => false)
      else for (let row = 0; row < (kind.includes('reduce') ? 2 : 1); row++) harness.row(1, 1)
    }
    give()
    const snapshot = harness.snapshot(7)
    harness.completed(7)
    harness.aborted(8)
    await harness.close()
    expect(fn.calls).toEqual(['initializeState restored=false', 'open', 'row', 'snapshotState 7 at 500', 'complete 7', 'aborted 8', 'close'])

    const again = new Recorder()
    const restored = await new StreamOperatorHarness((operators[kind] as (typeof operators)['map'])(again)).open(snapshot)
    await restored.close()
    expect(again.calls).toEqual(['initializeState restored=true', 'open', 'close'])
  })

  test('all functions of one operator are initialized before the first is opened', async () => {
    const [reduce, process] = [new Recorder(), new Recorder()]
    Object.assign(process, { calls: reduce.calls })
    const operator = new WindowOperator({
      key: byItself,
      assigner: TumblingEventTimeWindows.of(10),
      function: { reduce: reduce as never },
      processWindow: process as never,
      valueType: Types.INT as never,
    })
    await new StreamOperatorHarness(operator).open()
    expect(reduce.calls).toEqual(['initializeState restored=false', 'initializeState restored=false', 'open', 'open'])
  })

  test('one that waits in initializeState is not opened before', async () => {
    const calls: string[] = []
    const operator = new MapOperator({
      map: value => value,
      async initializeState() {
        await new Promise(resolve => setImmediate(resolve))
        calls.push('initialized')
      },
      open: () => void calls.push('open'),
    })
    await new StreamOperatorHarness(operator).open()
    expect(calls).toEqual(['initialized', 'open'])
  })

  test('where initializeState fails, what has begun is closed', async () => {
    const fn = new Recorder()
    fn.initializeState = () => {
      throw new Error('no such table')
    }
    const harness = new StreamOperatorHarness(new MapOperator(fn), { name: 'rates' })
    await expect(harness.open()).rejects.toMatchObject({ code: 'USER_FUNCTION', message: 'operator rates: no such table' })
    await harness.close()
    expect(fn.calls).toEqual(['close'])
  })
})

/** Keeps rows until it has three, as Flink's BufferingSink. */
class Buffering {
  readonly buffered = new ListStateDescriptor('buffered', Types.INT)
  readonly all = new ListStateDescriptor('largest', Types.INT)
  private rows: number[] = []
  largest = 0
  private state!: ListState<number>
  private union!: ListState<number>

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.buffered)
    this.union = context.getOperatorStateStore().getUnionListState(this.all)
    this.rows = [...this.state.get()]
    this.largest = Math.max(0, ...this.union.get())
  }

  flatMap(value: number, out: Collector<number>): void {
    this.rows.push(value)
    this.largest = Math.max(this.largest, value)
    if (this.rows.length < 3) return
    for (const row of this.rows) out.collect(row)
    this.rows = []
  }

  snapshotState(): void {
    this.state.update(this.rows)
    this.union.update([this.largest])
  }
}

describe('operator state of functions', () => {
  test('a list is dealt out anew, a union list goes to everybody', async () => {
    const start = (snapshot?: OperatorSnapshot) => {
      const fn = new Buffering()
      return { fn, opened: new StreamOperatorHarness(new FlatMapOperator(fn)).open(snapshot) }
    }
    const first = await start().opened
    const second = await start().opened
    for (const row of [1, 2]) first.row(row)
    for (const row of [7, 8]) second.row(row)
    const three = redistribute([first.snapshot(), second.snapshot()], 3, 16).map(start)
    const subtasks = await Promise.all(three.map(({ opened }) => opened))
    expect(three.map(({ fn }) => fn.largest)).toEqual([8, 8, 8])
    // Rows that complete what each had: 2 + 1 + 1 were there.
    for (const subtask of subtasks) for (const row of [20, 21]) subtask.row(row)
    expect(subtasks.map(subtask => subtask.values())).toEqual([
      [1, 8, 20],
      [2, 20, 21],
      [7, 20, 21],
    ])
  })

  test('state that a function asks for no more is not dropped silently, unless it is empty', async () => {
    const harness = await new StreamOperatorHarness(new FlatMapOperator(new Buffering())).open()
    const empty = harness.snapshot()
    harness.row(1)
    const filled = harness.snapshot()
    const restore = (snapshot: OperatorSnapshot) => new StreamOperatorHarness(new FlatMapOperator({ flatMap() {} }), { name: 'rows' }).open(snapshot)
    await expect(restore(filled)).rejects.toThrow(
      'operator rows: the snapshot has the operator state buffered (split), which is not declared any more',
    )
    // The union list holds a number even then.
    await expect(restore(empty)).rejects.toThrow('operator state largest (union)')
    const { lists } = empty
    await expect(restore({ keyed: undefined, lists: lists.filter(({ name }) => name === 'buffered') })).resolves.toBeDefined()
  })

  test('keyed state is to be had in initializeState, and read once a key is set', async () => {
    const count = new ValueStateDescriptor('count', Types.INT)
    let state: ValueState<number> | undefined
    let early: unknown
    const fn = {
      count,
      initializeState(context: FunctionInitializationContext) {
        state = context.getKeyedStateStore().getState(count)
        try {
          state.value()
        } catch (error) {
          early = error
        }
      },
      map: () => {
        state?.update((state.value() ?? 0) + 1)
        return state?.value()
      },
    }
    const harness = await new StreamOperatorHarness(new MapOperator(fn, byItself)).open()
    for (const row of [1, 2, 1]) harness.row(row)
    expect(harness.values()).toEqual([1, 1, 2])
    expect(early).toMatchObject({ code: 'INVALID_PROGRAM', message: expect.stringContaining('no key is set') })
  })

  test('there is none without keys', async () => {
    const fn = {
      initializeState: (context: FunctionInitializationContext) =>
        void context.getKeyedStateStore().getState(new ValueStateDescriptor('count', Types.INT)),
      map: (value: unknown) => value,
    }
    await expect(new StreamOperatorHarness(new MapOperator(fn)).open()).rejects.toThrow("Keyed state can only be used on a 'keyed stream'")
  })
})

describe('what is asynchronous', () => {
  test('snapshotState must not be', async () => {
    const fn = { map: (value: unknown) => value, snapshotState: async () => {} }
    const harness = await new StreamOperatorHarness(new MapOperator(fn as never), { name: 'rates' }).open()
    expect(() => harness.snapshot()).toThrow('operator rates: snapshotState returned a promise')
  })

  test('a notification may be: the end waits for it, a rejection fails the task', async () => {
    const answers: PromiseWithResolvers<void>[] = []
    const fn = {
      invoke() {},
      notifyCheckpointComplete() {
        const answer = Promise.withResolvers<void>()
        answers.push(answer)
        return answer.promise
      },
    }
    const harness = await new StreamOperatorHarness(new SinkFunctionOperator(fn as never), { name: 'out' }).open()
    expect(harness.operator.commitsOnCheckpoint).toBe(true)
    harness.completed(1)
    harness.completed(2)
    answers[0]?.resolve()
    await new Promise(resolve => setImmediate(resolve))
    expect(harness.operator.commitsDone?.()).toBe(false)
    expect(harness.failure).toBeUndefined()
    answers[1]?.reject(new Error('the table is locked'))
    await new Promise(resolve => setImmediate(resolve))
    expect(harness.operator.commitsDone?.()).toBe(true)
    expect(harness.failure).toMatchObject({ code: 'USER_FUNCTION', message: 'operator out: the table is locked' })
  })

  test('without a listener nobody waits for a last checkpoint', () => {
    expect(new SinkFunctionOperator({ invoke() {} } as never).commitsOnCheckpoint).toBe(false)
  })
})

describe('an own source and the rows that it has collected', () => {
  class Counting {
    readonly next = new ListStateDescriptor('next', Types.INT)
    private position = 0
    private state!: ListState<number>

    initializeState(context: FunctionInitializationContext): void {
      this.state = context.getOperatorStateStore().getListState(this.next)
      for (const position of this.state.get()) this.position = position
    }

    async run(context: { collect(value: number): void | Promise<void> }): Promise<void> {
      while (this.position < 50) {
        const room = context.collect(this.position)
        this.position++
        await room
      }
    }

    cancel(): void {}

    snapshotState(): void {
      this.state.update([this.position])
    }
  }

  test.each([1, 3, 16])('a barrier at any time, up to %i rows in the buffer: none is lost and none doubled', async bufferHighMark => {
    const rows: unknown[] = []
    let snapshot: OperatorSnapshot | undefined
    let restores = 0
    for (; rows.length < 50; restores++) {
      const harness = await new StreamOperatorHarness(new FunctionSourceOperator(new Counting() as never, { bufferHighMark })).open(snapshot)
      const source = harness.operator as SourceHeadOperator
      // Some rows are taken, others lie in the buffer, and run waits in collect or has gone on meanwhile.
      for (let taken = 0; taken <= restores % 3; taken++) {
        const before = harness.rows.length
        source.pollSource(() => harness.rows.length > before)
        if (restores % 2 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      snapshot = harness.snapshot()
      rows.push(...harness.values())
      // Of what comes behind the barrier nobody hears.
      source.pollSource(() => false)
      await harness.close()
    }
    expect(rows).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(restores).toBeGreaterThan(2)
  })

  test('while the barrier waits for somebody behind it, the producer waits too', async () => {
    let collected = 0
    const fn = {
      async run(context: { collect(value: number): void | Promise<void> }) {
        for (;;) await context.collect(collected++)
      },
      cancel() {},
    }
    const harness = await new StreamOperatorHarness(new FunctionSourceOperator(fn as never, { bufferHighMark: 10 })).open()
    const source = harness.operator as SourceHeadOperator
    source.pollSource(() => false)
    for (let turn = 0; turn < 20; turn++) {
      expect(source.prepareSnapshotPreBarrier?.()).toBe(true)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(collected).toBeLessThan(40)
    source.pollSource(() => false)
    await new Promise(resolve => setImmediate(resolve))
    const before = collected
    source.pollSource(() => false)
    await new Promise(resolve => setImmediate(resolve))
    expect(collected, 'behind the barrier it goes on').toBeGreaterThan(before)
    await harness.close()
  })
})
