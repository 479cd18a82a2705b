import type { Sink } from '../../runtime/api/index.ts'
import { ByteReader, ByteWriter } from '../../runtime/common/bytes.ts'
import { listState } from '../../runtime/graph/declared-state.ts'
import type { OperatorDefinition } from '../../runtime/graph/stream-graph.ts'
import type { TypeInformation } from '../../runtime/serde/type-information.ts'
import type { OperatorSnapshot, UnkeyedSnapshot } from '../../runtime/state/snapshot.ts'
import { BaseOperator } from '../../runtime/stream/operators/base-operator.ts'

/**
 * A transactional system outside, in memory, and the two-phase sink for it: what a test reads of `committed` is what others could see. Rows of a
 * checkpoint are one transaction, with an id that is used once; to commit it again changes nothing.
 */
export class CommittedRows {
  /** By id. */
  readonly transactions = new Map<string, readonly string[]>()

  commit(id: string, rows: readonly string[]): void {
    this.transactions.set(id, rows)
  }

  /** As it was when this checkpoint was taken, and everything in it or before it committed. */
  upTo(checkpointId: number): CommittedRows {
    const before = new CommittedRows()
    for (const [id, rows] of this.transactions) if (Number(id.slice(id.lastIndexOf('/') + 1)) <= checkpointId) before.commit(id, rows)
    return before
  }

  get rows(): readonly string[] {
    return [...this.transactions.values()].flat()
  }
}

interface Transaction {
  readonly id: string
  readonly checkpointId: number
  readonly rows: readonly string[]
}

export class CommittingSink<T> implements Sink<T> {
  readonly name = 'Committing'
  private readonly outside: CommittedRows

  constructor(outside: CommittedRows) {
    this.outside = outside
  }

  define(_type: TypeInformation<T>): OperatorDefinition {
    return {
      type: 'sink:committing',
      options: {},
      functions: [],
      states: [listState('transactions', 'split', { kind: 'STRING' })],
      factory: () => new CommittingOperator(this.outside),
    }
  }
}

class CommittingOperator extends BaseOperator {
  readonly commitsOnCheckpoint = true
  private readonly outside: CommittedRows
  private rows: string[] = []
  private pending: Transaction[] = []

  constructor(outside: CommittedRows) {
    super()
    this.outside = outside
  }

  /** They are in a checkpoint that is complete. */
  restore({ lists }: OperatorSnapshot): void {
    for (const { items } of lists)
      for (const item of items) {
        const { id, rows } = JSON.parse(new ByteReader(item).string()) as Transaction
        this.outside.commit(id, rows)
      }
  }

  override open(): void {}

  processElement(value: unknown): void {
    this.rows.push(JSON.stringify(value))
  }

  override snapshot({ checkpointId }: { readonly checkpointId: number }): UnkeyedSnapshot {
    if (this.rows.length > 0) {
      const { operatorId, subtaskIndex, attempt } = this.context
      this.pending.push({ id: `${operatorId}/${subtaskIndex}/${attempt}/${checkpointId}`, checkpointId, rows: this.rows })
      this.rows = []
    }
    const items = this.pending.map(transaction => {
      const out = new ByteWriter()
      out.string(JSON.stringify(transaction))
      return out.copy()
    })
    return { keyed: undefined, lists: [{ name: 'transactions', mode: 'split', type: { kind: 'STRING' }, items }] }
  }

  override notifyCheckpointComplete(checkpointId: number): void {
    const done = this.pending.filter(transaction => transaction.checkpointId <= checkpointId)
    this.pending = this.pending.filter(transaction => transaction.checkpointId > checkpointId)
    for (const { id, rows } of done) this.outside.commit(id, rows)
  }
}
