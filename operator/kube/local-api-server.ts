import type { Clock } from '../../runtime/common/clock.ts'
import { newId } from '../../runtime/common/ids.ts'
import type { Random } from '../../runtime/common/random.ts'
import {
  type DeleteOptions,
  KubeError,
  type KubeObject,
  type MetadataChange,
  type ObjectApi,
  type ObjectList,
  type ObjectMeta,
  type ResourceType,
  type Selection,
  type WatchEvent,
} from './object-api.ts'
import { hasGeneration, hasStatus, typeOf } from './resources.ts'
import { applied, mergePatched } from './server-side-apply.ts'
import { selects, WatchHistory } from './watch-history.ts'

/**
 * An API server in memory, for `millrace up` and for the simulation. The contract suite holds it to the answers of a real kube-apiserver; what it does not have
 * (discovery, admission webhooks, other kinds than those of resources.ts) nobody of ours asks for.
 *
 * Writes go one after the other: worked out, checked by `admit`, made durable by `persist`, and only then to be seen. A `persist` that fails has written nothing.
 * What loses its last owner is collected by `collectGarbage`, which runs by the clock a moment after each removal, never within it.
 */
export interface LocalApiServerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Answers the object with its defaults, or throws `Invalid`. */
  readonly admit?: (object: KubeObject, before: KubeObject | undefined) => KubeObject
  readonly persist?: (change: { readonly object: KubeObject; readonly isRemoved: boolean }) => Promise<void>
  /** Changes that watchers may be behind. */
  readonly historyMax?: number
}

interface Stored {
  readonly type: ResourceType
  readonly object: KubeObject
  /** What each field manager applied last. */
  readonly applied: ReadonlyMap<string, Readonly<Record<string, unknown>>>
}

const HISTORY_MAX = 10_000
/** Kubernetes' terminationGracePeriodSeconds, where a pod says no other. */
const POD_GRACE_MS = 30_000

export class LocalApiServer implements ObjectApi {
  private readonly options: LocalApiServerOptions
  private readonly history: WatchHistory
  private readonly objects = new Map<string, Stored>()
  private version = 0
  private writing: Promise<unknown> = Promise.resolve()

  constructor(options: LocalApiServerOptions) {
    this.options = options
    this.history = new WatchHistory(options.historyMax ?? HISTORY_MAX)
  }

  /** What an earlier one has persisted. Nobody watches yet. */
  load(objects: readonly KubeObject[]): void {
    for (const object of objects) {
      this.objects.set(keyOf(object), { type: typeOf(object), object, applied: new Map() })
      this.version = Math.max(this.version, Number(object.metadata.resourceVersion ?? 0))
    }
    this.history.forget(this.version)
  }

  /** Forgets what happened up to now. */
  compact(): void {
    this.history.forget(this.version)
  }

  async get(type: ResourceType, namespace: string, name: string): Promise<KubeObject> {
    return this.require(type, namespace, name).object
  }

