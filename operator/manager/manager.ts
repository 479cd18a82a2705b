import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../kube/object-api.ts'
import { Reflector } from '../kube/reflector.ts'
import { WorkQueue } from '../kube/work-queue.ts'

/**
 * Runs controllers: what they look at is followed by reflectors, every change puts the key of an object into a queue, and workers make passes, one of each object at a time.
 * A pass that fails is made again, later each time; a Conflict is no failure, somebody else was faster. Every ten minutes all objects are looked at once more.
 *
 * Nothing is done before everything was seen once.
 */
export interface ManagerOptions {
  readonly api: ObjectApi
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly controllers: readonly Controller[]
  /** Where objects are looked for; undefined = everywhere. */
  readonly namespaces?: readonly string[]
  /** Only objects of the controllers' own kinds that have these labels. */
  readonly labels?: Readonly<Record<string, string>>
  /** Passes at once, of each controller. */
  readonly workers?: number
  readonly observer?: ManagerObserver
  /** Hears of every change that is seen. */
  readonly onChange?: (type: ResourceType, before: KubeObject | undefined, after: KubeObject | undefined) => void
}

/** For metrics; durations in milliseconds. */
export interface ManagerObserver {
  added(controller: string): void
  taken(controller: string, waitedMs: number): void
  retried(controller: string): void
  passed(controller: string, tookMs: number, failure: string | undefined): void
}

export interface ObjectKey {
  readonly namespace: string
  readonly name: string
}

export interface Controller {
  /** Whose objects it looks after. */
  readonly type: ResourceType
  /** Changes of other objects that concern some of its own. */
  readonly related?: readonly { readonly type: ResourceType; keysOf(object: KubeObject, caches: Caches): readonly ObjectKey[] }[]
  /** One pass. Answers in how many milliseconds the next one is due; undefined: with the next change. */
  reconcile(key: ObjectKey, caches: Caches): Promise<number | undefined>
}

/** What the reflectors know. */
export interface Caches {
  get(type: ResourceType, namespace: string, name: string): KubeObject | undefined
  list(type: ResourceType): readonly KubeObject[]
  /** The answer of a write: the next pass is to know it. */
  seen(object: KubeObject, type: ResourceType): void
}

const WORKERS = 8
const RESYNC_MS = 600_000
const RETRY_FIRST_MS = 50

export class Manager implements Caches {
  private readonly options: ManagerOptions
  private readonly reflectors = new Map<ResourceType, Reflector[]>()
  private readonly queues = new Map<Controller, WorkQueue>()
  private synced = false

  constructor(options: ManagerOptions) {
    const { controllers, clock, random, observer } = options
    this.options = options
    for (const controller of controllers) {
      const { kind } = controller.type
      const callbacks =
        observer === undefined
          ? {}
          : { onAdd: () => observer.added(kind), onTake: (waitedMs: number) => observer.taken(kind, waitedMs), onRetry: () => observer.retried(kind) }
      this.queues.set(controller, new WorkQueue({ clock, random, retryFirstMs: RETRY_FIRST_MS, ...callbacks }))
    }
    const own = new Set(controllers.map(({ type }) => type))
    for (const type of new Set([...own, ...controllers.flatMap(({ related = [] }) => related.map(each => each.type))])) {
      const labels = own.has(type) ? options.labels : undefined
      const namespaces = options.namespaces ?? [undefined]
      this.reflectors.set(
        type,
        namespaces.map(namespace => this.reflector(type, { namespace, labels })),
      )
    }
  }

  /** Everything has been seen once. */
  get isSynced(): boolean {
    return this.synced
  }

  /** Keys that wait. */
  depth(kind: string): number {
    return [...this.queues].reduce((sum, [{ type }, queue]) => (type.kind === kind ? sum + queue.depth : sum), 0)
  }

  get(type: ResourceType, namespace: string, name: string): KubeObject | undefined {
    for (const reflector of this.reflectors.get(type) ?? []) {
      const object = reflector.get(namespace, name)
      if (object !== undefined) return object
    }
    return undefined
  }

