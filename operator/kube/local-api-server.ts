import type { Clock } from '../../runtime/common/clock.ts'
import { newId } from '../../runtime/common/ids.ts'
import type { Random } from '../../runtime/common/random.ts'
import {
  type DeleteOptions,
  givenMetadata,
  isReason,
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
import { apiVersionOf, events, hasGeneration, hasStatus, typeOf } from './resources.ts'
import { applied, changed, mergePatched, type Owners, same } from './server-side-apply.ts'
import { selects, WatchHistory } from './watch-history.ts'

/**
 * An API server in memory, for `millrace up` and for the simulation. The contract suite holds it to the answers of a real kube-apiserver; what it does not have
 * (discovery, admission webhooks, other kinds than those of resources.ts) nobody of ours asks for.
 *
 * Writes go one after the other: worked out, checked by `admit`, made durable by `persist`, and only then to be seen. A `persist` that fails has written nothing.
 * What has lost its last owner is collected by `collectGarbage`, which runs by the clock a moment after whatever may call for it, never within it.
 * Who owns which fields is kept apart from the objects, and persisted in them as Kubernetes does it: in `metadata.managedFields`.
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
  readonly owners: Owners
}

/** Each keeps the objects as they were: watchers of this process are never far behind. */
const EVENT_TTL_MS = 3_600_000
const HISTORY_MAX = 1_000
/** The limit of etcd for a request. */
const OBJECT_BYTES_MAX = 1.5 * 1024 * 1024
const GARBAGE_RETRY_MS = 1_000
/** Kubernetes' terminationGracePeriodSeconds, where a pod says no other. */
const POD_GRACE_MS = 30_000

export class LocalApiServer implements ObjectApi {
  private readonly options: LocalApiServerOptions
  private readonly history: WatchHistory
  private readonly objects = new Map<string, Stored>()
  private version = 0
  private writing: Promise<unknown> = Promise.resolve()
  private isCollectionDue = false

  constructor(options: LocalApiServerOptions) {
    this.options = options
    this.history = new WatchHistory(options.historyMax ?? HISTORY_MAX)
  }

  /** What an earlier one has persisted, owners with what they own. Nobody watches yet. */
  load(objects: readonly KubeObject[]): void {
    for (const persisted of objects) {
      const { managedFields: owners = [], ...metadata } = persisted.metadata as ObjectMeta & { readonly managedFields?: Owners }
      const object = { ...persisted, metadata }
      this.objects.set(keyOf(object), { type: typeOf(object), object, owners })
      this.version = Math.max(this.version, Number(metadata.resourceVersion ?? 0))
    }
    this.history.forget(this.version)
    this.collectSoon(0)
  }

  /** Forgets what happened up to now. */
  compact(): void {
    this.history.forget(this.version)
  }

  async get(type: ResourceType, namespace: string, name: string): Promise<KubeObject> {
    const { object } = this.require(storedType(type), namespace, name)
    return type.isMetadataOnly === true ? metadataOf(object) : object
  }

  async list(type: ResourceType, selection: Selection = {}): Promise<ObjectList> {
    const of = storedType(type)
    const found = [...this.objects.values()].filter(each => each.type === of && selects(selection, each.object))
    const items = found.map(({ object }) => (type.isMetadataOnly === true ? metadataOf(object) : object))
    const order = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`
    return { items: items.sort((a, b) => (order(a) < order(b) ? -1 : 1)), resourceVersion: String(this.version) }
  }

  watch(type: ResourceType, from: Selection & { readonly resourceVersion: string }, signal: AbortSignal): AsyncIterable<WatchEvent> {
    const events = this.history.watch(storedType(type), from, Number(from.resourceVersion), () => this.version, signal)
    return type.isMetadataOnly === true ? metadataEvents(events) : events
  }

  create(object: KubeObject): Promise<KubeObject> {
    return this.write(async () => {
      if (this.objects.has(keyOf(object))) throw new KubeError('AlreadyExists', `${named(object)} already exists`)
      const wanted = given(object)
      const made = { ...wanted, metadata: filled(wanted.metadata) }
      return this.put(undefined, made, changed(undefined, made, []))
    })
  }

  apply(object: KubeObject, fieldManager: string): Promise<KubeObject> {
    return this.write(async () => {
      const next = given(object)
      const before = this.objects.get(keyOf(object))
      if (before === undefined) return this.put(undefined, next, applied(next, next, fieldManager, []).owners)
      requireNewest(before.object, object.metadata.resourceVersion)
      const { object: wanted, owners } = applied(before.object, next, fieldManager, before.owners)
      // It starts from the object as it is: it has all that an object has.
      return this.put(before, wanted as unknown as KubeObject, owners)
    })
  }

  updateStatus(object: KubeObject): Promise<KubeObject> {
    return this.write(async () => {
      const type = typeOf(object)
      if (!hasStatus(type)) throw new KubeError('NotFound', 'the server could not find the requested resource')
      const before = this.require(type, object.metadata.namespace, object.metadata.name)
      const { resourceVersion, uid } = object.metadata
      if (resourceVersion === undefined)
        throw new KubeError('Invalid', `${named(object)} is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update`)
      requireSame(before.object, uid)
      requireNewest(before.object, resourceVersion)
      return this.put(before, { ...before.object, status: plain(object).status }, before.owners)
    })
  }

  patchMetadata(object: KubeObject, change: MetadataChange): Promise<KubeObject> {
    return this.write(async () => {
      const before = this.require(typeOf(object), object.metadata.namespace, object.metadata.name)
      requireNewest(before.object, object.metadata.resourceVersion)
      requireSame(before.object, object.metadata.uid)
      const wanted = { ...before.object, metadata: filled(mergePatched(before.object.metadata, plain(change)) as ObjectMeta) }
      return this.put(before, wanted, changed(before.object, wanted, before.owners))
    })
  }

  async delete(type: ResourceType, namespace: string, name: string, { uid, resourceVersion, isForced = false }: DeleteOptions = {}): Promise<void> {
    await this.write(async () => {
      const before = this.require(type, namespace, name)
      requireSame(before.object, uid)
      requireNewest(before.object, resourceVersion)
      const { metadata } = before.object
      const isHeld = isOnNode(before.object) && !isForced
      if ((metadata.finalizers ?? []).length === 0 && !isHeld) return this.remove(before)
      if (metadata.deletionTimestamp !== undefined) return before.object
      const generation = metadata.generation === undefined ? {} : { generation: metadata.generation + 1 }
      const deletionTimestamp = this.now(isHeld ? POD_GRACE_MS : 0)
      return this.commit(before, { ...before.object, metadata: { ...metadata, ...generation, deletionTimestamp } }, before.owners)
    })
  }

  /** Removes what has owners, none of which is there any more. Answers when nothing is left to remove. */
  async collectGarbage(): Promise<void> {
    for (let orphans = this.orphans(); orphans.length > 0; orphans = this.orphans())
      for (const { type, object } of orphans) {
        const { namespace, name, uid } = object.metadata
        await this.delete(type, namespace, name, uid === undefined ? {} : { uid }).catch((error: unknown) => {
          // Somebody else was faster.
          if (!isReason(error, 'NotFound', 'Conflict')) throw error
        })
      }
  }

  private orphans(): readonly Stored[] {
    const stored = [...this.objects.values()]
    const uids = new Set(stored.map(({ object }) => object.metadata.uid))
    return stored.filter(({ object: { metadata } }) => {
      const owners = metadata.ownerReferences ?? []
      return metadata.deletionTimestamp === undefined && owners.length > 0 && owners.every(({ uid }) => !uids.has(uid))
    })
  }

  private write<T>(work: () => Promise<T>): Promise<T> {
    const done = this.writing.then(work)
    this.writing = done.catch(() => {})
    return done
  }

  /** A moment later. What could not be collected, because it could not be persisted, is tried again. */
  private collectSoon(delayMs: number): void {
    if (this.isCollectionDue) return
    this.isCollectionDue = true
    this.options.clock.schedule(delayMs, () => {
      this.isCollectionDue = false
      this.collectGarbage().catch(() => this.collectSoon(GARBAGE_RETRY_MS))
    })
  }

  /** A new object, or another state of one: what the server itself says of it is worked out here. */
  private put(before: Stored | undefined, wanted: KubeObject, owners: Owners): Promise<KubeObject> {
    const type = typeOf(wanted)
    const admitted = this.options.admit?.(wanted, before?.object) ?? wanted
    const { status, ...rest } = admitted
    const old = before?.object
    if (old !== undefined) requireNoNewFinalizers(old, admitted.metadata)
    const metadata: ObjectMeta =
      old === undefined
        ? {
            ...filled(admitted.metadata),
            uid: uuid(newId(this.options.random)),
            creationTimestamp: this.now(),
            ...(hasGeneration(type) ? { generation: 1 } : {}),
          }
        : {
            ...filled(admitted.metadata),
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
      return this.remove(before, next)
    return this.commit(before, next, owners)
  }

  private async commit(before: Stored | undefined, next: KubeObject, owners: Owners): Promise<KubeObject> {
    const type = typeOf(next)
    if (before !== undefined && same(before.object, next) && same(before.owners, owners)) return before.object
    if (Buffer.byteLength(JSON.stringify(next)) > OBJECT_BYTES_MAX)
      throw new KubeError('RequestEntityTooLarge', `${named(next)}: the request is too large`)
    const version = this.version + 1
    const object: KubeObject = { ...next, metadata: { ...next.metadata, resourceVersion: String(version) } }
    const managedFields = { managedFields: owners }
    await this.options.persist?.({ object: { ...object, metadata: { ...object.metadata, ...managedFields } }, isRemoved: false })
    this.version = version
    this.objects.set(keyOf(object), { type, object, owners })
    this.history.add({ version, type, before: before?.object, after: object })
    if (before === undefined && object.metadata.ownerReferences !== undefined) this.collectSoon(0)
    if (before === undefined && type === events) this.expire(object)
    return object
  }

  /** An hour after it was first told, as kube-apiserver does by default (`--event-ttl`). */
  private expire({ metadata: { namespace, name, uid } }: KubeObject): void {
    this.options.clock.schedule(EVENT_TTL_MS, () => {
      // It may have gone before.
      this.delete(events, namespace, name, uid === undefined ? {} : { uid }).catch(() => {})
    })
  }

  /** `last`: as what its last write leaves it, which nobody else gets to see. */
  private async remove(before: Stored, last = before.object): Promise<KubeObject> {
    const { type, object } = before
    await this.options.persist?.({ object, isRemoved: true })
    this.version++
    this.objects.delete(keyOf(object))
    this.history.add({ version: this.version, type, before: object, after: undefined })
    this.collectSoon(0)
    return last
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

function storedType(type: ResourceType): ResourceType {
  return type.isMetadataOnly === true ? typeOf({ apiVersion: apiVersionOf(type), kind: type.kind }) : type
}

function metadataOf({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  return { apiVersion, kind, metadata }
}

async function* metadataEvents(events: AsyncIterable<WatchEvent>): AsyncGenerator<WatchEvent> {
  for await (const event of events) yield event.type === 'BOOKMARK' ? event : { ...event, object: metadataOf(event.object) }
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

/** What a client may say of an object when it makes or applies it. */
function given(object: KubeObject): KubeObject {
  const { status: _status, metadata, ...rest } = plain(object)
  return { ...rest, metadata: givenMetadata(metadata) }
}

/** Empty lists and maps are none. */
function filled(metadata: ObjectMeta): ObjectMeta {
  const isEmpty = (value: unknown) => typeof value === 'object' && value !== null && Object.keys(value).length === 0
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => !isEmpty(value))) as unknown as ObjectMeta
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

function requireNoNewFinalizers(object: KubeObject, { finalizers = [] }: ObjectMeta): void {
  const { deletionTimestamp, finalizers: present = [] } = object.metadata
  const added = finalizers.filter(finalizer => !present.includes(finalizer))
  if (deletionTimestamp === undefined || added.length === 0) return
  throw new KubeError(
    'Invalid',
    `${named(object)} is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
  )
}

/** What a server gets to see of it: JSON, shared with nobody. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

function uuid(id: string): string {
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
