import { assert } from '../common/assert.ts'
import { type Random, seededRandom } from '../common/random.ts'
import { Types } from '../serde/types.ts'
import {
  AggregatingStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueStateDescriptor,
} from '../state/descriptors.ts'
import { KeyedStateBackend } from '../state/keyed-state-backend.ts'
import type { OwnStateBackend, StateStore } from '../state/own-backend.ts'
import type { KeyedIncrement, KeyedSnapshot } from '../state/snapshot.ts'

/**
 * What a state backend of somebody's own must do, as tests for any runner:
 *
 *   for (const { title, run } of stateBackendContract(backend)) test(title, run)
 *
 * First what `StateStore` says, then jobs' use of it: every kind of state against a plain model, over snapshots and restores. What the backend says that it
 * cannot do is not asked of it.
 */
export interface ContractTest {
  readonly title: string
  /** Throws when it does not hold. */
  run(): void
}

export function stateBackendContract(backend: OwnStateBackend): readonly ContractTest[] {
  const { snapshots, incremental } = backend.can
  const tests: readonly (ContractTest & { readonly needs?: boolean })[] = [
    { title: 'a row is what was put last, of its state and key alone', run: () => withStore(backend, putsAndGets) },
    { title: 'a row that was removed is gone, and removing one that is not there is nothing', run: () => withStore(backend, removes) },
    { title: 'keys and rows are any bytes: none, zeros, many', run: () => withStore(backend, anyBytes) },
    {
      title: 'stores of different subtasks have nothing in common',
      run: () => withStore(backend, first => withStore(backend, second => apart(first, second))),
    },
    { title: 'rows are those of a state, each once', needs: snapshots, run: () => withStore(backend, listsRows) },
    { title: 'an iteration goes on while rows come and go', needs: incremental, run: () => withStore(backend, iteratesOn) },
    { title: 'every kind of state reads what a model says', run: () => readsTheModel(backend) },
    { title: 'a snapshot has all state, and none that was cleared', needs: snapshots, run: () => restores(backend, undefined) },
    {
      title: 'increments and bases, some of which were given up, have all state',
      needs: snapshots && incremental,
      run: () => restores(backend, smallLimits),
    },
  ]
  return tests.filter(({ needs }) => needs !== false)
}

/** Everything that happens to large states happens to a few rows. */
const smallLimits = { wholeBytesMax: 0, wholeShare: 1.5, baseShare: 0.5, segmentsMax: 4, baseRate: 1, pieceBytes: 40 }

