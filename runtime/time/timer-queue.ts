import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'

/**
 * Timers of one operator subtask in one time domain. A timer is (time, key, namespace); registering it twice is registering it once.
 * Due ones come out in ascending time, within one time in order of registration, each removed before it is handed out, so that a
 * timer's callback may register it again.
 *
 * Layout: a binary heap of distinct times and one bucket a time, because windows put thousands of keys on one time. Deleting the last
 * timer of a bucket leaves its time in the heap; the heap is rebuilt when more than half of it is such leftovers, which bounds it.
 *
 * As part of snapshots (a `KeyedPart` of the state room, which this room does not know) a timer is a record that never changes: it comes and goes.
 */
export class TimerQueue {
  readonly schemas: readonly [TimerSchema]
  tracks = false
  private readonly keyType: TypeInformation
  private readonly namespaceType: TypeInformation | undefined
  private readonly indexOf: (key: unknown) => unknown
  private readonly buckets = new Map<number, Bucket>()
  private times: number[] = []
  private count = 0
  /** Marked timers; some may be gone. */
  private added: Timer[] = []
  private goneCount = 0
  /** Saved ones that are gone. */
  private removed: Timer[] = []
  private base: { readonly buckets: Iterator<readonly [number, Bucket]>; bucketsLeft: number; timers: Iterator<Timer> } | undefined = undefined
  /** Of the base, since the last checkpoint. */
  private baseTimers: Timer[] = []

  /** `indexOf` answers what stands for a key in a JS Map. Namespaces are primitive. */
  constructor(name: string, keyType: TypeInformation, indexOf: (key: unknown) => unknown, namespaceType?: TypeInformation) {
    this.schemas = [{ name, kind: 'timers', type: noType, namespace: namespaceType?.json ?? noType }]
    this.keyType = keyType
    this.indexOf = indexOf
    this.namespaceType = namespaceType
  }

  get size(): number {
    return this.count
  }

  /** Infinity = no timer. */
  nextTime(): number {
    for (;;) {
      const time = this.times[0]
      if (time === undefined) return Number.POSITIVE_INFINITY
      if (this.buckets.has(time)) return time
      this.popTime()
    }
  }

  isDue(time: number): boolean {
    return this.count > 0 && this.nextTime() <= time
  }

  /** False when it was there already. */
  register(time: number, key: unknown, namespace?: unknown): boolean {
    const index = this.indexOf(key)
    let bucket = this.buckets.get(time)
    if (bucket === undefined) {
      bucket = new Bucket()
      this.buckets.set(time, bucket)
      this.pushTime(time)
    }
    const timer = new Timer(time, key, index, namespace)
    if (!bucket.add(timer)) return false
    this.count++
    if (this.tracks) this.mark(timer)
    return true
  }

  /** Nothing happens when there is no such timer. */
  delete(time: number, key: unknown, namespace?: unknown): void {
    const bucket = this.buckets.get(time)
    const timer = bucket?.delete(this.indexOf(key), namespace)
    if (bucket === undefined || timer === undefined) return
    this.count--
    this.gone(timer)
    if (!bucket.isEmpty()) return
    this.buckets.delete(time)
    if (this.times.length > 64 && this.times.length > 2 * this.buckets.size) this.times = [...this.buckets.keys()].sort((a, b) => a - b)
  }

  /** The first timer at or before `time`, removed; undefined = none is due. */
  pollDue(time: number): Timer | undefined {
    if (!this.isDue(time)) return undefined
    const next = this.nextTime()
    const bucket = this.buckets.get(next)
    const timer = bucket?.removeFirst()
    if (bucket === undefined || timer === undefined) return undefined
    this.count--
    this.gone(timer)
    if (bucket.isEmpty()) {
      this.buckets.delete(next)
      this.popTime()
    }
    return timer
  }

  get rowCount(): number {
    return this.count
  }

  get changedCount(): number {
    return this.added.length - this.goneCount + this.removed.length
  }

