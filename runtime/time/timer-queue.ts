import type { ByteReader, ByteWriter } from '../common/bytes.ts'
import type { TypeInformation, TypeJson } from '../serde/type-information.ts'

/**
 * Timers of one operator subtask in one time domain. A timer is (time, key, namespace); registering it twice is registering it once.
 * Due ones come out in ascending time, within one time in order of registration, each removed before it is handed out, so that a
 * timer's callback may register it again.
 *
 * Layout: a binary heap of distinct times and one bucket a time, because windows put thousands of keys on one time. Deleting the last
 * timer of a bucket leaves its time in the heap; the heap is rebuilt when more than half of it is such leftovers, which bounds it.
 */
export class TimerQueue {
  readonly schema: TimerSchema
  private readonly namespaceType: TypeInformation | undefined
  private readonly indexOf: (key: unknown) => unknown
  private readonly buckets = new Map<number, Bucket>()
  private times: number[] = []
  private count = 0

  /** `indexOf` answers what stands for a key in a JS Map. Namespaces are primitive. */
  constructor(name: string, indexOf: (key: unknown) => unknown, namespaceType?: TypeInformation) {
    this.schema = { name, kind: 'timers', type: noType, namespace: namespaceType?.json ?? noType }
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
    if (!bucket.add(new Timer(time, key, index, namespace))) return false
    this.count++
    return true
  }

  /** Nothing happens when there is no such timer. */
  delete(time: number, key: unknown, namespace?: unknown): void {
    const bucket = this.buckets.get(time)
    if (bucket === undefined || !bucket.delete(this.indexOf(key), namespace)) return
    this.count--
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
    if (bucket.isEmpty()) {
      this.buckets.delete(next)
      this.popTime()
    }
    return timer
  }

  snapshotTo(writerOf: (key: unknown, keyGroup: number | undefined) => ByteWriter): void {
    for (const [time, bucket] of this.buckets)
      for (const timer of bucket.timers()) {
        const out = writerOf(timer.key, undefined)
        out.f64(time)
        if (this.namespaceType !== undefined) this.namespaceType.serializer.write(timer.namespace, out)
      }
  }

  restoreEntry(key: unknown, input: ByteReader): void {
    const time = input.f64()
    this.register(time, key, this.namespaceType?.serializer.read(input))
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

const noType = { kind: 'VOID' } as const

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

  delete(index: unknown, namespace: unknown): boolean {
    if (this.single !== undefined) {
      if (!sameTimer(this.single, index, namespace)) return false
      this.single = undefined
      return true
    }
    const ofNamespace = this.many?.get(namespace)
    if (ofNamespace?.delete(index) !== true) return false
    if (ofNamespace.size === 0) this.many?.delete(namespace)
    return true
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
