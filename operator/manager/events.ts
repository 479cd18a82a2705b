import { createHash } from 'node:crypto'
import type { Clock } from '../../runtime/common/clock.ts'
import type { Logger } from '../../runtime/common/log.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { apiVersionOf, events } from '../kube/resources.ts'
import { type Transition, transitionsOf } from './transitions.ts'

/**
 * Events of what happens to objects (events.k8s.io/v1), for people who look with `kubectl describe`. One event a matter: its name is made from the object and what is told, and
 * what happens again is counted in its series.
 *
 * They are told in the order in which they happen, beside the passes: nothing waits for them, and nothing fails for one that cannot be written, as in a namespace that goes.
 * What was not told when the process ends is not told later.
 */
export interface EventRecorderParts {
  readonly api: ObjectApi
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Logger
  /** Which of the operators tells, as in a Lease. */
  readonly identity: string
}

const CONTROLLER = 'millrace.dev/operator'
/** What the API server takes, in bytes. */
const NOTE_MAX = 1_024
/** Beyond this the oldest that waits is left out: an API server that does not answer must not fill the memory. */
const WAITING_MAX = 10_000

type Regarded = Pick<KubeObject, 'apiVersion' | 'kind'> & {
  readonly metadata: {
    readonly namespace: string
    readonly name: string
    readonly uid: string | undefined
    readonly resourceVersion: string | undefined
  }
}

export class EventRecorder {
  private readonly parts: EventRecorderParts
  private readonly waiting: { readonly object: Regarded; readonly transition: Transition; readonly atMs: number }[] = []
  private writing: Promise<void> | undefined

  constructor(parts: EventRecorderParts) {
    this.parts = parts
  }

  /** An object as it was seen before and now. */
  observe(before: KubeObject | undefined, after: KubeObject | undefined): void {
    if (after === undefined) return
    for (const transition of transitionsOf(before, after)) {
      if (this.waiting.length >= WAITING_MAX) this.waiting.shift()
      const { apiVersion, kind, metadata } = after
      const { namespace, name, uid, resourceVersion } = metadata
      // Not the whole object: many may wait.
      this.waiting.push({
        object: { apiVersion, kind, metadata: { namespace, name, uid, resourceVersion } },
        transition,
        atMs: this.parts.clock.nowMs(),
      })
    }
    if (this.waiting.length > 0) this.writing ??= this.write()
  }

  /** All that was observed so far is written, or given up. */
  async flushed(): Promise<void> {
    await this.writing
  }

  private async write(): Promise<void> {
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      const { object, transition, atMs } = next
      try {
        await this.record(object, transition, atMs)
      } catch (error) {
        this.parts.log.debug('an event was not written', { object: object.metadata.name, reason: transition.reason, error: String(error) })
      }
    }
    this.writing = undefined
  }

  private async record(object: Regarded, { type, reason, note }: Transition, atMs: number): Promise<void> {
    const { api, identity } = this.parts
    const { namespace, name: objectName, uid, resourceVersion } = object.metadata
    const name = `${objectName}.${createHash('sha256').update(`${uid} ${type} ${reason} ${note}`).digest('hex').slice(0, 16)}`
    const apiVersion = apiVersionOf(events)
    const time = microTime(atMs)
    const event: KubeObject = {
      apiVersion,
      kind: events.kind,
      metadata: { name, namespace },
      eventTime: time,
      reportingController: CONTROLLER,
      reportingInstance: identity,
      action: reason,
      reason,
      type,
      note: shortened(note),
      regarding: { apiVersion: object.apiVersion, kind: object.kind, namespace, name: objectName, uid, resourceVersion },
    }
    try {
      await api.create(event)
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error
      const { series } = (await api.get(events, namespace, name)) as { readonly series?: { readonly count: number } }
      const again = { count: (series?.count ?? 1) + 1, lastObservedTime: time }
      await api.apply({ apiVersion, kind: events.kind, metadata: { name, namespace }, series: again }, 'millrace')
    }
  }
}

/** A character that is cut in two is left out. */
function shortened(note: string): string {
  const bytes = Buffer.from(note)
  if (bytes.length <= NOTE_MAX) return note
  return `${bytes
    .subarray(0, NOTE_MAX - '...'.length)
    .toString()
    .replace(/\uFFFD+$/, '')}...`
}

/** A MicroTime. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z')
}
