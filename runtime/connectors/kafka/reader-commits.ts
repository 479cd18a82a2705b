import type { Clock, Timer } from '../../common/clock.ts'
import type { OffsetCommitMode } from './offset-commit-mode.ts'
import type { PartitionOffset } from './protocol-groups.ts'

/**
 * Which offsets of one reader are committed when. On checkpoints: those of the barrier, when that checkpoint is complete; what older ones
 * had is dropped then. By time: where the reader stands. Bounded: one list for each checkpoint that is neither complete nor aborted.
 */
export interface ReaderCommitsOptions {
  readonly mode: OffsetCommitMode
  readonly intervalMs: number
  readonly clock: Clock
  /** Of partitions that were read from: a start is not told to Kafka, it could move back what was committed. */
  offsets(): readonly PartitionOffset[]
  commit(offsets: readonly PartitionOffset[]): void
}

export class ReaderCommits {
  private readonly options: ReaderCommitsOptions
  private readonly byCheckpoint = new Map<number, readonly PartitionOffset[]>()
  private timer: Timer | undefined
  private lastCommitted = ''

  constructor(options: ReaderCommitsOptions) {
    this.options = options
  }

  /** There is something to read. */
  start(): void {
    if (this.options.mode === 'KAFKA_PERIODIC' && this.timer === undefined) this.schedule()
  }

  snapshot(checkpointId: number): void {
    if (this.options.mode === 'ON_CHECKPOINTS') this.byCheckpoint.set(checkpointId, this.options.offsets())
  }

  complete(checkpointId: number): void {
    const offsets = this.byCheckpoint.get(checkpointId) ?? []
    for (const id of this.byCheckpoint.keys()) if (id <= checkpointId) this.byCheckpoint.delete(id)
    if (offsets.length > 0) this.options.commit(offsets)
  }

  aborted(checkpointId: number): void {
    this.byCheckpoint.delete(checkpointId)
  }

  close(): void {
    this.timer?.cancel()
  }

  private schedule(): void {
    this.timer = this.options.clock.schedule(this.options.intervalMs, () => {
      this.schedule()
      const offsets = this.options.offsets()
      const text = JSON.stringify(offsets)
      if (offsets.length === 0 || text === this.lastCommitted) return
      this.lastCommitted = text
      this.options.commit(offsets)
    })
  }
}