  async list(type: ResourceType, selection: Selection = {}): Promise<ObjectList> {
    const items = [...this.objects.values()].filter(each => each.type === type && selects(selection, each.object)).map(({ object }) => object)
    const order = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`
    return { items: items.sort((a, b) => (order(a) < order(b) ? -1 : 1)), resourceVersion: String(this.version) }
  }

  watch(type: ResourceType, from: Selection & { readonly resourceVersion: string }, signal: AbortSignal): AsyncIterable<WatchEvent> {
    return this.history.watch(type, from, Number(from.resourceVersion), () => this.version, signal)
  }

  create(object: KubeObject): Promise<KubeObject> {
    return this.write(async () => {
      const key = keyOf(object)
      if (this.objects.has(key)) throw new KubeError('AlreadyExists', `${named(object)} already exists`)
      return this.put(undefined, plain(object), new Map())
    })
  }

  apply(object: KubeObject, fieldManager: string): Promise<KubeObject> {
    return this.write(async () => {
      const { metadata, status: _status, ...rest } = plain(object)
      const { resourceVersion, uid: _uid, generation: _generation, creationTimestamp: _created, deletionTimestamp: _deleted, ...named } = metadata
      const next = { ...rest, metadata: named }
      const before = this.objects.get(keyOf(object))
      if (before === undefined) return this.put(undefined, plain(next as KubeObject), new Map([[fieldManager, next]]))
      if (resourceVersion !== undefined) requireNewest(before.object, resourceVersion)
      const others = [...before.applied].flatMap(([manager, fields]) => (manager === fieldManager ? [] : [fields]))
      const changed = applied(before.object, next, before.applied.get(fieldManager), others)
      // `applied` starts from the object as it is: it has all that an object has.
      return this.put(before, changed as unknown as KubeObject, new Map([...before.applied, [fieldManager, next]]))
    })
  }

  updateStatus(object: KubeObject): Promise<KubeObject> {
    return this.write(async () => {
      const before = this.require(typeOf(object), object.metadata.namespace, object.metadata.name)
      const { resourceVersion, uid } = object.metadata
      if (resourceVersion === undefined)
        throw new KubeError('Invalid', `${named(object)} is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update`)
      requireSame(before.object, uid)
      requireNewest(before.object, resourceVersion)
      return this.put(before, { ...before.object, status: plain(object).status }, before.applied)
    })
  }

  patchMetadata(object: KubeObject, change: MetadataChange): Promise<KubeObject> {
    return this.write(async () => {
      const before = this.require(typeOf(object), object.metadata.namespace, object.metadata.name)
      requireSame(before.object, object.metadata.uid)
      requireNewest(before.object, object.metadata.resourceVersion)
      const { deletionTimestamp, finalizers = [] } = before.object.metadata
      const added = (change.finalizers ?? []).filter(finalizer => !finalizers.includes(finalizer))
      if (deletionTimestamp !== undefined && added.length > 0)
        throw new KubeError(
          'Invalid',
          `${named(object)} is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
        )
      return this.put(before, { ...before.object, metadata: mergePatched(before.object.metadata, plain(change)) as ObjectMeta }, before.applied)
    })
  }

  async delete(type: ResourceType, namespace: string, name: string, { uid, resourceVersion, isForced = false }: DeleteOptions = {}): Promise<void> {
    await this.write(async () => {
      const before = this.require(type, namespace, name)
      requireSame(before.object, uid)
      if (resourceVersion !== undefined) requireNewest(before.object, resourceVersion)
      const { metadata } = before.object
      const isHeld = isOnNode(before.object) && !isForced
      if ((metadata.finalizers ?? []).length === 0 && !isHeld) return this.remove(before)
      if (metadata.deletionTimestamp !== undefined) return before.object
      const generation = metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }
      return this.commit(
        before,
        { ...before.object, metadata: { ...metadata, ...generation, deletionTimestamp: this.now(isHeld ? POD_GRACE_MS : 0) } },
        before.applied,
      )
    })
  }

  /** Removes what has owners, none of which is there any more. Answers when nothing is left to remove. */
  async collectGarbage(): Promise<void> {
    for (;;) {
      const uids = new Set([...this.objects.values()].map(({ object }) => object.metadata.uid))
      const orphan = [...this.objects.values()].find(({ object: { metadata } }) => {
        const owners = metadata.ownerReferences ?? []
        return metadata.deletionTimestamp === undefined && owners.length > 0 && owners.every(({ uid }) => !uids.has(uid))
      })
      if (orphan === undefined) return
      const { metadata } = orphan.object
      const { uid } = metadata
      await this.delete(orphan.type, metadata.namespace, metadata.name, uid === undefined ? {} : { uid }).catch((error: unknown) => {
        // Somebody else was faster.
        if (!(error instanceof KubeError) || error.reason !== 'NotFound') throw error
      })
    }
  }

  private write<T>(work: () => Promise<T>): Promise<T> {
    const done = this.writing.then(work)
    this.writing = done.catch(() => {})
    return done
  }

  /** A new object, or another state of one: what the server itself says of it is worked out here. */
  private put(before: Stored | undefined, wanted: KubeObject, managers: Stored['applied']): Promise<KubeObject> {
    const type = typeOf(wanted)
    const admitted = this.options.admit?.(wanted, before?.object) ?? wanted
    const { status, ...rest } = admitted
    const old = before?.object
    const metadata: ObjectMeta =
      old === undefined
        ? {
            ...requireNamed(admitted),
            uid: uuid(newId(this.options.random)),
            creationTimestamp: this.now(),
            ...(hasGeneration(type) ? { generation: 1 } : {}),
          }
        : {
            ...admitted.metadata,
            ...(hasGeneration(type) ? { generation: (old.metadata.generation ?? 0) + (same(old.spec, admitted.spec) ? 0 : 1) } : {}),
          }
    const kept = old === undefined && hasStatus(type) ? {} : status === undefined ? {} : { status }
    const next: KubeObject = { ...rest, metadata, ...kept }
    if (
      old !== undefined &&
      metadata.deletionTimestamp !== undefined &&
      (metadata.finalizers ?? []).length === 0 &&
      !isOnNode(old) &&
      before !== undefined
    )
      return this.remove(before)
    return this.commit(before, next, managers)
  }

  private async commit(before: Stored | undefined, next: KubeObject, managers: Stored['applied']): Promise<KubeObject> {
    const type = typeOf(next)
    if (before !== undefined && same(before.object, next)) {
      this.objects.set(keyOf(next), { ...before, applied: managers })
      return before.object
    }
    const version = this.version + 1
    const object: KubeObject = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } }
    await this.options.persist?.({ object, isRemoved: false })
    this.version = version
    this.objects.set(keyOf(object), { type, object, applied: managers })
    this.history.add({ version, type, before: before?.object, after: object })
    return object
  }

  private async remove(before: Stored): Promise<KubeObject> {
    const { type, object } = before
    await this.options.persist?.({ object, isRemoved: true })
    this.version++
    this.objects.delete(keyOf(object))
    this.history.add({ version: this.version, type, before: object, after: undefined })
    this.options.clock.schedule(0, () => void this.collectGarbage())
    return object
  }

  private require(type: ResourceType, namespace: string, name: string): Stored {
    const stored = this.objects.get(`${type.kind}/${namespace}/${name}`)
    if (stored === undefined) throw new KubeError('NotFound', `${type.plural}${type.group === '' ? '' : `.${type.group}`} "${name}" not found`)
    return stored
  }

  /** Whole seconds, as Kubernetes writes them. */
  private now(afterMs = 0): string {
    return new Date(Math.floor((this.options.clock.nowMs() + afterMs) / 1_000) * 1_000).toISOString().replace('.000Z', 'Z')
  }
}