  list(type: ResourceType): readonly KubeObject[] {
    return (this.reflectors.get(type) ?? []).flatMap(reflector => reflector.list())
  }

  seen(object: KubeObject, type: ResourceType): void {
    const { namespaces } = this.options
    const at = namespaces === undefined ? 0 : namespaces.indexOf(object.metadata.namespace)
    this.reflectors.get(type)?.[at]?.seen(object)
  }

  /** Until the signal; passes that run are waited for. */
  async run(signal: AbortSignal): Promise<void> {
    const following = [...this.reflectors.values()].flat().map(reflector => ({ reflector, ends: reflector.run(signal) }))
    const stopped = new Promise<void>(resolve => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([stopped, Promise.all(following.map(({ reflector }) => reflector.whenSynced))])
    const working: Promise<void>[] = []
    if (!signal.aborted) {
      this.synced = true
      for (const [controller, queue] of this.queues)
        for (let n = 0; n < (this.options.workers ?? WORKERS); n++) working.push(this.work(controller, queue))
      this.resync(signal)
    }
    await stopped
    for (const queue of this.queues.values()) queue.close()
    await Promise.all([...working, ...following.map(({ ends }) => ends)])
  }

  private reflector(
    type: ResourceType,
    selection: { readonly namespace: string | undefined; readonly labels: Readonly<Record<string, string>> | undefined },
  ): Reflector {
    const { api, clock, random, log, onChange } = this.options
    return new Reflector({
      api,
      type,
      selection,
      clock,
      random,
      log,
      onChange: (before, after) => {
        this.enqueue(type, before, after)
        onChange?.(type, before, after)
      },
    })
  }

  private enqueue(type: ResourceType, before: KubeObject | undefined, after: KubeObject | undefined): void {
    for (const [controller, queue] of this.queues) {
      const object = after ?? before
      if (controller.type === type && object !== undefined) queue.add(keyText(object.metadata))
      for (const related of controller.related ?? [])
        if (related.type === type)
          for (const each of [before, after]) if (each !== undefined) for (const key of related.keysOf(each, this)) queue.add(keyText(key))
    }
  }

  private resync(signal: AbortSignal): void {
    const timer = this.options.clock.schedule(RESYNC_MS, () => {
      if (signal.aborted) return
      for (const [{ type }, queue] of this.queues) for (const { metadata } of this.list(type)) queue.add(keyText(metadata))
      this.resync(signal)
    })
    signal.addEventListener('abort', () => timer.cancel(), { once: true })
  }

  private async work(controller: Controller, queue: WorkQueue): Promise<void> {
    for (;;) {
      const text = await queue.take()
      if (text === undefined) return
      await this.pass(controller, queue, text)
      queue.done(text)
    }
  }

  private async pass(controller: Controller, queue: WorkQueue, text: string): Promise<void> {
    const { clock, log, observer } = this.options
    const { kind } = controller.type
    const startMs = clock.monotonicMs()
    try {
      const nextMs = await controller.reconcile(keyOf(text), this)
      queue.forget(text)
      if (nextMs !== undefined) queue.addAfter(text, nextMs)
      observer?.passed(kind, clock.monotonicMs() - startMs, undefined)
    } catch (error) {
      const code = error instanceof FlinkError ? error.code : 'INTERNAL'
      observer?.passed(kind, clock.monotonicMs() - startMs, code)
      // What it had read was older than what is there: the reflector will have seen that soon.
      if (!isReason(error, 'Conflict'))
        log.warn(`a pass of ${kind} ${text} failed, and is made again`, {
          error: String(error),
          ...(code === 'INTERNAL' && error instanceof Error ? { stack: error.stack } : {}),
        })
      queue.addRateLimited(text)
    }
  }
}

function keyText({ namespace, name }: ObjectKey): string {
  return `${namespace}/${name}`
}

function keyOf(text: string): ObjectKey {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
