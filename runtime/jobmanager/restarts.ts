import type { Timer } from '../common/clock.ts'

/**
 * Restarts of a job that are under way, each of some regions of its graph. Bookkeeping only; the JobMaster cancels, restores and deploys.
 *
 *   ending (tasks are cancelled, the delay runs) -> restoring -> waiting for slots -> deployed
 *
 * Invariant: a region is in at most one of them. A failure that reaches into one which has not been deployed takes all of its regions into the new one.
 */
export interface Restart {
  readonly regions: ReadonlySet<number>
  phase: 'ending' | 'restoring'
  /** The delay of the restart strategy. */
  delay: Timer | undefined
}

/** `P`: what the tasks begin with. */
export interface Waiting<P> {
  readonly regions: ReadonlySet<number>
  readonly restored: P
}

export class Restarts<P> {
  private underWay: readonly Restart[] = []
  private waiting: readonly Waiting<P>[] = []

  get isIdle(): boolean {
    return this.underWay.length === 0
  }

  get current(): readonly Restart[] {
    return this.underWay
  }

  get waitingForSlots(): readonly Waiting<P>[] {
    return this.waiting
  }

  /** Regions whose tasks are on their way down: what else goes wrong there belongs to the failure that began it. */
  isEnding(region: number): boolean {
    return this.underWay.some(({ regions, phase }) => phase === 'ending' && regions.has(region))
  }

  /** What has not been deployed yet of restarts that overlap with these regions becomes part of the new one. */
  add(regions: ReadonlySet<number>): Restart {
    const absorbed = this.underWay.filter(other => overlap(other.regions, regions))
    for (const { delay } of absorbed) delay?.cancel()
    const all = new Set([...regions, ...absorbed.flatMap(other => [...other.regions])])
    const restart: Restart = { regions: all, phase: 'ending', delay: undefined }
    this.underWay = [...this.underWay.filter(other => !absorbed.includes(other)), restart]
    this.dropWaiting(all)
    return restart
  }

  includes(restart: Restart): boolean {
    return this.underWay.includes(restart)
  }

  /** It is known what its tasks begin with. */
  restored(restart: Restart, restored: P): void {
    this.underWay = this.underWay.filter(other => other !== restart)
    this.waiting = [...this.waiting, { regions: restart.regions, restored }]
  }

  deployed(regions: ReadonlySet<number>): void {
    this.dropWaiting(regions)
  }

  private dropWaiting(regions: ReadonlySet<number>): void {
    this.waiting = this.waiting
      .map(({ regions: left, restored }) => ({ regions: new Set([...left].filter(region => !regions.has(region))), restored }))
      .filter(({ regions: left }) => left.size > 0)
  }

  /** The job ends. */
  clear(): void {
    for (const { delay } of this.underWay) delay?.cancel()
    this.underWay = []
    this.waiting = []
  }
}

function overlap(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return [...a].some(region => b.has(region))
}
