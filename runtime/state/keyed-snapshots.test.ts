import { describe, expect, test } from 'vitest'
import { smallStateLimits } from '../../test/support/increments.ts'
import { redistribute } from '../checkpoint/redistribute.ts'
import { SegmentChain } from '../checkpoint/segment-chains.ts'
import { assert } from '../common/assert.ts'
import { type Random, seededRandom } from '../common/random.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { TimerQueue } from '../time/timer-queue.ts'
import { ListStateDescriptor, MapStateDescriptor, type StateDescriptor, ValueStateDescriptor } from './descriptors.ts'
import type { HeapState } from './heap-state.ts'
import { defaultSnapshotLimits, type SnapshotLimits } from './keyed-snapshots.ts'
import { KeyedStateBackend } from './keyed-state-backend.ts'
import type { KeyedIncrement, KeyedSnapshot } from './snapshot.ts'
import type { ValueState } from './state.ts'

const maxParallelism = 8
const text = new ValueStateDescriptor('text', Types.STRING)
const list = new ListStateDescriptor('list', Types.INT)
const map = new MapStateDescriptor('map', Types.STRING, Types.INT)
const windowed = new ValueStateDescriptor('windowed', Types.INT)
const keyCount = 7

/** One of each: states of a key, a state of windows, timers. */
class Subject {
  readonly backend: KeyedStateBackend
  readonly windowed: HeapState
  readonly timers: TimerQueue

  constructor(limits: SnapshotLimits | undefined, hotKeysMax?: number) {
    this.backend = new KeyedStateBackend({ owner: 'subject', keyType: Types.INT as TypeInformation, maxParallelism, limits, hotKeysMax })
    for (const descriptor of [text, list, map]) this.backend.register(descriptor as StateDescriptor)
    this.windowed = this.backend.register(windowed as StateDescriptor, Types.SAFE_LONG as TypeInformation)
    this.timers = new TimerQueue('timers', Types.INT as TypeInformation, key => key, Types.SAFE_LONG as TypeInformation)
    this.backend.registerPart(this.timers)
  }

  /** Everything that it holds; its timers are gone afterwards. */
  see(): string[] {
    const { backend } = this
    const seen: string[] = []
    for (let key = 0; key < keyCount; key++) {
      backend.setCurrentKey(key)
      const value = backend.getState(text).value()
      if (value !== null) seen.push(`text ${key} ${value}`)
      const items = [...backend.getListState(list).get()]
      if (items.length > 0) seen.push(`list ${key} ${items}`)
      const entries = [...backend.getMapState(map).entries()].map(entry => entry.join('=')).sort()
      if (entries.length > 0) seen.push(`map ${key} ${entries}`)
      for (let window = 0; window < 3; window++) {
        this.windowed.setNamespace(window)
        const held = this.windowed.read()
        if (held !== undefined) seen.push(`windowed ${key} ${window} ${held}`)
      }
    }
    for (let timer = this.timers.pollDue(Infinity); timer !== undefined; timer = this.timers.pollDue(Infinity))
      seen.push(`timer ${timer.key} ${timer.namespace} ${timer.time}`)
    return seen.sort()
  }
}

/** The same in plain maps. */
class Model {
  readonly texts = new Map<number, string>()
  readonly lists = new Map<number, number[]>()
  readonly maps = new Map<number, Map<string, number>>()
  readonly windows = new Map<string, number>()
  timers: { key: number; window: number; time: number }[] = []

  see(): string[] {
    return [
      ...[...this.texts].map(([key, value]) => `text ${key} ${value}`),
      ...[...this.lists].filter(([, items]) => items.length > 0).map(([key, items]) => `list ${key} ${items}`),
      ...[...this.maps].filter(([, held]) => held.size > 0).map(([key, held]) => `map ${key} ${[...held].map(entry => entry.join('=')).sort()}`),
      ...[...this.windows].map(([place, value]) => `windowed ${place} ${value}`),
      ...this.timers.map(({ key, window, time }) => `timer ${key} ${window} ${time}`),
    ].sort()
  }
}