/** Its kubelet has to say that it has ended. */
function isOnNode({ kind, spec }: KubeObject): boolean {
  return kind === 'Pod' && (spec as { readonly nodeName?: string } | undefined)?.nodeName !== undefined
}

function keyOf({ kind, metadata }: KubeObject): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`
}

function named(object: KubeObject): string {
  const { plural, group } = typeOf(object)
  return `${plural}${group === '' ? '' : `.${group}`} "${object.metadata.name}"`
}

function requireNamed({ metadata }: KubeObject): ObjectMeta {
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = metadata
  return {
    name,
    namespace,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(finalizers === undefined ? {} : { finalizers }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  }
}

function requireSame({ metadata }: KubeObject, uid: string | undefined): void {
  if (uid === undefined || uid === metadata.uid) return
  throw new KubeError('Conflict', `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`)
}

function requireNewest(object: KubeObject, resourceVersion: string | undefined): void {
  if (resourceVersion === undefined || resourceVersion === object.metadata.resourceVersion) return
  throw new KubeError(
    'Conflict',
    `Operation cannot be fulfilled on ${named(object)}: the object has been modified; please apply your changes to the latest version and try again`,
  )
}

/** What a server gets to see of it: JSON, shared with nobody. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const [left, right] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>]
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  return [...keys].every(key => same(left[key], right[key]))
}

function uuid(id: string): string {
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
