import { frameOf } from '../../network/columns-rows.ts'
import { columnLayout } from '../../serde/columns-type.ts'
import type { SourceOutput, SourceReader, SourceSplit } from '../../stream/spi/source.ts'
import type { ScanNode } from '../plan/physical.ts'

/** Rows that stand in the plan: VALUES, and the one row of a SELECT without FROM. */
export class ValuesReader implements SourceReader {
  private readonly node: ScanNode
  private splits: SourceSplit[] = []
  private allAssigned = false

  constructor(node: ScanNode) {
    this.node = node
  }

  addSplits(splits: readonly SourceSplit[]): void {
    this.splits.push(...splits)
  }

  noMoreSplits(): void {
    this.allAssigned = true
  }

  poll(output: SourceOutput): 'more' | 'nothing' | 'end' {
    const split = this.splits[0]
    if (split === undefined) return this.allAssigned ? 'end' : 'nothing'
    const { rows = [], projected, schema } = this.node
    const from = Number(split['next'])
    const to = Math.min(rows.length, from + ROWS_PER_FRAME)
    const layouts = schema.map(({ type }) => columnLayout(type))
    const values = rows.slice(from, to).map(row => projected.map((column, i) => rowForm(row[column] ?? null, schema[i]!.type)))
    if (to > from) output.collectFrame(frameOf(values, layouts))
    if (to < rows.length) this.splits[0] = { ...split, next: to }
    else this.splits.shift()
    return 'more'
  }

  snapshotSplits(): readonly SourceSplit[] {
    return this.splits
  }

  describePosition(): string {
    return 'VALUES'
  }

  close(): void {}
}

const ROWS_PER_FRAME = 2048

function rowForm(value: string | number | boolean | null, type: string): unknown {
  if (value === null) return null
  if (type.startsWith('BIGINT')) return BigInt(value)
  if (/^(BINARY|VARBINARY|BYTES)/.test(type)) return Uint8Array.from(Buffer.from(String(value), 'hex'))
  return value
}