/** One change of a row or timer, of both. */
function change({ backend, windowed: windowState, timers }: Subject, model: Model, random: Random): void {
  const key = random.nextInt(keyCount)
  const value = random.nextInt(1000)
  const window = random.nextInt(3)
  const time = random.nextInt(20)
  backend.setCurrentKey(key)
  switch (random.nextInt(12)) {
    case 0:
    case 1:
      backend.getState(text).update(`value ${value}`)
      model.texts.set(key, `value ${value}`)
      return
    case 2:
      backend.getState(text).clear()
      model.texts.delete(key)
      return
    case 3:
      backend.getListState(list).add(value)
      model.lists.set(key, [...(model.lists.get(key) ?? []), value])
      return
    case 4:
      backend.getListState(list).clear()
      model.lists.delete(key)
      return
    case 5:
      backend.getMapState(map).put(`k${window}`, value)
      model.maps.set(key, new Map([...(model.maps.get(key) ?? []), [`k${window}`, value]]))
      return
    case 6:
      backend.getMapState(map).remove(`k${window}`)
      model.maps.get(key)?.delete(`k${window}`)
      return
    case 7:
      windowState.setNamespace(window)
      windowState.write(value)
      model.windows.set(`${key} ${window}`, value)
      return
    case 8:
      windowState.setNamespace(window)
      windowState.clear()
      model.windows.delete(`${key} ${window}`)
      return
    case 9: {
      const isNew = timers.register(time, key, window)
      if (isNew) model.timers.push({ key, window, time })
      return
    }
    case 10:
      timers.delete(time, key, window)
      model.timers = model.timers.filter(each => each.key !== key || each.window !== window || each.time !== time)
      return
    case 11: {
      // Windows fire: all of what is due.
      const due = random.nextInt(4) === 0 ? 20 : 3
      while (timers.pollDue(due) !== undefined);
      model.timers = model.timers.filter(each => each.time > due)
    }
  }
}

function restored(limits: SnapshotLimits | undefined, snapshot: KeyedSnapshot | undefined, hotKeysMax?: number): Subject {
  const subject = new Subject(limits, hotKeysMax)
  if (snapshot !== undefined) subject.backend.snapshots.restore(snapshot)
  return subject
}

const barrier = (checkpointId: number, type = 'checkpoint') => ({ checkpointId, type })

describe('any history of changes, of checkpoints that are lost or complete, and of restores', () => {
  const limitsOf: Record<string, (random: Random) => SnapshotLimits | undefined> = {
    'changes behind one another': () => smallStateLimits,
    'whole ones in between': random => ({ ...smallStateLimits, wholeBytesMax: random.nextInt(200), wholeShare: random.next() }),
    'bases all the time': () => ({ ...smallStateLimits, baseShare: 0, pieceBytes: 1, baseRate: 0.5, segmentsMax: 1_000 }),
  }
  test.each(Object.keys(limitsOf))('every checkpoint is the state of its barrier, at any parallelism: %s', name => {
    let restores = 0
    let lost = 0
    for (let seed = 0; seed < 120; seed++) {
      const random = seededRandom(seed)
      const limits = limitsOf[name]?.(random)
      // Keys leave the heap all the time, or never.
      const hotKeysMax = random.nextInt(3) === 0 ? undefined : random.nextInt(4)
      let subject = new Subject(limits, hotKeysMax)
      let model = new Model()
      let chain = new SegmentChain<Uint8Array>(undefined)
      /** Neither confirmed nor given up. */
      let open: { readonly id: number; readonly whole: KeyedSnapshot | undefined; readonly seen: string[] }[] = []
      for (let id = 1; id < 60; id++) {
        for (let changes = random.nextInt(6); changes > 0; changes--) {
          change(subject, model, random)
          if (random.nextInt(3) === 0) subject.backend.snapshots.writeAhead()
        }
        const type = random.nextInt(10) === 0 ? 'savepoint' : 'checkpoint'
        const keyed = subject.backend.snapshots.snapshot(barrier(id, type))
        assert(keyed !== undefined, 'the subject has keyed state')
        const increment = { keyed, lists: [] }
        // When all are told, nothing that is missing is stood behind any more.
        if (open.length === 0) expect(chain.missing(increment), `seed ${seed}, checkpoint ${id}`).toBeUndefined()
        const isWritten = random.nextInt(6) > 0 && chain.missing(increment) === undefined
        const whole = isWritten ? chain.add(increment).keyed : undefined
        const seen = model.see()
        if (whole === undefined) lost++
        else {
          expect(restored(undefined, whole).see(), `seed ${seed}, checkpoint ${id}`).toEqual(seen)
          const parallelism = 1 + random.nextInt(maxParallelism)
          const parts = redistribute([{ keyed: whole, lists: [] }], parallelism, maxParallelism)
          expect(parts.flatMap(part => restored(undefined, part.keyed).see()).sort()).toEqual(seen)
        }
        if (type === 'checkpoint') open.push({ id, whole, seen })
        // What becomes of checkpoints is told late, in any number, and those that could not be written are given up.
        while (open.length > 0 && random.nextInt(3) > 0) {
          const first = open.shift()
          if (first === undefined) break
          if (first.whole !== undefined && random.nextInt(5) > 0) subject.backend.snapshots.confirm(first.id)
          else subject.backend.snapshots.takeBack(first.id)
        }
        if (whole === undefined || random.nextInt(12) > 0) continue
        restores++
        subject = restored(limits, whole, hotKeysMax)
        chain = new SegmentChain(whole)
        open = []
        const again = new Model()
        model = copyOf(model, again)
      }
    }
    expect([restores > 200, lost > 500]).toEqual([true, true])
  })
})

