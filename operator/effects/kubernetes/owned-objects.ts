import type { Clock } from '../../../runtime/common/clock.ts'
import { FlinkError } from '../../../runtime/common/errors.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../../kube/object-api.ts'
import { pods, typeOf } from '../../kube/resources.ts'
import type { ClusterOwner } from './objects.ts'
import { asPod, type Pod } from './pods.ts'

/**
 * The objects of one owner at the API server. What has the name of one of ours and is controlled by somebody else is neither taken over nor deleted: it may be of an earlier
 * object of that name, and go by itself, or somebody's own.
 */
const FIELD_MANAGER = 'millrace'
/** Another one than of the whole object, or an apply of a part would remove the rest. */
const SCALE_MANAGER = 'millrace-scale'

export class OwnedObjects {
  private readonly api: ObjectApi
  private readonly owner: ClusterOwner
  private readonly clock: Clock
  private readonly written: (object: KubeObject) => void

  /** `written` hears the answers of writes. */
  constructor(api: ObjectApi, owner: ClusterOwner, clock: Clock, written: (object: KubeObject) => void = () => {}) {
    this.written = written
    this.api = api
    this.owner = owner
    this.clock = clock
  }

  /** Whoever it is of. */
  async find(type: ResourceType, name: string): Promise<KubeObject | undefined> {
    try {
      return await this.api.get(type, this.owner.namespace, name)
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  isOurs({ metadata }: Pick<KubeObject, 'metadata'>): boolean {
    return controllerOf({ metadata })?.uid === this.owner.uid
  }

  /** What keeps the name from being ours. */
  foreignMessage(object: KubeObject): string {
    const { kind, metadata } = object
    const controller = controllerOf(object)
    const whose = controller === undefined ? 'nobody controls it' : `it is of ${controller.kind} ${controller.name} (uid ${controller.uid})`
    return `${kind} ${metadata.namespace}/${metadata.name} is there already, and not of ${this.owner.kind} ${this.owner.name} (uid ${this.owner.uid}): ${whose}`
  }

  async apply(object: KubeObject): Promise<void> {
    await this.requireOurs(typeOf(object), object.metadata.name)
    try {
      this.written(await this.api.apply(object, FIELD_MANAGER))
    } catch (error) {
      // A quota is full now, and may not be later.
      if (isReason(error, 'Forbidden') && String(error).includes('exceeded quota'))
        throw new FlinkError('EXTERNAL_SYSTEM', (error as Error).message, {}, error)
      throw error
    }
  }

  /** Only how many: the rest of it stays as it was applied. */
  async scale({ apiVersion, kind, metadata }: KubeObject, replicas: number): Promise<void> {
    const { name, namespace } = metadata
    this.written(await this.api.apply({ apiVersion, kind, metadata: { name, namespace }, spec: { replicas } }, SCALE_MANAGER))
  }

  /** One that is there stays as it is. Answers whether it was made. */
  async createOnce(object: KubeObject): Promise<boolean> {
    try {
      this.written(await this.api.create(object))
      return true
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error
      await this.requireOurs(typeOf(object), object.metadata.name)
      return false
    }
  }

  /** Nothing happens where it is not there, or not ours. */
  async remove(type: ResourceType, name: string, isForced = false): Promise<void> {
    const object = await this.find(type, name)
    if (object?.metadata.uid === undefined || !this.isOurs(object)) return
    await this.removeExactly(type, object, isForced)
  }

  async removeExactly(type: ResourceType, { metadata }: Pick<KubeObject, 'metadata'>, isForced = false): Promise<void> {
    const { name, uid } = metadata
    try {
      await this.api.delete(type, this.owner.namespace, name, { ...(uid === undefined ? {} : { uid }), isForced })
    } catch (error) {
      if (isReason(error, 'NotFound')) return
      if (!isReason(error, 'Conflict')) throw error
      // Another one has the name by now, or nobody has said why: what is still there would be waited for.
      if ((await this.find(type, name))?.metadata.uid === uid) throw error
    }
  }

  async list(type: ResourceType, labels: Readonly<Record<string, string>>): Promise<readonly KubeObject[]> {
    return (await this.api.list(type, { namespace: this.owner.namespace, labels })).items
  }

  /** Answers when no pod with these labels is left that `counts`; rejects with TIMEOUT, which names those that are. */
  async podsGone(labels: Readonly<Record<string, string>>, counts: (pod: Pod) => boolean, timeoutMs: number): Promise<void> {
    const selection = { namespace: this.owner.namespace, labels }
    const ending = new AbortController()
    const deadline = this.clock.schedule(timeoutMs, () => ending.abort())
    try {
      for (;;) {
        const { items, resourceVersion } = await this.api.list(pods, selection)
        const left = new Map(items.filter(pod => counts(asPod(pod))).map(pod => [pod.metadata.uid, pod.metadata.name]))
        if (left.size === 0) return
        try {
          for await (const event of this.api.watch(pods, { ...selection, resourceVersion }, ending.signal)) {
            if (event.type === 'BOOKMARK') continue
            const { uid, name } = event.object.metadata
            if (event.type === 'DELETED' || !counts(asPod(event.object))) left.delete(uid)
            else left.set(uid, name)
            if (left.size === 0) return
          }
        } catch (error) {
          if (!isReason(error, 'Expired')) throw error
        }
        if (ending.signal.aborted)
          throw new FlinkError(
            'TIMEOUT',
            `${[...left.values()].sort().join(', ')} in namespace ${selection.namespace} did not end within ${timeoutMs} ms`,
          )
      }
    } finally {
      deadline.cancel()
      ending.abort()
    }
  }

  private async requireOurs(type: ResourceType, name: string): Promise<void> {
    const there = await this.find(type, name)
    if (there === undefined || this.isOurs(there)) return
    throw new FlinkError('EXTERNAL_SYSTEM', this.foreignMessage(there))
  }
}

function controllerOf({ metadata }: Pick<KubeObject, 'metadata'>) {
  return metadata.ownerReferences?.find(({ controller }) => controller === true)
}
