import { type ErrorCode, FlinkError } from '../../runtime/common/errors.ts'

/**
 * The API server as everything in the operator knows it: objects as plain JSON, with Kubernetes' rules. Two speak it: `KubeApi` over HTTPS, and `LocalApiServer` in
 * memory, which `millrace up` and the simulation run. One contract suite (test/support/object-api-contract.ts) holds both to the same answers; where they differ,
 * LocalApiServer is wrong.
 *
 * What callers may rely on:
 * - `resourceVersion` changes with every write that changes anything, and is only ever compared for equality, or handed back to `watch`. A write that changes nothing
 *   changes no version and wakes no watcher.
 * - `generation` grows with every change of `spec`; `status` is written by `updateStatus` only, which changes nothing else.
 * - An object with finalizers that is deleted gets a `deletionTimestamp` and goes with its last finalizer; nobody can add finalizers then.
 * - A pod on a node that is deleted gets a `deletionTimestamp`, by which it is to have ended, and goes when its kubelet says that it has: by a deletion by force.
 * - Objects whose owners have all gone go too, in the background: never at once.
 * - A write is answered once it is durable. `OUTCOME_UNKNOWN` says that it may have happened or not: read again, and decide anew. Every other error says that it has not.
 * - Objects that are handed out are never changed afterwards, by neither side.
 */
export interface ObjectApi {
  get(type: ResourceType, namespace: string, name: string): Promise<KubeObject>
  /** Consistent: what was written before is in it. */
  list(type: ResourceType, selection?: Selection): Promise<ObjectList>
  /**
   * Changes behind `resourceVersion`, in their order, each once. Ends by itself when the server ends it (`watch` again from the last version seen), and throws:
   * `Expired` when that version is forgotten (list again), any other error when the connection fails. `signal` ends it without an error.
   */
  watch(type: ResourceType, from: Selection & { readonly resourceVersion: string }, signal: AbortSignal): AsyncIterable<WatchEvent>
  /** A status in it is ignored. */
  create(object: KubeObject): Promise<KubeObject>
  /**
   * Server-side apply, by force: afterwards the fields named here have these values, those that the same `fieldManager` named before and names no more are gone, and
   * all others are as they were. Makes the object where it is missing.
   */
  apply(object: KubeObject, fieldManager: string): Promise<KubeObject>
  /** Replaces the status; `Conflict` when `metadata.resourceVersion` is not the newest. */
  updateStatus(object: KubeObject): Promise<KubeObject>
  /** Labels and annotations: null removes one. Finalizers: the whole list. `Conflict` when `metadata.resourceVersion` is not the newest. */
  patchMetadata(object: KubeObject, change: MetadataChange): Promise<KubeObject>
  /** Answers when it is noted down, not when it is gone. */
  delete(type: ResourceType, namespace: string, name: string, options?: DeleteOptions): Promise<void>
}

/** One kind of objects; all that we use are in namespaces. */
export interface ResourceType {
  /** Empty for those of the core. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  /** Got, listed and watched without what is in them: objects that are there in large numbers, or that nobody needs to know. */
  readonly isMetadataOnly?: true
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  readonly name: string
  readonly namespace: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
}

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec?: unknown
  readonly status?: unknown
  /** `data` of ConfigMaps and Secrets, and whatever else a kind has beside. */
  readonly [field: string]: unknown
}

export interface Selection {
  /** Undefined = all. */
  readonly namespace?: string | undefined
  /** Labels with exactly these values. */
  readonly labels?: Readonly<Record<string, string>> | undefined
}

export interface ObjectList {
  readonly items: readonly KubeObject[]
  /** From which `watch` goes on. */
  readonly resourceVersion: string
}

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: KubeObject }
  /** Nothing of the selection has changed up to here. */
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

export interface MetadataChange {
  readonly labels?: Readonly<Record<string, string | null>>
  readonly annotations?: Readonly<Record<string, string | null>>
  readonly finalizers?: readonly string[]
}

export interface DeleteOptions {
  /** Of a pod on a node: at once, though its kubelet has not said that it has ended. */
  readonly isForced?: boolean
  /** `Conflict` when the object of that name is another one by now. */
  readonly uid?: string
  readonly resourceVersion?: string
}

/** Of an object's metadata, what its maker may say; the rest is the server's. */
export function givenMetadata({ name, namespace, labels, annotations, finalizers, ownerReferences }: ObjectMeta): ObjectMeta {
  const optional = Object.entries({ labels, annotations, finalizers, ownerReferences }).filter(([, value]) => value !== undefined)
  return { name, namespace, ...Object.fromEntries(optional) }
}

/** Kubernetes' reasons (metav1.StatusReason), with what each means for a caller, and two for answers that did not come. */
const reasons = {
  NotFound: 'NOT_FOUND',
  /** `create` only: the name is taken. */
  AlreadyExists: 'CONFLICT',
  /** It was changed since it was read: read it again, and decide anew. */
  Conflict: 'CONFLICT',
  /** The schema, a rule or a webhook refuses it. */
  Invalid: 'INVALID_MANIFEST',
  BadRequest: 'INVALID_MANIFEST',
  Unauthorized: 'UNAUTHENTICATED',
  Forbidden: 'UNAUTHENTICATED',
  /** 410: a version that is forgotten. */
  Expired: 'EXTERNAL_SYSTEM',
  /** 413, or a limit of etcd. */
  RequestEntityTooLarge: 'INVALID_MANIFEST',
  TooManyRequests: 'EXTERNAL_SYSTEM',
  ServerTimeout: 'EXTERNAL_SYSTEM',
  InternalError: 'EXTERNAL_SYSTEM',
  ServiceUnavailable: 'EXTERNAL_SYSTEM',
  /** Nobody answers, and nothing was sent or what was sent changes nothing. */
  Unreachable: 'CONNECTION_LOST',
  /** A write without an answer. */
  OutcomeUnknown: 'OUTCOME_UNKNOWN',
} as const satisfies Record<string, ErrorCode>

export type Reason = keyof typeof reasons

export class KubeError extends FlinkError {
  readonly reason: Reason
  /** What the server asks for. */
  readonly retryAfterMs: number | undefined

  constructor(reason: Reason, message: string, options: { readonly retryAfterMs?: number; readonly cause?: unknown } = {}) {
    super(reasons[reason], message, { reason }, options.cause)
    this.reason = reason
    this.retryAfterMs = options.retryAfterMs
  }
}

export function isReason(error: unknown, ...wanted: readonly Reason[]): boolean {
  return error instanceof KubeError && wanted.includes(error.reason)
}