/** Rows that move between pages, are new or gone, while a base passes: what the history above has too few rows for. */
test('every checkpoint is the state of its barrier: rows of all sizes in many pages, bases between any two changes', () => {
  const limits: SnapshotLimits = { ...smallStateLimits, baseShare: 0.05, segmentsMax: 1_000, baseRate: 1_000, pieceBytes: 16 * 1024 }
  const create = () => {
    const options = { owner: 'pages', keyType: Types.INT as TypeInformation, maxParallelism: 2, limits, hotKeysMax: 3 }
    const backend = new KeyedStateBackend(options)
    backend.register(text as StateDescriptor)
    return backend
  }
  const random = seededRandom(11)
  const backend = create()
  const model = new Map<number, string>()
  const chain = new SegmentChain<Uint8Array>(undefined)
  const unsure: number[] = []
  let bases = 0
  const set = (key: number, held: string | null) => {
    backend.setCurrentKey(key)
    backend.getState(text).update(held)
    if (held === null) model.delete(key)
    else model.set(key, held)
  }
  for (let key = 0; key < 3_000; key++) set(key, `${key} `.repeat(random.nextInt(60)))
  for (let id = 1; id < 120; id++) {
    for (let changes = 0; changes < 150; changes++) {
      const key = random.nextInt(3_200)
      if (random.nextInt(4) === 0) set(key, null)
      else set(key, `${id} `.repeat(random.nextInt(80)))
      if (random.nextInt(30) === 0) backend.snapshots.writeAhead()
    }
    const keyed = backend.snapshots.snapshot(barrier(id))
    assert(keyed !== undefined, 'it has keyed state')
    if (keyed.kept.length > 0) bases++
    const isWritten = random.nextInt(8) > 0 && chain.missing({ keyed, lists: [] }) === undefined
    const whole = isWritten ? chain.add({ keyed, lists: [] }).keyed : undefined
    if (whole !== undefined) {
      const copy = create()
      copy.snapshots.restore(whole)
      const seen = new Map<unknown, unknown>()
      for (const { key } of copy.keys()) {
        copy.setCurrentKey(key)
        seen.set(key, copy.getState(text).value())
      }
      expect(new Map([...seen].sort()), `checkpoint ${id}`).toEqual(new Map([...model].sort()))
    }
    unsure.push(whole === undefined ? -id : id)
    while (unsure.length > 0 && random.nextInt(3) > 0) {
      const first = unsure.shift() as number
      if (first > 0) backend.snapshots.confirm(first)
      else backend.snapshots.takeBack(-first)
    }
  }
  expect(bases).toBeGreaterThan(10)
})