function withStore(backend: OwnStateBackend, run: (store: StateStore) => void): void {
  const store = backend.createStore({ operatorName: 'contract', subtaskIndex: 0, parallelism: 1 })
  try {
    run(store)
  } finally {
    store.close()
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (row: Uint8Array | undefined) => (row === undefined ? undefined : new TextDecoder().decode(row))

function holds(found: unknown, expected: unknown, what: string): void {
  const [left, right] = [shown(found), shown(expected)]
  assert(left === right, `${what}: expected ${right}, found ${left}`)
}

const shown = (value: unknown) => JSON.stringify(value, (_key, part) => (part === undefined ? 'nothing' : part))

function putsAndGets(store: StateStore): void {
  holds(text(store.get(0, bytes('a'))), undefined, 'a key without a row')
  store.put(0, bytes('a'), bytes('1'))
  store.put(0, bytes('a'), bytes('2'))
  store.put(0, bytes('b'), bytes('3'))
  store.put(1, bytes('a'), bytes('4'))
  holds(text(store.get(0, bytes('a'))), '2', 'a row that was put twice')
  holds(text(store.get(0, bytes('b'))), '3', 'a row of another key')
  holds(text(store.get(1, bytes('a'))), '4', 'a row of another state')
  holds(text(store.get(1, bytes('b'))), undefined, 'a key that another state has')
}

function removes(store: StateStore): void {
  store.remove(0, bytes('a'))
  store.put(0, bytes('a'), bytes('1'))
  store.put(1, bytes('a'), bytes('2'))
  store.remove(0, bytes('a'))
  holds(text(store.get(0, bytes('a'))), undefined, 'a row that was removed')
  holds(text(store.get(1, bytes('a'))), '2', 'the row that the key has in another state')
  store.put(0, bytes('a'), bytes('3'))
  holds(text(store.get(0, bytes('a'))), '3', 'a row that has come back')
}

function anyBytes(store: StateStore): void {
  const large = new Uint8Array(1 << 20).map((_, i) => i * 31)
  const keys = [new Uint8Array(), Uint8Array.of(0), Uint8Array.of(0, 0), Uint8Array.of(255, 0), large.subarray(0, 10_000)]
  for (const [i, key] of keys.entries()) store.put(0, key, i === 0 ? new Uint8Array() : Uint8Array.of(i, 0, 255))
  store.put(0, bytes('large'), large)
  for (const [i, key] of keys.entries())
    holds([...(store.get(0, key) ?? [-1])], i === 0 ? [] : [i, 0, 255], `the row of a key of ${key.length} bytes`)
  const found = store.get(0, bytes('large'))
  assert(found !== undefined && found.length === large.length && found.every((byte, i) => byte === large[i]), 'a row of a megabyte is whole')
}

function apart(first: StateStore, second: StateStore): void {
  first.put(0, bytes('a'), bytes('1'))
  holds(text(second.get(0, bytes('a'))), undefined, 'a row of another store')
}

function listsRows(store: StateStore): void {
  for (let i = 0; i < 100; i++) store.put(i % 2, bytes(`key ${i}`), bytes(`row ${i}`))
  for (let i = 0; i < 100; i += 4) store.remove(0, bytes(`key ${i}`))
  for (let i = 2; i < 100; i += 4) store.put(0, bytes(`key ${i}`), bytes(`new ${i}`))
  const expected = Array.from({ length: 25 }, (_, i) => `new ${4 * i + 2}`).sort()
  holds([...store.rows(0)].map(text).sort(), expected, 'the rows of a state')
  holds([...store.rows(2)], [], 'the rows of a state that has none')
}

function iteratesOn(store: StateStore): void {
  for (let i = 0; i < 100; i++) store.put(0, bytes(`key ${i}`), bytes(`row ${i}`))
  const met: (string | undefined)[] = []
  let turn = 0
  for (const row of store.rows(0)) {
    met.push(text(row))
    store.remove(0, bytes(`key ${turn}`))
    store.put(0, bytes(`later ${turn}`), bytes('later'))
    if (++turn === 50) break
  }
  for (const row of store.rows(0)) met.push(text(row))
  for (let i = 50; i < 100; i++) assert(met.includes(`row ${i}`), `row ${i}, which was there all the time, is met`)
  const once = new Set<string | undefined>()
  for (const row of store.rows(0)) {
    const name = text(row)
    if (name === 'later') continue
    assert(!once.has(name), `${name} is met once`)
    once.add(name)
    store.put(0, bytes(`still later ${once.size}`), bytes('later'))
    if (once.size > 1_000) break
  }
}

const value = new ValueStateDescriptor('value', Types.INT)
const list = new ListStateDescriptor('list', Types.STRING)
const map = new MapStateDescriptor('map', Types.STRING, Types.INT)
const reducing = new ReducingStateDescriptor<number>('reducing', (a, b) => a + b, Types.INT)
const aggregating = new AggregatingStateDescriptor<number, number, string>(
  'aggregating',
  { createAccumulator: () => 0, add: (added, sum) => sum + added, getResult: sum => `sum ${sum}` },
  Types.INT,
)
const ofWindow = new ValueStateDescriptor('of a window', Types.INT)
const descriptors = [value, list, map, reducing, aggregating]
const MAX_PARALLELISM = 16

/** What one key has. */
interface Model {
  value: number | null
  list: string[]
  map: Map<string, number>
  sum: number | null
  windows: Map<number, number>
}

/** A backend of the engine over the store, and next to it what it should have. */
class Bench {
  readonly model = new Map<string, Model>()
  private readonly keyed: KeyedStateBackend
  private readonly window: ReturnType<KeyedStateBackend['register']>

  constructor(backend: OwnStateBackend, limits: typeof smallLimits | undefined, restored?: KeyedSnapshot) {
    this.keyed = new KeyedStateBackend({
      owner: 'contract',
      keyType: Types.STRING,
      maxParallelism: MAX_PARALLELISM,
      limits,
      own: { backend, store: backend.createStore({ operatorName: 'contract', subtaskIndex: 0, parallelism: 1 }) },
    })
    for (const descriptor of descriptors) this.keyed.register(descriptor as never)
    this.window = this.keyed.register(ofWindow as never, Types.SAFE_LONG as never)
    if (restored !== undefined) this.keyed.snapshots.restore(restored)
  }

  get snapshots(): KeyedStateBackend['snapshots'] {
    return this.keyed.snapshots
  }

  step(random: Random): void {
    const key = `key ${random.nextInt(8)}`
    const n = random.nextInt(100)
    const { keyed } = this
    const model: Model = this.model.get(key) ?? { value: null, list: [], map: new Map(), sum: null, windows: new Map() }
    this.model.set(key, model)
    keyed.setCurrentKey(key)
    switch (random.nextInt(10)) {
      case 0:
        model.value = n
        keyed.getState(value).update(n)
        return
      case 1:
        keyed.getState(value).clear()
        model.value = null
        return
      case 2:
        keyed.getListState(list).add(`${n}`)
        model.list.push(`${n}`)
        return
      case 3:
        model.list = n % 2 === 0 ? [] : [`${n}`, '']
        keyed.getListState(list).update(model.list)
        return
      case 4:
        keyed.getMapState(map).put(`${n % 5}`, n)
        model.map.set(`${n % 5}`, n)
        return
      case 5:
        keyed.getMapState(map).remove(`${n % 5}`)
        model.map.delete(`${n % 5}`)
        return
      case 6:
        keyed.getReducingState(reducing).add(n)
        keyed.getAggregatingState(aggregating).add(n)
        model.sum = (model.sum ?? 0) + n
        return
      case 7:
        keyed.getReducingState(reducing).clear()
        keyed.getAggregatingState(aggregating).clear()
        model.sum = null
        return
      case 8:
        this.window.setNamespace(n % 3)
        this.window.write(n)
        model.windows.set(n % 3, n)
        return
      default:
        this.window.setNamespace(n % 3)
        this.window.clear()
        model.windows.delete(n % 3)
    }
  }

  check(when: string): void {
    for (const [key, expected] of this.model) {
      this.keyed.setCurrentKey(key)
      const windows: number[][] = []
      for (const each of [0, 1, 2]) {
        this.window.setNamespace(each)
        const found = this.window.read() as number | undefined
        if (found !== undefined) windows.push([each, found])
      }
      holds(
        {
          value: this.keyed.getState(value).value(),
          list: [...this.keyed.getListState(list).get()],
          map: [...this.keyed.getMapState(map).entries()].sort(),
          sums: [this.keyed.getReducingState(reducing).get(), this.keyed.getAggregatingState(aggregating).get()],
          windows,
        },
        {
          value: expected.value,
          list: expected.list,
          map: [...expected.map].sort(),
          sums: [expected.sum, expected.sum === null ? null : `sum ${expected.sum}`],
          windows: [...expected.windows].sort(),
        },
        `${key} ${when}`,
      )
    }
  }

  close(): void {
    this.keyed.close()
  }
}

const STEPS = 400

function readsTheModel(backend: OwnStateBackend): void {
  const random = seededRandom(1)
  const bench = new Bench(backend, undefined)
  for (let step = 1; step <= STEPS; step++) {
    bench.step(random)
    bench.check(`behind step ${step}`)
  }
  bench.close()
}

function restores(backend: OwnStateBackend, limits: typeof smallLimits | undefined): void {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed)
    const segments = new Map<string, ReadonlyMap<number, Uint8Array>>()
    let bench = new Bench(backend, limits)
    for (let checkpointId = 1; checkpointId <= STEPS / 10; checkpointId++) {
      for (let steps = random.nextInt(20); steps > 0; steps--) bench.step(random)
      for (let pieces = random.nextInt(4); pieces > 0; pieces--) bench.snapshots.writeAhead()
      const increment = bench.snapshots.snapshot({ checkpointId, type: 'checkpoint' })
      assert(increment !== undefined, 'a backend with states has a snapshot')
      if (random.nextInt(4) === 0) {
        // It was not written, and nothing later may stand behind it.
        bench.snapshots.takeBack(checkpointId)
        continue
      }
      for (const [name, keyGroups] of increment.written) segments.set(name, keyGroups)
      bench.snapshots.confirm(checkpointId)
      if (random.nextInt(4) > 0) continue
      const restored = new Bench(backend, limits, snapshotOf(increment, segments))
      for (const [key, model] of bench.model) restored.model.set(key, model)
      bench.close()
      bench = restored
      // What it was restored from goes by another name from now on.
      const whole = new Map([...(snapshotOf(increment, segments).keyGroups as ReadonlyMap<number, readonly Uint8Array[]>)])
      segments.clear()
      segments.set('restored', new Map([...whole].map(([keyGroup, parts]) => [keyGroup, joined(parts)])))
      bench.check(`restored from checkpoint ${checkpointId} of seed ${seed}`)
    }
    bench.check(`at the end of seed ${seed}`)
    bench.close()
  }
}

/** As the TaskManager puts it together. */
function snapshotOf({ keyType, schemas, chain }: KeyedIncrement, segments: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>): KeyedSnapshot {
  const keyGroups = new Map<number, Uint8Array[]>()
  for (const name of chain) {
    const segment = segments.get(name)
    assert(segment !== undefined, `segment ${name} was handed over`)
    for (const [keyGroup, part] of segment) keyGroups.set(keyGroup, [...(keyGroups.get(keyGroup) ?? []), part])
  }
  return { keyType, schemas, keyGroups: new Map([...keyGroups].sort(([a], [b]) => a - b)), sized: true }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
