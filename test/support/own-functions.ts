import {
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  type ListState,
  ListStateDescriptor,
  type RuntimeContext,
  type SourceContext,
  Types,
} from '../../runtime/api/index.ts'
import type { Clock } from '../../runtime/common/clock.ts'
import type { CommittedRows } from './committing-sink.ts'

/** A user's own source and two-phase sink: functions that take part in checkpoints, at any parallelism. */

/** Every subtask begins with its share of 1 to `count`; where shares stand is operator state, which is dealt out anew when the job is rescaled. */
export class OwnNumbers {
  /** Of each share the index of its next number, and how far the one behind that is. */
  readonly shares = new ListStateDescriptor('shares', Types.tuple(Types.INT, Types.INT))
  private readonly count: number
  private readonly rowsPerSecond: number
  private readonly clock: Clock
  private state!: ListState<[number, number]>
  private restored = false
  private left: [number, number][] = []
  private cancelled = false

  constructor(count: number, rowsPerSecond: number, clock: Clock) {
    this.count = count
    this.rowsPerSecond = rowsPerSecond
    this.clock = clock
  }

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.shares)
    this.left = [...this.state.get()]
    this.restored = context.isRestored()
  }

  open(context: RuntimeContext): void {
    if (!this.restored) this.left = [[context.getIndexOfThisSubtask(), context.getNumberOfParallelSubtasks()]]
  }

  async run(context: SourceContext<number>): Promise<void> {
    while (!this.cancelled) {
      const [share, ...others] = this.left
      if (share === undefined) return
      const [index, step] = share
      if (index >= this.count) {
        this.left = others
        continue
      }
      const room = context.collect(index + 1)
      this.left = [...others, [index + step, step]]
      await room
      // Bursts: some rows come without waiting in between.
      if (index % 3 === 0) await new Promise<void>(resolve => void this.clock.schedule((3_000 * step) / this.rowsPerSecond, resolve))
    }
  }

  cancel(): void {
    this.cancelled = true
  }

  snapshotState(): void {
    this.state.update(this.left)
  }
}

/** Rows of a checkpoint are a transaction, which is state from the barrier on until the checkpoint is complete. */
export class OwnCommits {
  readonly transactions = new ListStateDescriptor('transactions', Types.STRING)
  private readonly outside: CommittedRows
  private state!: ListState<string>
  private pending: { readonly id: string; readonly checkpointId: number; readonly rows: readonly string[] }[] = []
  private rows: string[] = []
  private owner = ''

  constructor(outside: CommittedRows) {
    this.outside = outside
  }

  initializeState(context: FunctionInitializationContext): void {
    this.state = context.getOperatorStateStore().getListState(this.transactions)
    // They are in a checkpoint that is complete.
    for (const transaction of this.state.get()) {
      const { id, rows } = JSON.parse(transaction) as (typeof this.pending)[number]
      this.outside.commit(id, rows)
    }
  }

  open(context: RuntimeContext): void {
    this.owner = `${context.getIndexOfThisSubtask()}/${context.getAttemptNumber()}`
  }

  async invoke(row: unknown): Promise<void> {
    this.rows.push(JSON.stringify(row))
  }

  snapshotState(context: FunctionSnapshotContext): void {
    const checkpointId = context.getCheckpointId()
    if (this.rows.length > 0) this.pending.push({ id: `${this.owner}/${checkpointId}`, checkpointId, rows: this.rows })
    this.rows = []
    this.state.update(this.pending.map(transaction => JSON.stringify(transaction)))
  }

  async notifyCheckpointComplete(checkpointId: number): Promise<void> {
    const done = this.pending.filter(transaction => transaction.checkpointId <= checkpointId)
    this.pending = this.pending.filter(transaction => transaction.checkpointId > checkpointId)
    await Promise.resolve()
    for (const { id, rows } of done) this.outside.commit(id, rows)
  }
}