function copyOf(model: Model, copy: Model): Model {
  for (const [key, value] of model.texts) copy.texts.set(key, value)
  for (const [key, items] of model.lists) copy.lists.set(key, [...items])
  for (const [key, held] of model.maps) copy.maps.set(key, new Map(held))
  for (const [place, value] of model.windows) copy.windows.set(place, value)
  copy.timers = [...model.timers]
  return copy
}

/** 100 bytes a value, in some thousands of keys: a chain that the TaskManager would put together. */
class Large {
  readonly backend: KeyedStateBackend
  /** Values that were encoded. */
  encoded = 0
  writtenBytes = 0
  lastWritten = 0
  whole: KeyedSnapshot | undefined = undefined
  private readonly chain = new SegmentChain<Uint8Array>(undefined)
  private readonly state: ValueState<unknown>
  private id = 0

  constructor(limits: SnapshotLimits = defaultSnapshotLimits) {
    this.backend = new KeyedStateBackend({ owner: 'large', keyType: Types.INT as TypeInformation, maxParallelism, limits })
    const { serializer } = Types.STRING
    const counting = {
      ...Types.STRING,
      serializer: {
        read: serializer.read.bind(serializer),
        write: (value: unknown, out: never) => {
          this.encoded++
          serializer.write(value as string, out)
        },
      },
    }
    const descriptor = new ValueStateDescriptor('value', counting as TypeInformation)
    this.backend.register(descriptor)
    this.backend.register(new ListStateDescriptor('unused', Types.INT) as StateDescriptor)
    this.state = this.backend.getState(descriptor)
  }

  put(key: number, value: string): void {
    this.backend.setCurrentKey(key)
    this.state.update(value)
  }

  /** A barrier, and what the time until the next one leaves room for. */
  checkpoint(confirms = true): KeyedIncrement {
    const increment = this.backend.snapshots.snapshot(barrier(++this.id))
    assert(increment !== undefined, 'it has keyed state')
    this.lastWritten = 0
    for (const segment of increment.written.values()) for (const bytes of segment.values()) this.lastWritten += bytes.length
    this.writtenBytes += this.lastWritten
    this.whole = this.chain.add({ keyed: increment, lists: [] }).keyed
    expect(increment.chainBytes).toBeGreaterThanOrEqual(this.restoreBytes)
    if (confirms) this.backend.snapshots.confirm(this.id)
    return increment
  }

  get restoreBytes(): number {
    let size = 0
    for (const segments of this.whole?.keyGroups.values() ?? []) for (const bytes of segments) size += bytes.length
    return size
  }
}

const value = (n: number) => String(n).padStart(100, '.')
/** A record: head, its length, key of an INT, length and bytes of the text. */
const RECORD_BYTES = 1 + 4 + 4 + 1 + 100

