import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import type { Random } from '../../runtime/common/random.ts'
import { isReason, type KubeObject, type ObjectApi, type ResourceType } from '../kube/object-api.ts'
import { WorkQueue } from '../kube/work-queue.ts'
import { type Caches, type Followed, ReflectorCaches } from './caches.ts'
import { runPass } from './pass.ts'

/**
 * Runs controllers: what they look at is followed by reflectors, every change puts the key of an object into a queue, and workers make passes, one of each object at a time.
 * A pass that fails is made again, later each time; a Conflict is no failure, somebody else was faster. Every ten minutes all objects are looked at once more.
 *
 * - Nothing is done before everything was seen once.
 * - A pass has a deadline, longer than all that its actions wait for. One that hangs is abandoned (pass.ts): its worker goes on, the object gets another pass, and whatever the
 *   abandoned one does later is refused.
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
  readonly passDeadlineMs?: number
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
  readonly related?: readonly Related[]
  /** One pass. Answers in how many milliseconds the next one is due; undefined: with the next change. */
  reconcile(key: ObjectKey, caches: Caches): Promise<number | undefined>
}

/** Objects whose changes concern some of a controller's own. */
export interface Related extends Followed {
  keysOf(object: KubeObject, caches: Caches): readonly ObjectKey[]
}

/** Most of a pass is waiting, for pods to end a minute and more: jobs that are stopped must not hold up the others. How much is asked at once KubeApi limits. */
const WORKERS = 64
const RESYNC_MS = 600_000
const RETRY_FIRST_MS = 50
/** An action may wait a minute for pods to end, twice in a pass, and calls of the API server and of stores are tried again for some time. */
const PASS_DEADLINE_MS = 300_000

export class Manager {
  private readonly options: ManagerOptions
  private readonly caches: ReflectorCaches
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
    const { api, log, onChange } = options
    this.caches = new ReflectorCaches({
      api,
      clock,
      random,
      log,
      followed: followedBy(controllers, options.labels),
      namespaces: options.namespaces,
      onChange: (type, before, after) => {
        this.enqueue(type, before, after)
        onChange?.(type, before, after)
      },
    })
  }

  /** Everything has been seen once. */
  get isSynced(): boolean {
    return this.synced
  }

  /** Keys that wait. */
  depth(kind: string): number {
    return [...this.queues].reduce((sum, [{ type }, queue]) => (type.kind === kind ? sum + queue.depth : sum), 0)
  }

  list(type: ResourceType): readonly KubeObject[] {
    return this.caches.list(type)
  }

  /** Until the signal; passes that run are waited for. */
  async run(signal: AbortSignal): Promise<void> {
    const following = this.caches.run(signal)
    const stopped = new Promise<void>(resolve => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([stopped, following.synced])
    const working: Promise<void>[] = []
    if (!signal.aborted) {
      this.synced = true
      for (const [controller, queue] of this.queues)
        for (let n = 0; n < (this.options.workers ?? WORKERS); n++) working.push(this.work(controller, queue))
      this.resync(signal)
    }
    await stopped
    for (const queue of this.queues.values()) queue.close()
    await Promise.all([...working, following.ended])
  }

  private enqueue(type: ResourceType, before: KubeObject | undefined, after: KubeObject | undefined): void {
    for (const [controller, queue] of this.queues) {
      const object = after ?? before
      if (controller.type === type && object !== undefined) queue.add(keyText(object.metadata))
      for (const related of controller.related ?? [])
        if (related.type === type)
          for (const each of [before, after]) if (each !== undefined) for (const key of related.keysOf(each, this.caches)) queue.add(keyText(key))
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
    const { clock, log, observer, passDeadlineMs: deadlineMs = PASS_DEADLINE_MS } = this.options
    const { kind } = controller.type
    const startMs = clock.monotonicMs()
    try {
      const nextMs = await runPass(() => controller.reconcile(keyOf(text), this.caches), { clock, deadlineMs })
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

/** Of each kind once: of a controller's own those with its labels, of others what all who want them agree on. */
function followedBy(controllers: readonly Controller[], labels: ManagerOptions['labels']): readonly Followed[] {
  const own = new Set(controllers.map(({ type }) => type))
  const related = controllers.flatMap(controller => controller.related ?? [])
  const types = new Set([...own, ...related.map(({ type }) => type)])
  return [...types].map(type => {
    const all = related.filter(each => each.type === type)
    const [first] = all
    const selected = own.has(type) ? labels : first?.labels
    const keep = own.has(type) ? undefined : first?.keep
    return {
      type,
      indexed: [...new Set(all.flatMap(({ indexed = [] }) => indexed))],
      ...(selected === undefined ? {} : { labels: selected }),
      ...(keep === undefined ? {} : { keep }),
    }
  })
}

function keyText({ namespace, name }: ObjectKey): string {
  return `${namespace}/${name}`
}

function keyOf(text: string): ObjectKey {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}