  writeAll(out: TimerRecords, begins: boolean): void {
    for (const bucket of this.buckets.values())
      for (const timer of bucket.timers()) {
        this.write(timer, false, out)
        if (begins) timer.flags = SAVED
      }
    if (!begins) return
    this.added = []
    this.goneCount = 0
    this.removed = []
    this.baseTimers = []
  }

  writeChanged(out: TimerRecords): TimersOfCheckpoint {
    const { removed } = this
    // In front of the others: one of them may have been registered again.
    for (const timer of removed) this.write(timer, true, out)
    const added = this.added.filter(timer => (timer.flags & GONE) === 0)
    for (const timer of added) {
      this.write(timer, false, out)
      timer.flags = SAVED
    }
    for (const timer of this.baseTimers) added.push(timer)
    this.added = []
    this.goneCount = 0
    this.removed = []
    this.baseTimers = []
    return { added, removed }
  }

  beginBase(): void {
    // Later buckets stand behind these, and hold timers that are in checkpoints of their own.
    this.base = { buckets: this.buckets.entries(), bucketsLeft: this.buckets.size, timers: noTimers }
  }

  writeBase(out: TimerRecords, sizeMax: number): boolean {
    const { base } = this
    if (base === undefined) return true
    for (;;) {
      for (let next = base.timers.next(); next.done !== true; next = base.timers.next()) {
        const timer = next.value
        if ((timer.flags & (MARKED | GONE)) !== 0) continue
        this.write(timer, false, out)
        this.baseTimers.push(timer)
        if (out.size >= sizeMax) return false
      }
      const bucket = base.bucketsLeft-- > 0 ? base.buckets.next() : undefined
      if (bucket === undefined || bucket.done === true) break
      base.timers = bucket.value[1].timers()
    }
    this.endBase()
    return true
  }

  endBase(): void {
    this.base = undefined
  }

  markAgain({ added, removed }: TimersOfCheckpoint): void {
    // One that has been registered again since is marked as well: no complete checkpoint can have it.
    for (const timer of removed) this.removed.push(timer)
    // Those that are gone by now were saved, so that their end is written.
    for (const timer of added) if ((timer.flags & GONE) === 0) this.mark(timer)
  }

  restoreRecord(_schema: number, removes: boolean, _keyGroup: number, input: ByteReader): void {
    const { tracks } = this
    const key = this.keyType.serializer.read(input)
    const time = input.f64()
    const namespace = this.namespaceType?.serializer.read(input)
    this.tracks = false
    if (removes) this.delete(time, key, namespace)
    else {
      this.register(time, key, namespace)
      const timer = this.buckets.get(time)?.get(this.indexOf(key), namespace)
      if (timer !== undefined && tracks) timer.flags = SAVED
    }
    this.tracks = tracks
  }

  private write(timer: Timer, removes: boolean, out: TimerRecords): void {
    const record = out.keyed(0, removes, timer.key)
    record.f64(timer.time)
    if (this.namespaceType !== undefined) this.namespaceType.serializer.write(timer.namespace, record)
  }

  private mark(timer: Timer): void {
    if ((timer.flags & MARKED) !== 0) return
    timer.flags |= MARKED
    this.added.push(timer)
  }

  private gone(timer: Timer): void {
    if (!this.tracks) return
    timer.flags |= GONE
    if ((timer.flags & SAVED) !== 0) this.removed.push(timer)
    if ((timer.flags & MARKED) === 0) return
    // Timers that come and go between two checkpoints must not pile up.
    this.goneCount++
    if (this.goneCount < GONE_MIN || this.goneCount * 2 < this.added.length) return
    this.added = this.added.filter(each => (each.flags & GONE) === 0)
    this.goneCount = 0
  }

  private pushTime(time: number): void {
    // A time whose bucket was deleted and made again may already stand in the heap: harmless, `nextTime` drops the spare one.
    const times = this.times
    let at = times.length
    times.push(time)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = times[parent] as number
      if (above <= time) break
      times[at] = above
      at = parent
    }
    times[at] = time
  }

  private popTime(): void {
    const times = this.times
    const last = times.pop() as number
    const size = times.length
    if (size === 0) return
    let at = 0
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (times[child + 1] as number) < (times[child] as number)) child++
      if ((times[child] as number) >= last) break
      times[at] = times[child] as number
      at = child
    }
    times[at] = last
  }
}