describe('a large state', () => {
  const rows = 20_000
  const filled = () => {
    const large = new Large()
    for (let key = 0; key < rows; key++) large.put(key, value(key))
    large.checkpoint()
    return large
  }

  test('over a long time at most 3 bytes are written for each byte of changed rows, and restored are at most 2.5 times the state', () => {
    for (const [changesEach, checkpoints] of [
      [rows / 50, 250],
      [rows / 200, 600],
      [rows / 8, 60],
    ] as const) {
      const large = filled()
      const random = seededRandom(changesEach)
      large.writtenBytes = 0
      let changedBytes = 0
      let restoreMax = 0
      for (let i = 0; i < checkpoints; i++) {
        const keys = new Set(Array.from({ length: changesEach }, () => random.nextInt(rows)))
        for (const key of keys) large.put(key, value(i))
        changedBytes += keys.size * RECORD_BYTES
        large.checkpoint()
        restoreMax = Math.max(restoreMax, large.restoreBytes)
        while (large.backend.snapshots.writeAhead());
      }
      expect(large.writtenBytes / changedBytes).toBeLessThanOrEqual(3)
      expect(restoreMax / (rows * RECORD_BYTES)).toBeLessThanOrEqual(2.5)
      // Bases came to their end, or this has shown nothing.
      expect(changedBytes / (rows * RECORD_BYTES)).toBeGreaterThan(2.5)
    }
  })

  test('a snapshot writes what has changed and looks at nothing else; without changes it writes nothing', () => {
    const large = filled()
    large.encoded = 0
    for (let key = 0; key < 7; key++) large.put(key * 1_000, value(0))
    const increment = large.checkpoint()
    expect([large.encoded, large.lastWritten]).toEqual([7, 7 * RECORD_BYTES])
    expect(increment.chain).toEqual(['1', '2'])
    expect(large.checkpoint().chain).toEqual(['1', '2'])
    expect([large.encoded, large.lastWritten]).toEqual([7, 0])
  })

  test('between two runs of rows no more of a base is written than a piece', () => {
    const large = filled()
    for (let key = 0; key < rows / 3; key++) large.put(key, value(1))
    large.checkpoint()
    const { baseOut } = large.backend.snapshots as unknown as { baseOut: { size: number } }
    const writtenOfBase = () => baseOut.size
    const pieces: number[] = []
    for (let more = true; more; ) {
      const before = writtenOfBase()
      more = large.backend.snapshots.writeAhead()
      pieces.push(writtenOfBase() - before)
    }
    expect(pieces.length).toBeGreaterThan(3)
    expect(Math.max(...pieces)).toBeLessThanOrEqual(defaultSnapshotLimits.pieceBytes + RECORD_BYTES)
    // In proportion to what has changed.
    const sum = pieces.reduce((a, b) => a + b, 0)
    const quota = (defaultSnapshotLimits.baseRate * rows * RECORD_BYTES) / 3
    expect(sum).toBeGreaterThanOrEqual(quota)
    expect(sum).toBeLessThanOrEqual(quota + 2 * RECORD_BYTES)
  })

  test('a base under way is kept by checkpoints and not restored from; its end drops what was before', () => {
    const large = filled()
    for (let key = 0; key < rows / 3; key++) large.put(key, value(1))
    large.checkpoint()
    while (large.backend.snapshots.writeAhead());
    large.put(1, value(2))
    const under = large.checkpoint()
    expect([under.chain, under.kept]).toEqual([['1', '2', '3'], ['3-base']])
    for (let key = 0; key < rows / 3; key++) large.put(key, value(3))
    large.checkpoint()
    while (large.backend.snapshots.writeAhead());
    const done = large.checkpoint()
    expect([done.chain, done.kept]).toEqual([['3-base', '3', '4', '5-base'], []])
  })

  test('when most of it has changed it is written whole, and so is a small state', () => {
    const large = filled()
    for (let key = 0; key < (rows * 3) / 5; key++) large.put(key, value(1))
    expect(large.checkpoint().chain).toEqual(['2'])
    expect(large.lastWritten).toBe(rows * RECORD_BYTES)
    const small = new Large()
    for (let key = 0; key < 100; key++) small.put(key, value(key))
    small.checkpoint()
    small.put(1, value(2))
    expect(small.checkpoint().chain).toEqual(['2'])
    expect(small.checkpoint().written.size).toBe(0)
  })

  test('few changes at each of many checkpoints end in a base as well: chains do not get long', () => {
    const large = filled()
    let longest = 0
    for (let i = 0; i < 600; i++) {
      large.put(i, value(i))
      longest = Math.max(longest, large.checkpoint().chain.length)
      while (large.backend.snapshots.writeAhead());
    }
    expect(longest).toBeLessThanOrEqual(5 * defaultSnapshotLimits.segmentsMax)
    expect(longest).toBeGreaterThan(defaultSnapshotLimits.segmentsMax)
  })

  test('behind a restore changes stand behind what was restored, at another parallelism too; with another schema the first checkpoint is whole', () => {
    const large = filled()
    for (const part of redistribute([{ keyed: large.whole, lists: [] }], 2, maxParallelism)) {
      const copy = new Large()
      assert(part.keyed !== undefined, 'there is state')
      copy.backend.snapshots.restore(part.keyed)
      const increment = copy.backend.snapshots.snapshot(barrier(2))
      expect([increment?.chain, increment?.written.size]).toEqual([['restored'], 0])
    }
    const other = new KeyedStateBackend({ owner: 'other', keyType: Types.INT as TypeInformation, maxParallelism, limits: defaultSnapshotLimits })
    other.register(new ListStateDescriptor('unused', Types.INT) as StateDescriptor)
    other.register(new ValueStateDescriptor('value', Types.STRING) as StateDescriptor)
    assert(large.whole !== undefined, 'there is state')
    other.snapshots.restore(large.whole)
    expect(other.snapshots.snapshot(barrier(2))?.chain).toEqual(['2'])
  })
})

