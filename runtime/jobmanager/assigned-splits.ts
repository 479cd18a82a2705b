import type { SourceSplit } from '../stream/spi/source.ts'

interface Assignment {
  readonly subtaskIndex: number
  readonly split: SourceSplit
}

/**
 * What an enumerator has handed out that a reader which goes back to a checkpoint does not have, because it came later: Flink's SplitAssignmentTracker.
 * Without checkpoints it is everything.
 */
export class AssignedSplits {
  private latest: Assignment[] = []
  /** By the first checkpoint that they are in, oldest first. */
  private readonly byCheckpoint = new Map<number, Assignment[]>()

  add(subtaskIndex: number, splits: readonly SourceSplit[]): void {
    for (const split of splits) this.latest.push({ subtaskIndex, split })
  }

  /** What was handed out until now is in this one. */
  snapshot(checkpointId: number): void {
    this.byCheckpoint.set(checkpointId, this.latest)
    this.latest = []
  }

  /** Nobody goes back behind it. */
  completed(checkpointId: number): void {
    for (const id of this.byCheckpoint.keys()) if (id <= checkpointId) this.byCheckpoint.delete(id)
  }

  /** What the reader does not have any more: it goes back to this checkpoint, or to its beginning. */
  takeBack(subtaskIndex: number, checkpointId: number | undefined): readonly SourceSplit[] {
    const later = [...this.byCheckpoint].filter(([id]) => checkpointId === undefined || id > checkpointId)
    const taken = [...later.flatMap(([, assignments]) => assignments), ...this.latest].filter(one => one.subtaskIndex === subtaskIndex)
    const without = (assignments: readonly Assignment[]) => assignments.filter(one => one.subtaskIndex !== subtaskIndex)
    for (const [id, assignments] of later) this.byCheckpoint.set(id, without(assignments))
    this.latest = without(this.latest)
    return taken.map(({ split }) => split)
  }
}
