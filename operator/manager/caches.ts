import type { Clock } from '../../runtime/common/clock.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { KubeObject, ObjectApi, ResourceType } from '../kube/object-api.ts'
import { Reflector } from '../kube/reflector.ts'

/** What the reflectors know of objects: as the API server had them a moment ago, or has answered a write of ours since (decision 0033). */
export interface Caches {
  get(type: ResourceType, namespace: string, name: string): KubeObject | undefined
  list(type: ResourceType): readonly KubeObject[]
  /** Those with this value of a label that its kind is indexed by. */
  labelled(type: ResourceType, label: string, value: string): readonly KubeObject[]
  /** The answer of a write: the next pass is to know it. */
  seen(object: KubeObject, type: ResourceType): void
}

/** Objects of one kind that are followed. */
export interface Followed {
  readonly type: ResourceType
  /** Only those with these labels. */
  readonly labels?: Readonly<Record<string, string>>
  /** Labels by whose values they are asked for. */
  readonly indexed?: readonly string[]
  /** What is kept of one: for large kinds of which little is looked at. */
  readonly keep?: (object: KubeObject) => KubeObject
}

interface ReflectorCachesOptions {
  readonly api: ObjectApi
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Of each kind once. */
  readonly followed: readonly Followed[]
  /** Undefined = everywhere. */
  readonly namespaces: readonly string[] | undefined
  readonly onChange: (type: ResourceType, before: KubeObject | undefined, after: KubeObject | undefined) => void
}

/** One reflector of each kind, or of each kind and namespace. */
export class ReflectorCaches implements Caches {
  private readonly namespaces: readonly string[] | undefined
  private readonly reflectors = new Map<ResourceType, readonly Reflector[]>()

  constructor(options: ReflectorCachesOptions) {
    const { followed, namespaces, onChange, ...parts } = options
    this.namespaces = namespaces
    for (const { type, labels, indexed = [], keep } of followed)
      this.reflectors.set(
        type,
        (namespaces ?? [undefined]).map(
          namespace =>
            new Reflector({
              ...parts,
              type,
              selection: { namespace, labels },
              indexed,
              ...(keep === undefined ? {} : { keep }),
              onChange: (before, after) => onChange(type, before, after),
            }),
        ),
      )
  }

  /** Until the signal. */
  run(signal: AbortSignal): { readonly synced: Promise<unknown>; readonly ended: Promise<unknown> } {
    const all = [...this.reflectors.values()].flat()
    const ended = Promise.all(all.map(reflector => reflector.run(signal)))
    return { synced: Promise.all(all.map(({ whenSynced }) => whenSynced)), ended }
  }

  get(type: ResourceType, namespace: string, name: string): KubeObject | undefined {
    for (const reflector of this.of(type)) {
      const object = reflector.get(namespace, name)
      if (object !== undefined) return object
    }
    return undefined
  }

  list(type: ResourceType): readonly KubeObject[] {
    return this.of(type).flatMap(reflector => reflector.list())
  }

  labelled(type: ResourceType, label: string, value: string): readonly KubeObject[] {
    return this.of(type).flatMap(reflector => reflector.labelled(label, value))
  }

  seen(object: KubeObject, type: ResourceType): void {
    const at = this.namespaces === undefined ? 0 : this.namespaces.indexOf(object.metadata.namespace)
    this.of(type)[at]?.seen(object)
  }

  private of(type: ResourceType): readonly Reflector[] {
    return this.reflectors.get(type) ?? []
  }
}
