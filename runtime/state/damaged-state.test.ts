import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StreamOperatorHarness } from '../../test/support/stream-operator-harness.ts'
import { FlinkError } from '../common/errors.ts'
import { Types } from '../serde/types.ts'
import type { FunctionInitializationContext } from '../stream/checkpointed-function.ts'
import type { KeyedProcessContext, RuntimeContext } from '../stream/functions.ts'
import { KeyedProcessOperator } from '../stream/operators/keyed-process-operator.ts'
import { ListStateDescriptor, MapStateDescriptor, ReducingStateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import type { OperatorSnapshot } from './snapshot.ts'
import type { ListState } from './state.ts'
import { StateTtlConfig } from './ttl-config.ts'

/**
 * State whose checksums are right and whose bytes are not: a savepoint that somebody has made up. It is an error that says so, or state of some kind; never
 * an endless loop, or memory for lengths that are only claimed.
 */
type Row = readonly [string, number]

const ttl = new ValueStateDescriptor('ttl', Types.STRING)
ttl.enableTimeToLive(StateTtlConfig.newBuilder('1 h').build())

class EveryKind {
  readonly generic = new ValueStateDescriptor('generic', Types.GENERIC)
  readonly ttl = ttl
  readonly list = new ListStateDescriptor('list', Types.STRING)
  readonly map = new MapStateDescriptor('map', Types.STRING, Types.row({ a: Types.LONG, b: Types.tuple(Types.DOUBLE, Types.BOOLEAN) as never }))
  readonly reducing = new ReducingStateDescriptor('reducing', (a: number, b: number) => a + b, Types.INT)
  private readonly seen = new ListStateDescriptor('seen', Types.GENERIC)
  private readonly rules = new MapStateDescriptor('rules', Types.STRING, Types.STRING)
  private context!: RuntimeContext
  private lists!: ListState<unknown>

  initializeState(context: FunctionInitializationContext): void {
    this.lists = context.getOperatorStateStore().getUnionListState(this.seen as never)
    context.getOperatorStateStore().getBroadcastState(this.rules).put('first', 'rule')
  }

  open(context: RuntimeContext): void {
    this.context = context
  }

  processElement([key, n]: Row, context: KeyedProcessContext<string>): void {
    const states = this.context
    states.getState(this.generic).update({ n, text: key.repeat(3), list: [1n, null, new Map([[key, new Date(n)]]), new Uint8Array(3)] })
    states.getState(this.ttl).update(key)
    states.getListState(this.list).add(`element ${n}`)
    states.getMapState(this.map).put(key, { a: BigInt(n), b: [n / 3, true] } as never)
    states.getReducingState(this.reducing).add(n)
    context.timerService().registerEventTimeTimer(n * 1_000)
    context.timerService().registerProcessingTimeTimer(n * 1_000)
    this.lists.add({ key, n })
  }

  onTimer(): void {}
}

const harness = () =>
  new StreamOperatorHarness(new KeyedProcessOperator({ select: (row: Row) => row[0], type: Types.STRING } as never, new EveryKind() as never), {
    name: 'damaged',
  })

/** What is done to the bytes at a place between 0 and 1. */
const damages: Readonly<Record<string, (bytes: Uint8Array, at: number, byte: number) => Uint8Array>> = {
  changed: (bytes, at, byte) => bytes.with(at, byte),
  'cut short': (bytes, at) => bytes.slice(0, at),
  'made longer': (bytes, at, byte) => Uint8Array.of(...bytes.subarray(0, at), byte, ...bytes.subarray(at)),
  'with a length that nothing has': (bytes, at) =>
    Uint8Array.of(...bytes.subarray(0, at), 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, ...bytes.subarray(at + 1)),
}

test.each(Object.keys(damages))('state that is %s is refused by name or read, whatever lengths it claims', async how => {
  const whole = await harness().open()
  for (let n = 0; n < 20; n++) whole.row([`key ${n % 5}`, n] satisfies Row, n)
  const snapshot = whole.snapshot()
  await whole.close()
  let refused = 0
  const damage = damages[how] as (typeof damages)[string]
  const restored = async (damaged: OperatorSnapshot) => {
    try {
      await (await harness().open(damaged)).close()
    } catch (error) {
      refused++
      if (!(error instanceof FlinkError)) throw error
      expect(error.code).toMatch(/^CORRUPT_/)
    }
  }
  await restored(snapshot)
  expect(refused).toBe(0)
  const runs = 1_000
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.double({ min: 0, max: 0.999_999, noNaN: true }), fc.nat({ max: 255 }), (which, at, byte) => {
      const hit = (bytes: Uint8Array) => damage(bytes, Math.floor(bytes.length * at), byte)
      const { keyed, lists } = snapshot
      const groups = [...(keyed?.keyGroups ?? [])]
      const place = which % (groups.length + lists.length)
      const damaged: OperatorSnapshot = {
        keyed: keyed && { ...keyed, keyGroups: new Map(groups.map(([group, segments], i) => [group, i === place ? segments.map(hit) : segments])) },
        lists: lists.map((list, i) => (groups.length + i === place ? { ...list, items: list.items.map(hit) } : list)),
      }
      return restored(damaged)
    }),
    { numRuns: runs },
  )
  expect(refused).toBeGreaterThan(runs / 20)
})
