import { type Clock, sleep } from '../../runtime/common/clock.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import { LabelIndex } from './label-index.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType, type Selection } from './object-api.ts'

/**
 * All objects of one kind as the API server has them, or will have had them: listed once, then followed by watching. Nothing ends it but its signal: after any failure it
 * tries again, later each time, and where the server has forgotten the version that it stands at it lists anew, as it does every ten minutes.
 *
 * `onChange` is called for every object that came, changed or went, in the order of the changes of each object. It gets what was and what is, and must not throw.
 *
 * Answers of one's own writes may be put in by `seen`, so that the next look does not miss them. They count only where they are newer than what is known: an answer
 * that is late never takes the place of a newer event, nor brings back an object that has gone.
 */
export interface ReflectorOptions {
  readonly api: ObjectApi
  readonly type: ResourceType
  readonly selection?: Selection
  /** Labels by whose values objects are asked for. */
  readonly indexed?: readonly string[]
  /** What is kept of an object: large kinds of which little is looked at. */
  readonly keep?: (object: KubeObject) => KubeObject
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly onChange: (before: KubeObject | undefined, after: KubeObject | undefined) => void
}

/** However it is watched: what was missed without anybody's knowing is found then. */
const RELIST_MS = 600_000
const BACKOFF_FIRST_MS = 200
const BACKOFF_MAX_MS = 30_000
const TOMBSTONES_MAX = 1_000

export class Reflector {
  readonly type: ResourceType
  private readonly options: ReflectorOptions
  private readonly objects = new Map<string, KubeObject>()
  private readonly index: LabelIndex
  /** Objects that stand here by an answer, ahead of the events. */
  private readonly ahead = new Set<string>()
  /** Uids of objects that have gone, the last ones. */
  private readonly gone = new Set<string>()
  /** From which the watch goes on; undefined = it has to be listed. */
  private version: string | undefined
  private listedMs = 0
  private readonly synced = Promise.withResolvers<void>()
  private failures = 0

  constructor(options: ReflectorOptions) {
    this.options = options
    this.type = options.type
    this.index = new LabelIndex(options.indexed ?? [])
  }

  /** When everything has been seen once. */
  get whenSynced(): Promise<void> {
    return this.synced.promise
  }

  get(namespace: string, name: string): KubeObject | undefined {
    return this.objects.get(`${namespace}/${name}`)
  }

  list(): readonly KubeObject[] {
    return [...this.objects.values()]
  }

  /** Those with this value of an indexed label. */
  labelled(label: string, value: string): readonly KubeObject[] {
    return this.index.get(label, value)
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log, type } = this.options
    while (!signal.aborted) {
      try {
        await this.follow(signal)
      } catch (error) {
        if (signal.aborted) return
        if (isReason(error, 'Expired')) this.version = undefined
        else log.warn(`watching ${type.plural} failed, and is tried again`, { error: String(error), failures: this.failures + 1 })
        const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.failures++, 20))
        await sleep(clock, delayMs * (0.5 + 0.5 * random.next()), signal).catch(() => {})
      }
    }
  }

  /** What a write of one's own has answered. */
  seen(object: KubeObject): void {
    const key = keyOf(object)
    const before = this.objects.get(key)
    if (this.gone.has(object.metadata.uid ?? '') || (before !== undefined && !isNewer(object, before))) return
    this.ahead.add(key)
    this.put(key, object)
  }

  private async follow(signal: AbortSignal): Promise<void> {
    const { api, type, selection = {}, clock } = this.options
    if (clock.monotonicMs() - this.listedMs >= RELIST_MS) this.version = undefined
    if (this.version === undefined) {
      const { items, resourceVersion } = await api.list(type, selection)
      if (signal.aborted) return
      this.replace(items, resourceVersion)
      this.version = resourceVersion
      this.listedMs = clock.monotonicMs()
      this.synced.resolve()
    }
    for await (const event of api.watch(type, { ...selection, resourceVersion: this.version }, signal)) {
      this.failures = 0
      if (event.type === 'BOOKMARK') {
        this.version = event.resourceVersion
        continue
      }
      const { object } = event
      if (this.goesBack(object)) return
      this.version = object.metadata.resourceVersion ?? this.version
      if (event.type === 'DELETED') this.drop(object)
      else this.take(object)
    }
  }

  /** A server that was put back to an earlier state counts from there again: everything may be different. */
  private goesBack(object: KubeObject): boolean {
    const key = keyOf(object)
    const before = this.objects.get(key)
    if (before === undefined || this.ahead.has(key) || before.metadata.uid !== object.metadata.uid || !isNewer(before, object)) return false
    this.options.log.warn(
      `${this.type.kind} ${key} went back from version ${before.metadata.resourceVersion} to ${object.metadata.resourceVersion}: all are listed anew`,
    )
    this.version = undefined
    // What is listed next counts, whatever its version.
    this.ahead.clear()
    return true
  }

  private take(object: KubeObject): void {
    const key = keyOf(object)
    const before = this.objects.get(key)
    if (before !== undefined && this.ahead.has(key) && isNewer(before, object)) return
    this.ahead.delete(key)
    if (before?.metadata.resourceVersion !== object.metadata.resourceVersion) this.put(key, object)
  }

  private drop(object: KubeObject): void {
    const key = keyOf(object)
    this.bury(object)
    // By an answer it may be known already that another one of that name is there.
    if (this.objects.get(key)?.metadata.uid !== object.metadata.uid) return
    this.ahead.delete(key)
    this.index.replace(key, this.objects.get(key), undefined)
    this.objects.delete(key)
    this.options.onChange(object, undefined)
  }

  private replace(items: readonly KubeObject[], version: string): void {
    const listed = new Map(items.map(item => [keyOf(item), item]))
    for (const [key, object] of this.objects) {
      if (listed.has(key) || (this.ahead.has(key) && Number(object.metadata.resourceVersion) > Number(version))) continue
      this.drop(object)
    }
    for (const object of items) this.take(object)
  }

  private put(key: string, object: KubeObject): void {
    const before = this.objects.get(key)
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) this.bury(before)
    const kept = this.options.keep?.(object) ?? object
    this.index.replace(key, before, kept)
    this.objects.set(key, kept)
    this.options.onChange(before, kept)
  }

  private bury({ metadata: { uid } }: KubeObject): void {
    if (uid === undefined) return
    this.gone.add(uid)
    const oldest = this.gone.values().next().value
    if (this.gone.size > TOMBSTONES_MAX && oldest !== undefined) this.gone.delete(oldest)
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`
}

/** Versions of one server are numbers that grow; only here are they compared, and only for objects of one name. */
function isNewer(a: KubeObject, b: KubeObject): boolean {
  return Number(a.metadata.resourceVersion) > Number(b.metadata.resourceVersion)
}