export class Timer {
  readonly time: number
  readonly key: unknown
  readonly index: unknown
  readonly namespace: unknown
  /** For snapshots only. */
  flags = 0

  constructor(time: number, key: unknown, index: unknown, namespace: unknown) {
    this.time = time
    this.key = key
    this.index = index
    this.namespace = namespace
  }
}

/** As `StateSchema` of the state room, which this room does not know. */
export interface TimerSchema {
  readonly name: string
  readonly kind: 'timers'
  readonly type: TypeJson
  readonly namespace: TypeJson
}

/** As `SegmentWriter` of the state room. */
export interface TimerRecords {
  readonly size: number
  keyed(schema: number, removes: boolean, key: unknown): ByteWriter
}

export interface TimersOfCheckpoint {
  readonly added: readonly Timer[]
  readonly removed: readonly Timer[]
}

const noType = { kind: 'VOID' } as const
/** Among the timers that are to be written. */
const MARKED = 1
/** A segment has it. */
const SAVED = 2
/** It has fired or was deleted. */
const GONE = 4
const GONE_MIN = 1024
const noTimers: Iterator<Timer> = [][Symbol.iterator]()

/** The timers of one time. Most have one (timers of single keys); windows have many, of one namespace. */
class Bucket {
  private single: Timer | undefined = undefined
  private many: Map<unknown, Map<unknown, Timer>> | undefined = undefined
  // Kept between calls: a fresh Map iterator would step over all entries already removed, which makes draining quadratic. Map iterators
  // are live, so timers that callbacks add meanwhile are seen.
  private drain: Generator<Timer, undefined> | undefined = undefined

  isEmpty(): boolean {
    return this.single === undefined && (this.many === undefined || this.many.size === 0)
  }

  add(timer: Timer): boolean {
    if (this.many === undefined) {
      const single = this.single
      if (single === undefined) {
        this.single = timer
        return true
      }
      if (sameTimer(single, timer.index, timer.namespace)) return false
      this.many = new Map([[single.namespace, new Map([[single.index, single]])]])
      this.single = undefined
    }
    const ofNamespace = this.many.get(timer.namespace)
    if (ofNamespace === undefined) {
      this.many.set(timer.namespace, new Map([[timer.index, timer]]))
      return true
    }
    if (ofNamespace.has(timer.index)) return false
    ofNamespace.set(timer.index, timer)
    return true
  }

  get(index: unknown, namespace: unknown): Timer | undefined {
    if (this.single !== undefined) return sameTimer(this.single, index, namespace) ? this.single : undefined
    return this.many?.get(namespace)?.get(index)
  }

  /** Answers the timer that was there. */
  delete(index: unknown, namespace: unknown): Timer | undefined {
    const timer = this.get(index, namespace)
    if (timer === undefined) return undefined
    if (timer === this.single) {
      this.single = undefined
      return timer
    }
    const ofNamespace = this.many?.get(namespace)
    ofNamespace?.delete(index)
    if (ofNamespace?.size === 0) this.many?.delete(namespace)
    return timer
  }

  removeFirst(): Timer | undefined {
    let first = this.single
    if (first === undefined) {
      this.drain ??= this.timers()
      first = this.drain.next().value
      if (first === undefined) {
        this.drain = this.timers()
        first = this.drain.next().value
      }
    }
    if (first !== undefined) this.delete(first.index, first.namespace)
    return first
  }

  *timers(): Generator<Timer, undefined> {
    if (this.single !== undefined) yield this.single
    if (this.many !== undefined) for (const ofNamespace of this.many.values()) yield* ofNamespace.values()
    return undefined
  }
}

/** As a JS Map compares: NaN equals itself. */
function sameTimer(timer: Timer, index: unknown, namespace: unknown): boolean {
  return sameValueZero(timer.index, index) && sameValueZero(timer.namespace, namespace)
}

function sameValueZero(a: unknown, b: unknown): boolean {
  return a === b || Object.is(a, b)
}
