import { isCheckpoint, type SnapshotType } from '../common/snapshot-type.ts'
import type { CheckpointStatisticsView, CheckpointTaskView, CheckpointView, RestoredView, Statistic } from '../rpc/job-manager-gateway.ts'

/** What is told of a job's checkpoints and savepoints, over all its attempts. Bounded: the newest ones whole, of the others figures. */
interface Entry {
  view: CheckpointView
  readonly tasks: Map<string, CheckpointTaskView>
  /** Vertex of each task that it waits for. */
  readonly vertexOf: ReadonlyMap<string, string>
}

type StateBytes = Pick<CheckpointTaskView, 'sizeBytes' | 'writtenBytes'>

/** Completed ones that the summary is made of. */
const SUMMARY_WINDOW = 1_000

export class CheckpointStatistics {
  private readonly historyMax: number
  /** Oldest first. */
  private readonly history: Entry[] = []
  private readonly sizes: number[] = []
  private readonly written: number[] = []
  private readonly durations: number[] = []
  private counts = { restored: 0, total: 0, completed: 0, failed: 0 }
  private latest: { completed?: CheckpointView; savepoint?: CheckpointView; failed?: CheckpointView; restored?: RestoredView } = {}

  constructor(historyMax: number) {
    this.historyMax = historyMax
  }

  triggered(id: number, type: SnapshotType, timestampMs: number, vertexOf: ReadonlyMap<string, string>): void {
    const tasks = new Map<string, CheckpointTaskView>()
    for (const vertexId of vertexOf.values()) {
      const subtasks = (tasks.get(vertexId)?.subtasks ?? 0) + 1
      tasks.set(vertexId, { status: 'IN_PROGRESS', latestAckMs: -1, sizeBytes: 0, writtenBytes: 0, durationMs: 0, subtasks, acknowledged: 0 })
    }
    const view: CheckpointView = {
      id,
      type,
      status: 'IN_PROGRESS',
      triggerMs: timestampMs,
      latestAckMs: -1,
      sizeBytes: 0,
      writtenBytes: 0,
      durationMs: 0,
      subtasks: vertexOf.size,
      acknowledged: 0,
      path: undefined,
      failure: undefined,
    }
    this.counts.total++
    this.history.push({ view, tasks, vertexOf })
    this.trim()
  }

  acknowledged(id: number, executionId: string, bytes: StateBytes, nowMs: number): void {
    const entry = this.inProgress(id)
    const vertexId = entry?.vertexOf.get(executionId)
    const task = vertexId === undefined ? undefined : entry?.tasks.get(vertexId)
    if (entry === undefined || vertexId === undefined || task === undefined || task.acknowledged === task.subtasks) return
    const { view } = entry
    const durationMs = nowMs - view.triggerMs
    const acknowledged = task.acknowledged + 1
    const status = acknowledged === task.subtasks ? 'COMPLETED' : task.status
    const sums = (of: StateBytes) => ({ sizeBytes: of.sizeBytes + bytes.sizeBytes, writtenBytes: of.writtenBytes + bytes.writtenBytes })
    entry.tasks.set(vertexId, { ...task, status, latestAckMs: nowMs, ...sums(task), durationMs, acknowledged })
    entry.view = { ...view, latestAckMs: nowMs, ...sums(view), durationMs, acknowledged: view.acknowledged + 1 }
  }

  completed(id: number, path: string | undefined, nowMs: number): void {
    const entry = this.inProgress(id)
    if (entry === undefined) return
    entry.view = { ...entry.view, status: 'COMPLETED', path, durationMs: nowMs - entry.view.triggerMs }
    this.trim()
    this.counts.completed++
    remember(this.sizes, entry.view.sizeBytes)
    remember(this.written, entry.view.writtenBytes)
    remember(this.durations, entry.view.durationMs)
    if (isCheckpoint(entry.view.type)) this.latest.completed = entry.view
    else this.latest.savepoint = entry.view
  }

  failed(id: number, message: string, nowMs: number): void {
    const entry = this.inProgress(id)
    if (entry === undefined) return
    entry.view = { ...entry.view, status: 'FAILED', failure: { timestampMs: nowMs, message }, durationMs: nowMs - entry.view.triggerMs }
    for (const [vertexId, task] of entry.tasks) if (task.status === 'IN_PROGRESS') entry.tasks.set(vertexId, { ...task, status: 'FAILED' })
    this.trim()
    this.counts.failed++
    this.latest.failed = entry.view
  }

  restored(restored: RestoredView): void {
    this.counts.restored++
    this.latest.restored = restored
  }

  view(): CheckpointStatisticsView {
    const { restored, total, completed, failed } = this.counts
    return {
      counts: { restored, total, inProgress: total - completed - failed, completed, failed },
      summary: { sizeBytes: statisticOf(this.sizes), writtenBytes: statisticOf(this.written), durationMs: statisticOf(this.durations) },
      latest: {
        completed: this.latest.completed,
        savepoint: this.latest.savepoint,
        failed: this.latest.failed,
        restored: this.latest.restored,
      },
      history: this.history.map(({ view, tasks }) => ({ ...view, tasks: Object.fromEntries(tasks) })).reverse(),
    }
  }

  /** One that is under way stays; those are few. */
  private trim(): void {
    while (this.history.length > this.historyMax) {
      const old = this.history.findIndex(({ view }) => view.status !== 'IN_PROGRESS')
      if (old < 0) return
      this.history.splice(old, 1)
    }
  }

  private inProgress(id: number): Entry | undefined {
    return this.history.find(({ view }) => view.id === id && view.status === 'IN_PROGRESS')
  }
}

function remember(values: number[], value: number): void {
  values.push(value)
  if (values.length > SUMMARY_WINDOW) values.shift()
}

function statisticOf(values: readonly number[]): Statistic {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (quantile: number) => sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0
  const sum = sorted.reduce((a, b) => a + b, 0)
  return {
    min: sorted[0] ?? 0,
    max: sorted.at(-1) ?? 0,
    avg: sorted.length === 0 ? 0 : Math.round(sum / sorted.length),
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    p999: at(0.999),
  }
}
