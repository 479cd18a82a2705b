import { redistribute } from '../../runtime/checkpoint/redistribute.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { fileSinkTransport } from '../../runtime/connectors/files/file-sink-transport.ts'
import type { PartOwner, RecoverableWriter } from '../../runtime/connectors/files/recoverable-writer.ts'
import type { OperatorSnapshot } from '../../runtime/state/snapshot.ts'
import { FileSinkOperator } from '../../runtime/stream/operators/file-sink-operator.ts'
import type { RollingPolicySettings } from '../../runtime/stream/operators/part-buckets.ts'
import { ConnectorHarness } from './connector-harness.ts'
import { immortal, type Life } from './memory-recoverable-writer.ts'

/**
 * A job of rows 0, 1, 2, … into a file sink of two buckets, with a checkpoint after every row and one at the end, as the JobManager would take them.
 * An attempt goes on from the newest completed checkpoint and may be told to stop at any step; what it leaves is what the next one finds.
 */
export const steps = ['written', 'prepared', 'snapshot', 'completed', 'one notified', 'all notified', 'committed'] as const
export type Step = (typeof steps)[number]

/** `row` = the number of rows before the checkpoint. */
export type StopAt = (step: Step, row: number) => boolean

export const neverStop: StopAt = () => false

interface Completed {
  readonly checkpointId: number
  readonly nextRow: number
  readonly snapshots: readonly OperatorSnapshot[]
}

/** Files of many writers, which outlive them. */
export interface FileSinkWorld {
  writer(owner: PartOwner, life: Life): RecoverableWriter
  /** By path. */
  visible(): Readonly<Record<string, string>>
  /** What no reader sees. */
  hidden(): readonly string[]
}

export class FileSinkJob {
  readonly files: FileSinkWorld
  readonly rowCount: number
  private readonly policy: RollingPolicySettings
  private readonly late: boolean
  private readonly random = seededRandom(7)
  private completed: Completed | undefined
  private checkpointId = 0

  /** `late`: that a checkpoint has completed is heard when the next one is about to be taken; the commits of the two meet. */
  constructor(rowCount: number, policy: RollingPolicySettings, late: boolean, files: FileSinkWorld) {
    this.files = files
    this.rowCount = rowCount
    this.policy = policy
    this.late = late
  }

  /** undefined = it came to its end. */
  async attempt(parallelism: number, stopAt: StopAt = neverStop, life: Life = immortal): Promise<Attempt | undefined> {
    const attempt = new Attempt(await this.start(parallelism, life))
    for (let row = this.completed?.nextRow ?? 0; row <= this.rowCount; row++) {
      if (await this.checkpoint(attempt, row, step => stopAt(step, row))) return attempt
    }
    await attempt.close()
    return undefined
  }

  /** True = it has stopped. */
  private async checkpoint(attempt: Attempt, row: number, stopAt: (step: Step) => boolean): Promise<boolean> {
    const { subtasks } = attempt
    const isLast = row === this.rowCount
    if (isLast) for (const { harness, operator } of subtasks) await harness.until(() => operator.endInput())
    else subtasks[row % subtasks.length]?.operator.processElement(row, Number.NaN)
    if (stopAt('written')) return true
    for (const { harness, operator } of subtasks) await harness.until(() => operator.prepareSnapshotPreBarrier())
    if (stopAt('prepared')) return true
    if (this.late && attempt.notify(stopAt)) return true
    const checkpointId = ++this.checkpointId
    const snapshots = subtasks.map(({ operator }) => operator.snapshot({ checkpointId, timestampMs: 0, type: 'checkpoint' }))
    if (stopAt('snapshot')) return true
    this.completed = { checkpointId, nextRow: Math.min(row + 1, this.rowCount), snapshots }
    attempt.completedId = checkpointId
    if (stopAt('completed')) return true
    if (this.late && !isLast) return false
    if (attempt.notify(stopAt)) return true
    for (const { harness, operator } of subtasks) await harness.until(() => operator.commitsDone())
    return stopAt('committed')
  }

  /** Rows that a reader finds, in order of their numbers. */
  rows(): number[] {
    return Object.values(this.files.visible())
      .flatMap(text => text.split('\n').slice(0, -1))
      .map(Number)
      .sort((a, b) => a - b)
  }

  private async start(parallelism: number, life: Life): Promise<Subtask[]> {
    const { completed } = this
    const parts = completed === undefined ? undefined : redistribute(completed.snapshots, parallelism, 16)
    const subtasks: Subtask[] = []
    for (let subtaskIndex = 0; subtaskIndex < parallelism; subtaskIndex++) {
      const operator = new FileSinkOperator({
        options: { path: '/out', prefix: 'part', suffix: '' },
        rollingPolicy: this.policy,
        bucketCheckIntervalMs: 60_000,
        bucketOf: row => `bucket-${Number(row) % 2}`,
        encode: (row, _context, writer) => writer.raw(Buffer.from(`${String(row)}\n`)),
      })
      const sinks = { 'file-sink': fileSinkTransport(this.random, (_path, owner) => this.files.writer(owner, life)) }
      const harness = new ConnectorHarness(operator, { subtaskIndex, parallelism, checkpointingEnabled: true, registry: { fetchers: {}, sinks } })
      const part = parts?.[subtaskIndex]
      if (part !== undefined) operator.restore(part)
      subtasks.push({ harness: await harness.open(), operator })
    }
    return subtasks
  }
}

interface Subtask {
  readonly harness: ConnectorHarness
  readonly operator: FileSinkOperator
}

export class Attempt {
  completedId: number | undefined
  readonly subtasks: readonly Subtask[]

  constructor(subtasks: readonly Subtask[]) {
    this.subtasks = subtasks
  }

  /** Of the newest checkpoint that it has completed. True = it has stopped. */
  notify(stopAt: (step: Step) => boolean): boolean {
    const { completedId } = this
    if (completedId === undefined) return false
    for (const { operator } of this.subtasks) {
      operator.notifyCheckpointComplete(completedId)
      if (stopAt('one notified')) return true
    }
    return stopAt('all notified')
  }

  /**
   * It does not know that it is over: it hears of its newest completed checkpoint, commits, tidies up and writes. What it finds missing ends it, as it
   * would end its task.
   */
  async haunt(): Promise<void> {
    try {
      this.notify(() => false)
      for (const { operator } of this.subtasks) operator.processElement(-1, Number.NaN)
      for (const { harness, operator } of this.subtasks) await harness.until(() => operator.prepareSnapshotPreBarrier())
    } catch (error) {
      if (!(error instanceof FlinkError)) throw error
    }
  }

  /** What is dead has nothing to tidy up with. */
  async close(): Promise<void> {
    for (const { harness } of this.subtasks)
      await harness.close().catch(error => {
        if (!(error instanceof FlinkError && error.code === 'CANCELLED')) throw error
      })
  }
}