describe('what comes and goes', () => {
  test('between two checkpoints is not remembered: neither keys nor timers', () => {
    const subject = new Subject(smallStateLimits)
    subject.backend.snapshots.snapshot(barrier(1))
    const { backend, timers } = subject
    for (let key = 0; key < 50_000; key++) {
      backend.setCurrentKey(key)
      backend.getState(text).update('short-lived')
      timers.register(key, key, 0)
      backend.getState(text).clear()
      timers.pollDue(key)
    }
    const [table, queue] = (backend.snapshots as unknown as { parts: { changedCount: number; added?: unknown[]; entries?: Map<unknown, unknown> }[] })
      .parts
    expect([table?.entries?.size, table?.changedCount]).toEqual([0, 0])
    expect(queue?.added?.length).toBeLessThan(5_000)
    expect(subject.backend.snapshots.snapshot(barrier(2))?.written.size).toBe(0)
  })

  test('is forgotten once it has been said: a key that is gone leaves nothing behind', () => {
    const subject = new Subject(smallStateLimits)
    const { backend } = subject
    backend.setCurrentKey(1)
    backend.getState(text).update('x')
    backend.snapshots.snapshot(barrier(1))
    backend.getState(text).clear()
    expect(backend.keyCount).toBe(0)
    expect([...backend.keys()]).toHaveLength(1)
    expect(backend.snapshots.snapshot(barrier(2))?.written.size).toBe(1)
    expect([...backend.keys()]).toHaveLength(0)
    backend.setCurrentKey(1)
    backend.getState(text).update('again')
    expect(backend.getState(text).value()).toBe('again')
  })
})

test('a value changed in place and not written back is read as changed, and a checkpoint has it as it was written or as changed, never anything else', () => {
  const point = new ValueStateDescriptor('point', Types.row({ x: Types.INT, y: Types.INT }))
  const make = () => {
    const backend = new KeyedStateBackend({ owner: 'points', keyType: Types.INT as TypeInformation, maxParallelism, limits: smallStateLimits })
    backend.register(point as StateDescriptor)
    return backend
  }
  const backend = make()
  const chain = new SegmentChain<Uint8Array>(undefined)
  const checkpoint = (id: number) => {
    const keyed = backend.snapshots.snapshot(barrier(id))
    assert(keyed !== undefined, 'it has keyed state')
    const copy = make()
    copy.snapshots.restore(chain.add({ keyed, lists: [] }).keyed as KeyedSnapshot)
    copy.setCurrentKey(1)
    const ofOne = copy.getState(point).value()
    copy.setCurrentKey(2)
    return [ofOne, copy.getState(point).value()]
  }
  for (const key of [1, 2]) {
    backend.setCurrentKey(key)
    backend.getState(point).update({ x: key, y: 0 })
  }
  expect(checkpoint(1)).toEqual([
    { x: 1, y: 0 },
    { x: 2, y: 0 },
  ])
  backend.setCurrentKey(1)
  const held = backend.getState(point).value() as { x: number; y: number }
  held.y = 7
  backend.setCurrentKey(2)
  backend.getState(point).update({ x: 2, y: 5 })
  backend.setCurrentKey(1)
  expect(backend.getState(point).value()).toEqual({ x: 1, y: 7 })
  // Only what was written back is in the changes.
  expect(checkpoint(2)).toEqual([
    { x: 1, y: 0 },
    { x: 2, y: 5 },
  ])
  // The next write brings it along, whole.
  backend.getState(point).update({ ...held, x: 9 })
  expect(checkpoint(3)).toEqual([
    { x: 9, y: 7 },
    { x: 2, y: 5 },
  ])
})
