import { KubeError, type KubeObject, type ResourceType, type Selection, type WatchEvent } from './object-api.ts'

/** What has happened, in order, as far back as it is kept: from it each watcher gets the events of its selection. */
export interface Change {
  readonly version: number
  readonly type: ResourceType
  readonly before: KubeObject | undefined
  /** Undefined = it has gone; `before` says what it was, with the version of its end. */
  readonly after: KubeObject | undefined
}

export class WatchHistory {
  private readonly keptMax: number
  private changes: Change[] = []
  /** Everything up to it is forgotten. */
  private forgotten = 0
  private waiting = new Set<() => void>()

  constructor(keptMax: number) {
    this.keptMax = keptMax
  }

  add(change: Change): void {
    this.changes.push(change)
    if (this.changes.length > 2 * this.keptMax) this.forget(this.changes[this.changes.length - this.keptMax - 1]?.version ?? 0)
    const waiting = this.waiting
    this.waiting = new Set()
    for (const wake of waiting) wake()
  }

  /** As when etcd is compacted: whoever watches from before is told that it is gone. */
  forget(version: number): void {
    this.forgotten = Math.max(this.forgotten, version)
    this.changes = this.changes.filter(change => change.version > version)
    const waiting = this.waiting
    this.waiting = new Set()
    for (const wake of waiting) wake()
  }

  async *watch(type: ResourceType, selection: Selection, from: number, newest: () => number, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    let seen = from
    while (!signal.aborted) {
      if (seen < this.forgotten) throw new KubeError('Expired', `too old resource version: ${seen} (${newest()})`)
      const fresh = this.changes.filter(change => change.version > seen)
      for (const change of fresh) {
        if (signal.aborted) return
        seen = change.version
        const event = change.type === type ? eventOf(change, selection) : undefined
        if (event !== undefined) yield event
      }
      if (seen < newest()) continue
      await this.next(signal)
    }
  }

  private next(signal: AbortSignal): Promise<void> {
    // It may have been told to end while the last event was taken.
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const wake = () => {
        signal.removeEventListener('abort', wake)
        this.waiting.delete(wake)
        resolve()
      }
      this.waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }
}

/** An object that leaves the selection is gone for who watches it, one that enters it is new. */
function eventOf({ before, after, version }: Change, selection: Selection): WatchEvent | undefined {
  const was = before !== undefined && selects(selection, before)
  const is = after !== undefined && selects(selection, after)
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: after }
  if (!was) return undefined
  return { type: 'DELETED', object: { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } } }
}

export function selects({ namespace, labels = {} }: Selection, { metadata }: KubeObject): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false
  return Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value)
}
